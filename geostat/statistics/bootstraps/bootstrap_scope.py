"""From how many units a bootstrap interval is offered, and what it covered below that in simulation."""

from bisect import bisect_right
from collections.abc import Mapping

__all__ = [
    "SIMULATED_COVERAGE",
    "SMALLEST",
    "infinite_end",
    "too_few",
    "undefined_statistic",
    "undercoverage",
]

SMALLEST: Mapping[str, int] = {"percentile": 10, "basic": 10, "bca": 10, "bootstrap-t": 5}
"""Units (runs, or clusters of runs) from which a method is offered."""

SIMULATED_COVERAGE: Mapping[str, Mapping[int, float]] = {
    "percentile": {2: 0.50, 3: 0.75, 4: 0.80, 5: 0.84, 6: 0.86, 8: 0.89, 10: 0.90, 15: 0.92, 20: 0.93},
    "basic": {2: 0.50, 3: 0.75, 4: 0.80, 5: 0.84, 6: 0.86, 8: 0.89, 10: 0.90, 15: 0.92, 20: 0.93},
    "bca": {2: 0.50, 3: 0.72, 4: 0.80, 5: 0.84, 6: 0.86, 8: 0.88, 10: 0.90, 15: 0.92, 20: 0.93},
    "bootstrap-t": {4: 0.95, 5: 0.95, 6: 0.95, 8: 0.95, 10: 0.95, 15: 0.95, 20: 0.95},
}
"""Share of nominal 95% intervals for a mean that held it, by units, with normal effects (s.e. .004).

Measured by tests/calibration/bars/bootstrap.py; bootstrap-t has no bounded interval from 2 or 3 units.
"""


def too_few(method: str, n: int, units: str) -> str:
    """Why a cell is refused.

    Parameters
    ----------
    method : str
        Of the interval.
    n : int
        Units with a value.
    units : str
        Their plural.

    Returns
    -------
    str
        The reason and the remedy.
    """
    return (
        f"{n} {units}: {_covered(method, n, units)}, so it is offered from {SMALLEST[method]} {units} on; "
        "add runs, use mean_ci (t-interval) where a mean will do, or pass allow_undercoverage=True"
    )


def undercoverage(method: str, n: int, units: str, whose: str) -> str:
    """What an interval that was asked for nevertheless is worth.

    Parameters
    ----------
    method, n, units
        As in `too_few`.
    whose : str
        Metric and recipe, to stand in front.

    Returns
    -------
    str
        A sentence for a warning.
    """
    return f"{whose}: {n} {units}, where {_covered(method, n, units)}. Add runs, or use mean_ci where a mean will do."


def _covered(method: str, n: int, units: str) -> str:
    table = SIMULATED_COVERAGE[method]
    known = sorted(table)
    if n < known[0]:
        return f"a {method} interval has no bounded ends"
    nearest = known[bisect_right(known, n) - 1]
    if method == "bootstrap-t":
        return (
            f"a {method} interval is about twice as wide as the t-interval, and its ends hang on a few "
            "resamples with hardly any spread"
        )
    return (
        f"a {method} interval for a mean from {nearest} {units} covered {table[nearest]:.2f} in simulation "
        "(nominal 0.95, normal effects; less with skewed ones)"
    )


def infinite_end(share: float, n: int, units: str) -> str:
    """Why an end lies at infinity.

    Parameters
    ----------
    share : float
        Resamples without spread.
    n, units
        As in `too_few`.

    Returns
    -------
    str
        The reason.
    """
    return (
        f"{share:.1%} of the resamples of these {n} {units} hold equal values only, whose t statistic is "
        "infinite, so an end is unbounded; add runs, or use mean_ci where a mean will do"
    )


def undefined_statistic(share: float) -> str:
    """Why a method gave nothing.

    Parameters
    ----------
    share : float
        Resamples in which the statistic had no finite value.

    Returns
    -------
    str
        The reason.
    """
    if share > 0:
        return f"the statistic has no finite value in {share:.1%} of the resamples"
    return "the method's corrections are undefined here: nearly all resamples lie on one side of the estimate"
