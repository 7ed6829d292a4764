"""Cells of the onset that all families share, with the time constants that lead to them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geostat.statistics.locking.model_families import Family

__all__ = ["OnsetGrid", "onset_grid"]

Array = npt.NDArray[np.float64]

PER_FACTOR = 8
"""Cells per factor e in which the early, densely sampled part of a run is divided."""


@dataclass(frozen=True)
class OnsetGrid:
    """Cells of the onset, as shares of the run, for F families.

    Attributes
    ----------
    edges : ndarray, shape (G + 1,)
        Ascending from 0 to 1.
    families : tuple of Family
        F of them.
    prior : ndarray, shape (F, G)
        Probability of each cell: families are equally likely, and so is every onset that one can have.
    tau : ndarray, shape (F, G)
        Time constants in the middle of the cells; 1 where a family has no such onset.
    log_edges : ndarray, shape (F, G + 1)
        Logarithms of the time constants at the edges, from -inf to inf.
    """

    edges: Array
    families: tuple[Family, ...]
    prior: Array
    tau: Array
    log_edges: Array

    def curves(self, x: Array) -> Array:
        """All curves as one run sees them.

        Parameters
        ----------
        x : ndarray, shape (T,)
            Its checkpoints as shares of training between the recipe's first and last checkpoint.

        Returns
        -------
        ndarray, shape (F, G, T)
            By family and cell.
        """
        pairs = zip(self.families, self.tau, strict=True)
        return np.stack([family.seen_by(x, tau) for family, tau in pairs])

    def transition(self, spread: float) -> Array:
        """Probability of a run's cell, given the recipe's.

        Parameters
        ----------
        spread : float
            Standard deviation of log tau between runs.

        Returns
        -------
        ndarray, shape (F, G, G)
            From the recipe's cell to the run's; what lies beyond the grid falls into its outermost cells.
        """
        from scipy.special import ndtr

        distance = self.log_edges[:, None, :] - np.log(self.tau)[:, :, None]
        steps: Array = np.diff(ndtr(distance / spread), axis=-1)
        return steps


def onset_grid(families: Sequence[Family], target: float, first_gap: float, count: int = 120) -> OnsetGrid:
    """Divide the run into cells of equal width, and its start further where checkpoints are denser.

    Parameters
    ----------
    families : sequence of Family
        Curves.
    target : float
        Share of the change that counts as the onset.
    first_gap : float
        First gap between checkpoints as a share of the run.
    count : int
        Cells of equal width.

    Returns
    -------
    OnsetGrid
        Cells with priors and time constants.
    """
    width, finest = 1 / count, min(first_gap, 1 / count) / 2
    early = np.geomspace(finest, width, 1 + round(PER_FACTOR * np.log(width / finest)))
    edges = np.unique(np.concatenate([np.linspace(0, 1, count + 1), early[:-1]]))
    parts = [_cells(family, edges, target) for family in families]
    prior, tau, log_edges = (np.stack(part) for part in zip(*parts, strict=True))
    return OnsetGrid(edges, tuple(families), prior / len(parts), tau, log_edges)


def _cells(family: Family, edges: Array, target: float) -> tuple[Array, Array, Array]:
    largest = family.largest_onset(target)
    inside = np.minimum(edges, largest)
    prior = np.diff(inside) / largest
    middle = np.where(prior > 0, (inside[1:] + inside[:-1]) / 2, largest / 2)
    tau = np.where(prior > 0, family.time_constant(middle, target), 1.0)
    within = (edges > 0) & (edges < largest)
    log_edges = np.where(edges >= largest, np.inf, -np.inf)
    log_edges[within] = np.log(family.time_constant(edges[within], target))
    return prior, tau, log_edges
