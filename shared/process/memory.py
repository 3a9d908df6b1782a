"""Settings of the garbage collector for our processes."""

import gc


def rarely_collect() -> None:
    """Call once everything is imported: objects that exist by then are never collected, and the others are looked at
    seldom.

    A batch or a request makes many objects and no cycles: looking for some at the usual pace was a quarter of the
    processor time of the workers and a tenth of that of the APIs. The threshold is above what a full batch of visits
    has at once; where every batch passes it, looking for cycles is still a tenth of taking visits in.
    """
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)
