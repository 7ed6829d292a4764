"""SIGTERM, as schedulers send it before they kill, ends a command as Ctrl-C does."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["heeding_sigterm"]


@contextmanager
def heeding_sigterm() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt at SIGTERM, so that finished work is kept and said to be.

    Yields
    ------
    list of int
        Signals that came.
    """
    came: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        came.append(number)
        at_interrupt = signal.getsignal(signal.SIGINT)
        if callable(at_interrupt):
            at_interrupt(number, frame)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)
