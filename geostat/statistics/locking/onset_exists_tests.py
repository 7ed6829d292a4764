"""Tests of existence for many recipes at once, as plain arrays."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geostat.statistics.locking.critical import critical_table
from geostat.statistics.locking.model_runs import usable_runs
from geostat.statistics.locking.onset_exists_core import scan_of

__all__ = ["ExistenceTests", "existence_tests"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ExistenceTests:
    """Tests of n recipes; NaN where there is nothing to test.

    Attributes
    ----------
    statistic, p_value, critical, worst_rho : ndarray, shape (n,)
        The test.
    n_runs : ndarray, shape (n,)
        Runs used.
    """

    statistic: Array
    p_value: Array
    critical: Array
    worst_rho: Array
    n_runs: npt.NDArray[np.int64]


def existence_tests(values: Array, steps: Array, *, level: float, n_null: int, seed: int) -> ExistenceTests:
    """Test all recipes.

    Parameters
    ----------
    values : ndarray, shape (n, S, T)
        Runs of n recipes; NaN where a run has no checkpoint.
    steps : ndarray, shape (T,)
        Ascending.
    level : float
        One minus the size.
    n_null, seed : int
        Null statistics per autocorrelation and seed of their random numbers.

    Returns
    -------
    ExistenceTests
        One entry per recipe.
    """
    n, S, T = values.shape
    usable = usable_runs(values.reshape(-1, T)).reshape(n, S)
    used = np.where(usable[..., None], values, np.nan)
    found = np.full((4, n), np.nan)
    for recipes, known in _alike(used):
        together = steps[known.any(axis=0)]
        checkpoints = [
            (steps[own] - together[0]) / (together[-1] - together[0]) for own in known if own.any()
        ]
        scan, runs = scan_of(checkpoints), np.flatnonzero(known.any(axis=1))
        pairs = zip(runs, checkpoints, strict=True)
        ratios = sum(scan.ratios(used[np.ix_(recipes, [s], known[s])][:, 0], x) for s, x in pairs)
        statistic = np.asarray(ratios).max(axis=1)
        table = critical_table(checkpoints, n_null, seed)
        found[0, recipes], found[1, recipes] = statistic, table.p_value(statistic)
        found[2:, recipes] = np.array(table.critical(level))[:, None]
    return ExistenceTests(found[0], found[1], found[2], found[3], usable.sum(axis=1))


def _alike(values: Array) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]]:
    """Recipes whose runs have the same checkpoints, run by run, and these: shape (S, T)."""
    n, S, T = values.shape
    known = ~np.isnan(values)
    distinct, which = np.unique(known.reshape(n, -1), axis=0, return_inverse=True)
    for i, pattern in enumerate(distinct):
        if pattern.any():
            yield np.flatnonzero(which.ravel() == i), pattern.reshape(S, T)
