"""The change points of one complete series, with their intervals."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from geostat.statistics.changepoints.break_dates import break_interval
from geostat.statistics.changepoints.long_run import autocorrelation, long_run_variance
from geostat.statistics.changepoints.segments import Partitions, residuals_of, segment_means
from geostat.statistics.changepoints.selection import (
    Errors,
    Rule,
    error_variance,
    number_by_criterion,
    number_by_tests,
)
from geostat.statistics.changepoints.sup_f import largest_gain, sup_f_p_value

__all__ = ["Change", "Search", "SeriesFit", "fit_series"]

Floats = npt.NDArray[np.float64]
Outcome = Literal["change", "no change", "constant", "too short", "infinite", "undefined"]

FLAT_SIDE = (
    "the values {side} this change do not vary, so their error variance and an interval cannot be had from them; "
    "pass equal_variance=True"
)
EXACT = "the values lie exactly on the segment means: no error is left to form an interval from"


@dataclass(frozen=True)
class Search:
    """What is sought, and under which assumptions.

    Attributes
    ----------
    n_breaks : int or {"bic", "lwz", "sequential"}
        A fixed number, or a rule.
    max_breaks : int
        The most that a rule may choose.
    min_segment : int or float
        Observations, or the share of them, that a segment has at least.
    errors : {"iid", "hac"}
        What the error variance is.
    equal_variance : bool
        Whether it is one for all segments.
    level : float
        Of the intervals; one minus it is the level of sequential tests.
    """

    n_breaks: int | Rule
    max_breaks: int
    min_segment: int | float
    errors: Errors
    equal_variance: bool
    level: float

    def smallest(self, length: int) -> int:
        """Observations that a segment of a series of this length has at least."""
        if isinstance(self.min_segment, int):
            return self.min_segment
        return max(2, math.floor(self.min_segment * length + 1e-9))

    def most(self, length: int) -> int:
        """Largest number of breaks that is looked at; 0 where the series is too short for the question."""
        room = length // self.smallest(length) - 1
        if isinstance(self.n_breaks, int):
            return self.n_breaks if self.n_breaks <= room else 0
        return max(min(self.max_breaks, room), 0)


@dataclass(frozen=True)
class Change:
    """One change of the mean.

    Attributes
    ----------
    last_before : int
        Last observation before it, counted from 1.
    low, high : int or None
        Interval for it.
    mean_before, mean_after : float
        Of the segments on either side.
    reason : str
        Why there is no interval.
    """

    last_before: int
    low: int | None
    high: int | None
    mean_before: float
    mean_after: float
    reason: str = ""


@dataclass(frozen=True)
class SeriesFit:
    """What one series says.

    Attributes
    ----------
    outcome : str
        ``change``, ``no change``, ``constant``, ``too short``, ``infinite`` or ``undefined``.
    changes : tuple of Change
        In order of time.
    reason : str
        Why there is no change to tell.
    rss, rss_without : float
        Residual sum of squares of the answer, and about one mean.
    sup_f, p_value : float
        Test of no change against one.
    autocorrelation : float
        Of successive residuals; NaN where only rounding is left of them.
    """

    outcome: Outcome
    changes: tuple[Change, ...] = ()
    reason: str = ""
    rss: float = math.nan
    rss_without: float = math.nan
    sup_f: float = math.nan
    p_value: float = math.nan
    autocorrelation: float = math.nan


def fit_series(series: Floats, partitions: Partitions, search: Search) -> SeriesFit:
    """Date the changes of a series, given its best partitions.

    Parameters
    ----------
    series : ndarray
        Finite, shape (T,), not constant.
    partitions : Partitions
        Of this series.
    search : Search
        What is sought.

    Returns
    -------
    SeriesFit
        Outcome ``change`` or ``no change``.
    """
    smallest = search.smallest(len(series))
    sup_f = _sup_f(series, partitions.breaks[1], smallest, search.errors)
    p_value = sup_f_p_value(sup_f, smallest / len(series), len(series) - 2)
    rss = np.maximum(partitions.rss, rounding(series))
    number, reason = _number(series, partitions, rss, search)
    breaks = partitions.breaks[number]
    residuals = residuals_of(series[None], breaks[None])[0]
    return SeriesFit(
        "change" if number else "no change",
        _dated(series, breaks, residuals, search),
        reason,
        float(partitions.rss[number]),
        float(partitions.rss[0]),
        sup_f,
        p_value,
        autocorrelation(residuals) if partitions.rss[number] > rounding(series) else math.nan,
    )


def rounding(series: Floats) -> float:
    """Sum of squares below which residuals are rounding errors."""
    return float(len(series) * (4 * np.finfo(np.float64).eps * np.abs(series).max()) ** 2)


def _sup_f(series: Floats, breaks: npt.NDArray[np.int64], smallest: int, errors: Errors) -> float:
    gain, variance = largest_gain(series, smallest), error_variance(series, breaks, errors)
    return gain / variance if variance * len(series) > rounding(series) else math.inf


def _number(series: Floats, partitions: Partitions, rss: Floats, search: Search) -> tuple[int, str]:
    """How many breaks, and why none."""
    rule = search.n_breaks
    if isinstance(rule, int):
        return rule, ""
    if rule == "sequential":
        smallest, alpha = search.smallest(len(series)), 1 - search.level
        number = number_by_tests(series, partitions, smallest, search.errors, alpha)
        return number, "" if number else f"no change: sup-F is not significant at level {alpha:.3g}"
    number = number_by_criterion(rss, len(series), rule)
    return number, "" if number else f"no change: {rule.upper()} is least without one"


def _dated(
    series: Floats, breaks: npt.NDArray[np.int64], residuals: Floats, search: Search
) -> tuple[Change, ...]:
    means = segment_means(series[None], breaks[None])[0]
    variances = _variances(series, breaks, residuals, search)
    changes = []
    for i, last_before in enumerate(breaks.tolist()):
        before, after = float(means[i]), float(means[i + 1])
        reason = _without_interval(series, before - after, variances[i], variances[i + 1])
        low, high = (None, None)
        if not reason:
            sides = variances[i], variances[i + 1]
            low, high = break_interval(last_before, after - before, *sides, search.level, len(series))
        changes.append(Change(last_before, low, high, before, after, reason))
    return tuple(changes)


def _variances(
    series: Floats, breaks: npt.NDArray[np.int64], residuals: Floats, search: Search
) -> list[float]:
    """Error variance of every segment: the common one, or its own."""
    if search.equal_variance:
        return [error_variance(series, breaks, search.errors)] * (len(breaks) + 1)
    parts = np.split(residuals, breaks)
    if search.errors == "hac":
        return [long_run_variance(part, 2) for part in parts]
    return [float((part**2).mean()) for part in parts]


def _without_interval(series: Floats, shift: float, before: float, after: float) -> str:
    least = rounding(series) / len(series)
    if before <= least and after <= least:
        return EXACT
    if min(before, after) <= least:
        return FLAT_SIDE.format(side="before" if before <= least else "after")
    return "" if shift else "the means on either side are equal: there is no change to date"
