"""Every dose against the reference dose: differences, their errors, and tests against a margin."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["DoseContrasts", "Variance", "dose_contrasts", "sequence"]

Array = npt.NDArray[np.float64]
Variance = Literal["separate", "pooled"]


@dataclass(frozen=True, eq=False)
class DoseContrasts:
    """Cells by doses, in order of the dose.

    Attributes
    ----------
    n, mean : ndarray
        Runs with a value, and their mean.
    difference : ndarray
        Mean minus the reference dose's.
    error, df : ndarray
        Standard error of the difference and its degrees of freedom; NaN where there is none, and at the
        reference dose.
    """

    n: npt.NDArray[np.int64]
    mean: Array
    difference: Array
    error: Array
    df: Array

    def ends(self, level: float) -> tuple[Array, Array]:
        """Pointwise t-interval of the difference."""
        from scipy import stats

        half = stats.t.ppf((1 + level) / 2, self.df) * self.error
        return self.difference - half, self.difference + half

    def p_equivalent(self, margin: float) -> Array:
        """Larger p-value of the two one-sided tests of ``abs(difference) >= margin``."""
        from scipy import stats

        above = stats.t.sf((self.difference + margin) / self.error, self.df)
        below = stats.t.cdf((self.difference - margin) / self.error, self.df)
        return np.asarray(np.maximum(above, below))

    def p_different(self, margin: float) -> Array:
        """Twice the smaller p-value of the two one-sided tests of ``abs(difference) <= margin``."""
        from scipy import stats

        above = stats.t.sf((self.difference - margin) / self.error, self.df)
        below = stats.t.cdf((self.difference + margin) / self.error, self.df)
        return np.asarray(np.minimum(1, 2 * np.minimum(above, below)))


def dose_contrasts(
    values: Array, places: npt.NDArray[np.intp], reference: int, variance: Variance
) -> DoseContrasts:
    r"""Difference of every dose's mean to the reference dose's.

    With separate variances the error is Welch's with Satterthwaite's degrees of freedom; pooled, with
    :math:`\nu = \sum_d (n_d - 1)` over all doses,

    .. math:: s^2 = \sum_d (n_d - 1) s_d^2 / \nu, \qquad \mathrm{se}^2 = s^2 (1 / n_d + 1 / n_0)

    which assumes that seeds scatter alike at every dose.

    Parameters
    ----------
    values : ndarray
        Cells by runs, NaN where a run has no value.
    places : ndarray of int
        Which dose each run has, as its place in the order of doses.
    reference : int
        Place of the reference dose.
    variance : {"separate", "pooled"}
        Which standard error.

    Returns
    -------
    DoseContrasts
        Cells by doses.
    """
    count = int(places.max()) + 1
    groups = [values[:, places == place] for place in range(count)]
    n = np.stack([(~np.isnan(group)).sum(axis=1) for group in groups], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.stack([np.nansum(group, axis=1) for group in groups], axis=1) / np.where(n > 0, n, np.nan)
        square = [_squares(group, mean[:, i]) for i, group in enumerate(groups)]
        squares = np.where(n > 1, np.stack(square, axis=1), 0.0)
        error, df = _pooled(squares, n, reference) if variance == "pooled" else _welch(squares, n, reference)
    error = np.where(np.isfinite(error), error, np.nan)
    error[:, reference], df[:, reference] = np.nan, np.nan
    with np.errstate(invalid="ignore"):
        difference = mean - mean[:, [reference]]
    return DoseContrasts(n, mean, difference, error, df)


def _squares(group: Array, mean: Array) -> Array:
    """Sum of squares about the mean: exactly 0 for equal values, infinite where a value is."""
    lowest, highest = np.fmin.reduce(group, axis=1), np.fmax.reduce(group, axis=1)
    square = np.where(lowest == highest, 0.0, np.nansum((group - mean[:, None]) ** 2, axis=1))
    return np.where(np.isinf(group).any(axis=1), np.inf, square)


def _welch(squares: Array, n: npt.NDArray[np.int64], reference: int) -> tuple[Array, Array]:
    share = np.where((n > 1) & (squares > 0), squares / (n - 1) / n, np.nan)
    own = share[:, [reference]]
    df = (share + own) ** 2 / (share**2 / (n - 1) + own**2 / (n[:, [reference]] - 1))
    return np.sqrt(share + own), df


def _pooled(squares: Array, n: npt.NDArray[np.int64], reference: int) -> tuple[Array, Array]:
    df = np.where(n > 0, n - 1, 0).sum(axis=1, keepdims=True).astype(np.float64)
    total = squares.sum(axis=1, keepdims=True)
    variance = np.where((df > 0) & (total > 0), total / df, np.nan)
    both = (n > 0) & (n[:, [reference]] > 0)
    inverse = np.where(both, 1 / n + 1 / n[:, [reference]], np.nan)
    return np.sqrt(variance * inverse), np.where(both, np.broadcast_to(df, n.shape), np.nan)


def sequence(shown: npt.NDArray[np.bool_], present: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which of ordered hypotheses a fixed sequence rejects: all up to the first that is not rejected alone.

    Testing in an order that is fixed beforehand, each at the full level, keeps the familywise error.

    Parameters
    ----------
    shown : ndarray of bool
        Cells by doses in the order of testing: rejected alone.
    present : ndarray of bool
        Doses that have a run there; others are passed over.

    Returns
    -------
    ndarray of bool
        Rejected in the sequence.

    References
    ----------
    :cite:t:`maurer1995`.
    """
    return np.asarray(np.logical_and.accumulate(shown | ~present, axis=1) & present)
