"""CPU time of two ways to the same figures, taken in turn in one process."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Timing", "cpu_seconds", "interleaved"]


class Timing(NamedTuple):
    """Medians over the repetitions.

    Attributes
    ----------
    naive, fast : float
        CPU-seconds of one call.
    ratio : float
        Median of the ratios within one repetition.
    """

    naive: float
    fast: float
    ratio: float


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of all threads of this process for one call.

    Parameters
    ----------
    work : callable
        Called without arguments.

    Returns
    -------
    float
        Seconds.
    """
    start = time.process_time()
    work()
    return time.process_time() - start


def interleaved(
    naive: Callable[[], object], fast: Callable[[], object], repeats: int, *, inner: int = 1
) -> Timing:
    """Time two computations in turn, so that both meet the same state of the machine.

    Parameters
    ----------
    naive, fast : callable
        Called without arguments; both once beforehand, untimed.
    repeats : int
        Repetitions, of which medians are taken.
    inner : int
        Calls of the fast one within a repetition, for computations shorter than the clock's grain.

    Returns
    -------
    Timing
        Seconds of one call each.
    """
    fast()

    def fast_calls() -> None:
        for _ in range(inner):
            fast()

    pairs = [(cpu_seconds(naive), cpu_seconds(fast_calls) / inner) for _ in range(repeats)]
    return Timing(
        statistics.median(first for first, _ in pairs),
        statistics.median(second for _, second in pairs),
        statistics.median(first / second for first, second in pairs),
    )
