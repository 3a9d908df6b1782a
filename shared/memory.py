"""How a process of ours keeps its memory."""

import gc


def rarely_collect() -> None:
    """Call once everything is imported: what is there by then is never looked through again, and the rest seldom.

    A batch or a request makes many objects and no cycles: looking for some at the usual pace was a quarter of the
    processor time of the workers and a tenth of that of the APIs.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
