"""Means of recipes on the metrics' scales, and the tests of which side of a boundary they lie on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.statistics.regimes.one_sided import upper_tail
from geostat.statistics.runs.moments import moments, t_quantile

__all__ = ["Mean", "Part", "Sides", "mean_over_runs", "regime_tests", "tail"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Part:
    """Squared standard error of a mean, and its degrees of freedom; NaN where they are unknown."""

    variance: Array
    df: Array

    def times(self, factor: float) -> Self:
        """Part of the mean multiplied by the root of a factor."""
        return replace(self, variance=self.variance * factor)


@dataclass(frozen=True, eq=False)
class Mean:
    """Means over the runs of a recipe, on the metrics' scales.

    Attributes
    ----------
    value : ndarray
        Shape (metric, ...); NaN where no run has a value.
    part : Part
        Its uncertainty.
    n : ndarray
        Runs with a value.
    identical : ndarray of bool
        Whether several runs hold one value.
    """

    value: Array
    part: Part
    n: npt.NDArray[np.int64]
    identical: Mask

    @property
    def infinite(self) -> Mask:
        """Whether a run's value is infinite."""
        return np.asarray((self.n > 0) & np.isnan(self.value))

    @property
    def alone(self) -> Mask:
        """Whether one run stands behind the mean, without any standard deviation."""
        return np.asarray((self.n == 1) & np.isnan(self.part.df))

    def interval(self, level: float) -> tuple[Array, Array]:
        """Two-sided t-interval on the scale."""
        half = t_quantile(level, xr.DataArray(self.part.df)).values * np.sqrt(self.part.variance)
        return self.value - half, self.value + half

    def with_more_runs(self, extra: npt.NDArray[np.int64]) -> Self:
        """The same means and standard deviations from more runs."""
        known = np.isinf(self.part.df)
        n = np.where((self.n >= 2) | known, self.n + extra, self.n)
        with np.errstate(invalid="ignore", divide="ignore"):
            df = np.where((self.n >= 2) & ~known, n - 1.0, self.part.df)
            part = Part(self.part.variance * self.n / n, df)
        return replace(self, part=part, n=n)


def mean_over_runs(values: xr.DataArray, sample_dim: str, assumed: Array) -> Mean:
    """Mean over runs with its uncertainty.

    Parameters
    ----------
    values : xarray.DataArray
        Dims metric, runs and others; on the metrics' scales.
    sample_dim : str
        Runs.
    assumed : ndarray
        Shape (metric,): standard deviation over seeds that is taken as known, or NaN.

    Returns
    -------
    Mean
        With unknown uncertainty where one run, or identical runs, cannot show it.
    """
    found = moments(values, sample_dim)
    usable, n = found.has_interval.values, found.n.values
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where(usable, found.variance.values / n, np.nan)
    df = np.where(usable, n - 1.0, np.nan)
    stand_in = np.broadcast_to(assumed.reshape(-1, *[1] * (n.ndim - 1)), n.shape)
    known = (n >= 1) & ~found.infinite.values & np.isfinite(stand_in)
    with np.errstate(invalid="ignore", divide="ignore"):
        part = Part(np.where(known, stand_in**2 / n, variance), np.where(known, np.inf, df))
    value = np.where(found.infinite.values, np.nan, found.mean.values)
    return Mean(value, part, n, found.identical.values & ~known)


def tail(difference: Array, parts: Sequence[Part]) -> Array:
    """One-sided p-value that a difference of means is positive.

    Parameters
    ----------
    difference : ndarray
        Positive where it speaks for the claim.
    parts : sequence of Part
        Uncertainty of every mean in it; shapes broadcast.

    Returns
    -------
    ndarray
        See `upper_tail`.
    """
    whole = np.broadcast_arrays(difference, *(p.variance for p in parts), *(p.df for p in parts))
    return upper_tail(whole[0], whole[1 : len(parts) + 1], whole[len(parts) + 1 :])


@dataclass(frozen=True, eq=False)
class Sides:
    """For every boundary, p-values that a mean lies past it (on the side of later regimes), or before it.

    Attributes
    ----------
    past, before : ndarray
        Shape (boundary, metric, ...); NaN where a boundary cannot be used.
    exists : ndarray of bool
        Shape (boundary, metric): whether the metric has a boundary there at all. Where it has none, the
        regimes on both sides of it are one to this metric.
    """

    past: Array
    before: Array
    exists: Mask


def regime_tests(sides: Sides) -> tuple[Array, Array]:
    """P-values that every metric lies inside every regime, and that it lies outside.

    Inside is an intersection-union test: the larger p-value of the one or two boundaries. Outside is a
    union of two one-sided tests, so the smaller p-value counts twice.

    Parameters
    ----------
    sides : Sides
        Tests against every boundary.

    Returns
    -------
    tuple of ndarray
        Inside and outside, shape (regime, metric, ...).
    """
    lower = _nearest(sides.past, sides.before, sides.exists)
    upper = [part[::-1] for part in _nearest(sides.before[::-1], sides.past[::-1], sides.exists[::-1])]
    inside = np.maximum(lower[0], upper[0])
    count = np.isfinite(lower[2]).astype(float) + np.isfinite(upper[2])
    outside = np.fmin(lower[1], upper[1])
    with np.errstate(invalid="ignore"):
        return inside, np.minimum(np.where(np.isinf(outside), np.nan, outside) * count, 1.0)


def _nearest(inner: Array, outer: Array, exists: Mask) -> tuple[Array, Array, Array]:
    """Tests against the nearest existing boundary below each regime.

    Where there is none, a regime is open: surely inside (0), never outside (infinite). The third array is
    finite where there is one.
    """
    shape = inner.shape[1:]
    trailing = [1] * (len(shape) - 1)
    within, beyond, known = [np.zeros(shape)], [np.full(shape, np.inf)], [np.full(shape, np.inf)]
    for p_in, p_out, there in zip(inner, outer, exists, strict=True):
        here = np.broadcast_to(there.reshape(-1, *trailing), shape)
        within.append(np.where(here, p_in, within[-1]))
        beyond.append(np.where(here, p_out, beyond[-1]))
        known.append(np.where(here, 0.0, known[-1]))
    return np.stack(within), np.stack(beyond), np.stack(known)
