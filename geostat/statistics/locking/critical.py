"""Null distribution of the existence statistic on the user's own checkpoints, simulated once and kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from geostat.statistics.locking.noise import noise_curves
from geostat.statistics.locking.onset_exists_core import Scan, scan_of

__all__ = ["NULL_RHOS", "CriticalTable", "critical_table"]

Array = npt.NDArray[np.float64]

NULL_RHOS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.97)
"""Autocorrelations at the mean gap under which the null is simulated; the worst of them counts."""

DIGITS = 12
"""Checkpoints that agree so far share their table."""


@dataclass(frozen=True, eq=False)
class CriticalTable:
    """Statistics of runs in which nothing changes.

    Attributes
    ----------
    null : ndarray, shape (R, n_null)
        Ascending, for each of `NULL_RHOS`.
    """

    null: Array

    def p_value(self, statistic: Array) -> Array:
        """Share of null statistics that are as large, under the worst correlation.

        Parameters
        ----------
        statistic : ndarray, shape (n,)
            Observed.

        Returns
        -------
        ndarray, shape (n,)
            ``(1 + count) / (1 + n_null)``, never 0.
        """
        count = np.stack([len(row) - np.searchsorted(row, statistic, side="left") for row in self.null])
        share: Array = (1 + count.max(axis=0)) / (1 + self.null.shape[1])
        return share

    def critical(self, level: float) -> tuple[float, float]:
        """Value that the statistic has to exceed, and the correlation that sets it.

        Parameters
        ----------
        level : float
            One minus the size of the test.

        Returns
        -------
        tuple of float
            Critical value and worst autocorrelation.
        """
        place = min(self.null.shape[1], int(np.ceil(level * (self.null.shape[1] + 1)))) - 1
        values = self.null[:, place]
        return float(values.max()), NULL_RHOS[int(values.argmax())]


def critical_table(checkpoints: Sequence[Array], n_null: int, seed: int) -> CriticalTable:
    """Table for runs with these checkpoints.

    Parameters
    ----------
    checkpoints : sequence of ndarray
        Of each run, as shares of training between the first and the last one of all.
    n_null : int
        Null statistics per correlation.
    seed : int
        Of the random numbers.

    Returns
    -------
    CriticalTable
        Kept in memory: the same checkpoints, number and seed give the same table at once.
    """
    grids = sorted(tuple(np.round(x, DIGITS).tolist()) for x in checkpoints)
    return _table(tuple(grids), n_null, seed)


@lru_cache(maxsize=64)
def _table(grids: tuple[tuple[float, ...], ...], n_null: int, seed: int) -> CriticalTable:
    rng = np.random.default_rng(seed)
    scan = scan_of([np.array(grid) for grid in grids])
    independent = {grid: rng.standard_normal((n_null, len(grid))) for grid in dict.fromkeys(grids)}
    # Runs on one grid draw from one pool in different orders: every sum is one of independent runs.
    orders = [rng.permutation(n_null) for _ in grids]
    null = [_null_statistics(scan, grids, independent, orders, rho) for rho in NULL_RHOS]
    return CriticalTable(np.sort(np.stack(null), axis=1))


def _null_statistics(
    scan: Scan,
    grids: tuple[tuple[float, ...], ...],
    independent: dict[tuple[float, ...], Array],
    orders: list[npt.NDArray[np.int64]],
    rho: float,
) -> Array:
    pools = {}
    for grid, numbers in independent.items():
        x = np.array(grid)
        pools[grid] = scan.ratios(noise_curves(numbers, rho, scan.gaps(x)), x)
    total = pools[grids[0]][orders[0]]
    for grid, order in zip(grids[1:], orders[1:], strict=True):
        total += pools[grid][order]
    largest: Array = total.max(axis=1)
    return largest
