"""A test of trend over doses that is exact at any number of runs."""

import numpy as np
import numpy.typing as npt

from geostat.statistics.bootstraps.resampling import HELD, parts
from geostat.statistics.doses.isotonic import Direction

__all__ = ["trend_p_value", "trend_statistic"]

Array = npt.NDArray[np.float64]


def trend_statistic(values: Array, doses: Array) -> Array:
    r"""Jonckheere's statistic, as pairs of runs that rise minus pairs that fall.

    .. math:: J = \sum_{i<j} \mathrm{sign}(d_j - d_i)\, \mathrm{sign}(x_j - x_i)

    Parameters
    ----------
    values : ndarray
        Cells by runs, no NaN.
    doses : ndarray
        Dose of each run; with a leading axis, several assignments of doses to runs.

    Returns
    -------
    ndarray
        Cells, or cells by assignments.

    References
    ----------
    :cite:t:`jonckheere1954`.
    """
    pairs = np.triu_indices(values.shape[-1], 1)
    rises = np.sign(values[:, pairs[1]] - values[:, pairs[0]])
    steps = np.sign(doses[..., pairs[1]] - doses[..., pairs[0]])
    return np.asarray(rises @ steps.T)


def trend_p_value(
    values: Array, doses: Array, direction: Direction, n_resamples: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    r"""Permutation p-value of Jonckheere's statistic.

    Under the hypothesis that the dose changes nothing, doses are assigned to runs at random, so that
    :math:`p = (1 + \#\{J^* \ge J\}) / (1 + R)` is valid at any number of runs and any distribution. It tests
    any dependence on the dose against a monotone one; it says nothing on how large the change is.

    Parameters
    ----------
    values : ndarray
        Cells by runs, no NaN.
    doses : ndarray
        Dose of each run.
    direction : {"increasing", "decreasing", "both"}
        Alternative; ``"both"`` doubles the smaller p-value.
    n_resamples : int
        Permutations R.
    rng : numpy.random.Generator
        Source of random numbers.

    Returns
    -------
    tuple of ndarray
        p-values and statistics, one per cell.
    """
    observed = trend_statistic(values, doses)
    as_high, as_low = np.ones(len(values)), np.ones(len(values))
    pairs = max(1, len(doses) * (len(doses) - 1) // 2)
    for part in parts(n_resamples, max(1, HELD // (pairs + len(values)))):
        shuffled = rng.permuted(np.tile(doses, (part.stop - part.start, 1)), axis=1)
        drawn = trend_statistic(values, shuffled)
        as_high += (drawn >= observed[:, None]).sum(axis=1)
        as_low += (drawn <= observed[:, None]).sum(axis=1)
    up, down = as_high / (n_resamples + 1), as_low / (n_resamples + 1)
    p = {"increasing": up, "decreasing": down, "both": np.minimum(1, 2 * np.minimum(up, down))}[direction]
    return p, observed
