"""How long a measurement will still take, from what it took so far."""

from collections import deque
from collections.abc import Mapping

__all__ = ["RunningEstimate"]

_ROUNDS = 30
"""What is expected of present units depends on the pace, and the pace on that."""


class RunningEstimate:
    """Time remaining of units of different cost, measured by one process or by several.

    Every worker is busy from the start, and has its present unit since it finished its last one. Units that are
    at it count too: with the time that their cost lets expect, or with what they took already where that is
    more. To look at finished ones alone would make first estimates too short, since the quick ones finish first.

    Parameters
    ----------
    costs : mapping of str to float
        Unit -> cost, relative to each other: of all that are to be measured now.
    workers : int
        How many are measured at once.

    Examples
    --------
    >>> estimate = RunningEstimate({"a": 1.0, "b": 3.0})
    >>> estimate.finished("a", 10.0)
    >>> estimate.remaining(10.0)
    30.0
    """

    def __init__(self, costs: Mapping[str, float], workers: int = 1) -> None:
        self._costs = dict(costs)
        self._workers = max(1, min(workers, len(self._costs)))
        self._last: deque[float] = deque(maxlen=self._workers)
        self._done = 0.0

    def finished(self, unit: str, at: float) -> None:
        """Note that a unit is done.

        Parameters
        ----------
        unit : str
            Which.
        at : float
            Seconds since the start.
        """
        self._done += self._costs.pop(unit)
        self._last.append(at)

    def remaining(self, now: float) -> float | None:
        """Seconds that it will still take.

        Parameters
        ----------
        now : float
            Seconds since the start.

        Returns
        -------
        float or None
            None while nothing has finished.
        """
        if not self._done:
            return None
        costs = sorted(self._costs.values(), reverse=True)
        begun = [0.0] * (self._workers - len(self._last)) + sorted(self._last)
        present = [(cost, now - since) for cost, since in zip(costs, begun, strict=False)]
        pace = self._pace(present)
        left = [max(0.0, pace * cost - elapsed) for cost, elapsed in present]
        later = pace * sum(costs[len(present) :])
        return max([(sum(left) + later) / self._workers, *left])

    def _pace(self, present: list[tuple[float, float]]) -> float:
        """Seconds for one unit of cost: of finished units, and of present ones as far as can be told."""
        busy = sum(self._last)
        pace = busy / self._done
        for _ in range(_ROUNDS):
            expected = sum(max(elapsed, pace * cost) for cost, elapsed in present)
            pace = (busy + expected) / (self._done + sum(cost for cost, _ in present))
        return pace
