"""Ctrl-C that is heard wherever it falls."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["heard"]


@contextmanager
def heard() -> Iterator[Callable[[], None]]:
    """Remember Ctrl-C: raised within a destructor, as those of a library's objects are, KeyboardInterrupt is lost.

    Yields
    ------
    callable
        Raises KeyboardInterrupt if there was one inside the block. To be called between units of work.

    Examples
    --------
    >>> with heard() as check:
    ...     check()
    """
    interrupted = False
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        if callable(before):
            before(number, frame)

    def check() -> None:
        if interrupted:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield check
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
