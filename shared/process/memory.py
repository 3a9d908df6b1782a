"""Settings of the garbage collector for our processes."""

import gc


def rarely_collect() -> None:
    """Makes garbage collection rare; call it once everything is imported. What exists by then is never looked at, what
    comes later seldom.

    A batch or a request makes many objects and no cycles. At Python's usual pace the search for cycles took a quarter
    of the workers' processor time and a tenth of the APIs'. The threshold is above what a full batch of visits has at
    once; where every batch passes it, the search still takes a tenth of the time.
    """
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)
