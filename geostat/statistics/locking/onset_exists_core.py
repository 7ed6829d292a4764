"""How much better a settling curve describes runs than a constant does, in autocorrelated noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geostat.statistics.locking.model_families import choose_families
from geostat.statistics.locking.model_grid import OnsetGrid, onset_grid
from geostat.statistics.locking.model_likelihood import project, standardised
from geostat.statistics.locking.noise import correlation_grid

__all__ = ["SCANNED", "Scan", "scan_of"]

Array = npt.NDArray[np.float64]

SCANNED = ("hinge", "exponential", "step")
"""Curves that are tried: a gradual and a decaying change, and a jump."""

CELLS = 20
"""Onsets of equal distance that are tried."""

CORRELATIONS = 14

BLOCK = 1000
"""Runs that are scanned at a time, so that they stay in the processor's cache."""


@dataclass(frozen=True)
class Scan:
    """What is tried on a set of runs.

    Attributes
    ----------
    grid : OnsetGrid
        Curves.
    unit : float
        Mean gap between a run's checkpoints, at which autocorrelations are stated.
    """

    grid: OnsetGrid
    unit: float

    def gaps(self, x: Array) -> Array:
        """Gaps of a run in mean gaps.

        Parameters
        ----------
        x : ndarray, shape (T,)
            Its checkpoints as shares of training.

        Returns
        -------
        ndarray, shape (T - 1,)
            With mean 1 where all runs share their checkpoints.
        """
        gaps: Array = np.diff(x) / self.unit
        return gaps

    def ratios(self, values: Array, x: Array) -> Array:
        r"""Log likelihood ratio of each curve against a constant, each with its best correlation.

        .. math:: \max_\rho \left[-\tfrac12 \log|R| - \tfrac T2 \log \mathrm{RSS}(f, \tau)\right]
                  - \max_\rho \left[-\tfrac12 \log|R| - \tfrac T2 \log \mathrm{RSS}_0\right]

        Parameters
        ----------
        values : ndarray, shape (n, T)
            Runs on one grid of checkpoints.
        x : ndarray, shape (T,)
            Checkpoints as shares of training.

        Returns
        -------
        ndarray, shape (n, G)
            0 or more.
        """
        curves = self.grid.curves(x)[self.grid.prior > 0]
        blocks = np.array_split(values, -(-len(values) // BLOCK))
        return np.concatenate([_ratios(block, curves, self.gaps(x)) for block in blocks])


def _ratios(values: Array, curves: Array, gaps: Array) -> Array:
    data = standardised(values)
    best = np.full((len(values), len(curves)), -np.inf)
    constant = np.full((len(values), 1), -np.inf)
    for rho in correlation_grid(len(gaps) + 1, CORRELATIONS):
        found = project(data, curves, rho, gaps)
        np.maximum(best, found.log_maximum(), out=best)
        np.maximum(constant, found.log_null(), out=constant)
    ratios: Array = best - constant
    return ratios


def scan_of(checkpoints: Sequence[Array]) -> Scan:
    """What is tried on runs with these checkpoints.

    Parameters
    ----------
    checkpoints : sequence of ndarray
        Of each run, as shares of training between the first and the last one of all.

    Returns
    -------
    Scan
        The same whatever the order of the runs.
    """
    together = np.unique(np.concatenate(list(checkpoints)))
    unit = sum(x[-1] - x[0] for x in checkpoints) / sum(len(x) - 1 for x in checkpoints)
    return Scan(onset_grid(choose_families(SCANNED), 0.9, together[1], CELLS), float(unit))
