"""One-sided tests of a mean against a boundary that may be uncertain itself."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["upper_tail"]

Array = npt.NDArray[np.float64]

_SMALLEST = -690.0
"""Logarithm of the smallest p-value that is told apart from 0."""

_STEPS = 12
"""Steps of the search: p-values are right to a relative 1e-9."""


def upper_tail(difference: Array, variances: Sequence[Array], dfs: Sequence[Array]) -> Array:
    r"""One-sided p-value of a linear function of means with unequal variances, never too small.

    With estimated variances :math:`v_i` of the means on :math:`\nu_i` degrees of freedom, p solves

    .. math:: d^2 = \sum_i v_i \, t_{\nu_i,\,1-p}^2 \quad\text{for } d > 0

    Banerjee (1960): the interval of that half-width covers with at least its nominal probability, whatever the
    variances. The Welch-Satterthwaite approximation does not: with two runs on the one side and more on
    the other it rejects up to .08 at a nominal .05, and far more in the tails that Bonferroni needs.

    Parameters
    ----------
    difference : ndarray
        Estimate minus boundary, positive where it speaks against the hypothesis.
    variances, dfs : sequence of ndarray
        One per mean that the difference is made of; df may be infinite. Same shape as the difference.

    Returns
    -------
    ndarray
        In [0, 1]; NaN where a variance is unknown or all are 0.
    """
    from scipy import special

    total = np.sum(variances, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(total > 0, np.abs(difference) / np.sqrt(total), np.nan)
        shares = [variance / total for variance in variances]
    tail = special.stdtr(dfs[0], -statistic) if len(shares) == 1 else _solved(statistic, shares, dfs)
    return np.where(difference > 0, tail, 1 - tail)


def _solved(statistic: Array, shares: Sequence[Array], dfs: Sequence[Array]) -> Array:
    """Root of the equation in the logarithm of p, by Ridders' method.

    It lies between the p-values that the single means' degrees of freedom would give.
    """
    from scipy import special

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        pairs = list(zip(shares, dfs, strict=True))
        ends = [np.where(share > 0, np.log(special.stdtr(df, -statistic)), np.nan) for share, df in pairs]
        low, high = (np.maximum(how.reduce(ends), _SMALLEST) for how in (np.fmin, np.fmax))

        def excess(log_p: Array) -> Array:
            ratio: Array = np.log(_weighted(log_p, shares, dfs)) - 2 * np.log(statistic)
            return ratio

        at_low, at_high = excess(low), excess(high)
        for _ in range(_STEPS):
            middle = (low + high) / 2
            at_middle = excess(middle)
            root = np.sqrt(at_middle**2 - at_low * at_high)
            new = np.where(root > 0, middle + (middle - low) * at_middle / root, middle)
            at_new = excess(new)
            left = at_middle > 0
            low, at_low = np.where(left, middle, low), np.where(left, at_middle, at_low)
            high, at_high = np.where(left, high, middle), np.where(left, at_high, at_middle)
            rises = (at_new > 0) & (new > low) & (new < high)
            falls = (at_new <= 0) & (new > low) & (new < high)
            low, at_low = np.where(rises, new, low), np.where(rises, at_new, at_low)
            high, at_high = np.where(falls, new, high), np.where(falls, at_new, at_high)
    nearer = np.where(np.abs(at_low) < np.abs(at_high), low, high)
    return np.where(statistic > 0, np.exp(nearer), np.where(statistic == 0, 0.5, np.nan))


def _weighted(log_p: Array, shares: Sequence[Array], dfs: Sequence[Array]) -> Array:
    """Sum of squared Student quantiles, weighted by each mean's share of the variance."""
    from scipy import special

    p = np.exp(log_p)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        parts = [
            np.where(share > 0, share * special.stdtrit(df, p) ** 2, 0.0)
            for share, df in zip(shares, dfs, strict=True)
        ]
    weighted: Array = np.sum(parts, axis=0)
    return weighted
