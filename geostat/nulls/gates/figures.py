"""Figures that a mask of visible entries gives, from how many entries of each bin there are and changed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geostat.linalg.elementwise_masks import Ranking
from geostat.nulls.gates.bins import MagnitudeBins

__all__ = ["Figure", "density", "overlap", "sparsity"]

Floats = npt.NDArray[np.float64]
Numbers = Floats | npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Figure:
    """A share of entries that changed, or that did not.

    Attributes
    ----------
    weights : numpy.ndarray or None
        Shape (levels, bins): chance that an entry lies in the mask of an overlap; None for the share of all
        entries.
    unchanged : bool
        Whether the share is that of unchanged entries.
    """

    weights: Floats | None = None
    unchanged: bool = False

    def of(self, entries: Numbers, changed: Numbers) -> float:
        """Value of the figure.

        Parameters
        ----------
        entries, changed : numpy.ndarray
            Shape (levels, bins): how many entries there are, and how many of them changed, or are expected to.

        Returns
        -------
        float
            In [0, 1].
        """
        if self.weights is not None:
            return float((self.weights * changed).sum() / changed.sum())
        share = float(changed.sum() / entries.sum())
        return 1 - share if self.unchanged else share


def sparsity() -> Figure:
    """Share of unchanged entries.

    Returns
    -------
    Figure
        As `update_sparsity` defines it.
    """
    return Figure(unchanged=True)


def density() -> Figure:
    """Share of changed entries.

    Returns
    -------
    Figure
        As `update_density` defines it.
    """
    return Figure()


def overlap(ranking: Ranking, alpha: float, bins: MagnitudeBins) -> Figure:
    """Share of changed entries in a mask.

    Parameters
    ----------
    ranking : Ranking
        Masks by W_0's magnitudes (smallest), whose edges are edges of bins; or by its reconstruction (largest),
        whose levels are counted apart.
    alpha : float
        Which mask.
    bins : MagnitudeBins
        Bins of W_0's magnitude.

    Returns
    -------
    Figure
        As the diagnostics define it: ties count by their probability.
    """
    cut = ranking.cuts[alpha]
    if ranking.largest:
        level = np.arange(max(ranking.edges(), default=0) + 1)[:, None]
        inside = np.where(level >= cut.above, 1.0, np.where(level >= cut.tied, cut.chance, 0.0))
        return Figure(np.broadcast_to(inside, (len(level), len(bins.first))))
    inside = np.where(bins.first < cut.tied, 1.0, np.where(bins.first < cut.above, cut.chance, 0.0))
    return Figure(inside[None, :])
