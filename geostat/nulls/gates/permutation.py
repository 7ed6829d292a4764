"""The gate null of unrounded weights: whole rows and columns of the update moved elsewhere, then rounded."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from geostat.linalg.elementwise_masks import Ranking
from geostat.linalg.rounding import round_to_bf16
from geostat.linalg.rounding_cells import rounding_cells

__all__ = ["DeadZones", "dead_zones", "dispersion", "dispersion_of", "mask_figures", "permuted_figures"]

Floats = npt.NDArray[np.float64]


class DeadZones(NamedTuple):
    """Between which ends an entry's update leaves its rounded value as it is.

    Attributes
    ----------
    low, high : torch.Tensor
        Shape (m, n), float64; both ends belong to the zone.
    """

    low: Tensor
    high: Tensor

    def visible(self, update: Tensor) -> Tensor:
        """Entries that an update changes.

        Parameters
        ----------
        update : torch.Tensor
            Shape (m, n), float64.

        Returns
        -------
        torch.Tensor
            Shape (m, n), bool.
        """
        return (update < self.low) | (update > self.high)


def dead_zones(initial: Tensor) -> DeadZones:
    """Dead zones of unrounded weights under rounding to bf16.

    Parameters
    ----------
    initial : torch.Tensor
        Shape (m, n), float64.

    Returns
    -------
    DeadZones
        An end at which ties go elsewhere is moved inwards by one float64.
    """
    rounded = round_to_bf16(initial)
    shift = rounded.to(torch.float64) - initial
    low, high = (end + shift for end in rounding_cells(rounded, rounded))
    odd = (rounded.view(torch.int16) & 1).bool()
    return DeadZones(
        torch.where(odd, torch.nextafter(low, high), low), torch.where(odd, torch.nextafter(high, low), high)
    )


def dispersion(visible: Tensor, dim: int) -> float:
    r"""Index of dispersion of the visible share over rows or columns.

    .. math:: \frac{1}{m - 1} \sum_i \frac{(c_i - \bar c)^2}{\bar c (1 - \bar c / n)}

    with the number c_i of visible entries in row i of n: 1 in expectation where every entry is as likely.

    Parameters
    ----------
    visible : torch.Tensor
        Shape (m, n), bool.
    dim : int
        The dimension that is summed over: 1 for rows, 0 for columns.

    Returns
    -------
    float
        0 or more; NaN where nothing or everything is visible, or for a single row.
    """
    return float(dispersion_of(visible.sum(dim).numpy(), visible.shape[dim]))


def dispersion_of(counts: npt.NDArray[np.integer], length: int) -> Floats:
    """Index of dispersion from numbers of visible entries.

    Parameters
    ----------
    counts : numpy.ndarray
        Shape (..., rows).
    length : int
        Entries per row.

    Returns
    -------
    numpy.ndarray
        Shape (...).
    """
    mean = counts.mean(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(counts.var(axis=-1, ddof=1) / (mean * (1 - mean / length)))


def mask_figures(
    visible: Tensor, statistic: str, ranking: Ranking | None, alphas: tuple[float, ...]
) -> Floats:
    """Figures of a mask of visible entries.

    Parameters
    ----------
    visible : torch.Tensor
        Shape (m, n), bool.
    statistic : str
        As `gate_null` takes it.
    ranking : Ranking or None
        Of the masks of an overlap.
    alphas : tuple of float
        Sizes of the masks.

    Returns
    -------
    numpy.ndarray
        Shape (alphas,).
    """
    if ranking is not None:
        levels = ranking.levels(slice(0, visible.shape[0]))[visible.numpy().reshape(-1)]
        reaching = {edge: int(np.count_nonzero(levels >= edge)) for edge in ranking.edges()}
        if not len(levels):
            return np.full(len(alphas), np.nan)
        return np.array([ranking.share(alpha, len(levels), reaching) for alpha in alphas])
    if statistic.endswith("dispersion"):
        return np.array([dispersion(visible, 1 if statistic.startswith("row") else 0)])
    share = float(visible.double().mean())
    return np.array([1 - share if statistic == "update_sparsity" else share])


def permuted_figures(
    initial: Tensor,
    updated: Tensor,
    statistic: str,
    ranking: Ranking | None,
    alphas: tuple[float, ...],
    *,
    n: int,
    generator: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Figures of the data, and after moving whole rows and columns of the update elsewhere.

    Parameters
    ----------
    initial, updated : torch.Tensor
        Shape (m, n), float64, unrounded.
    statistic, ranking, alphas
        As `mask_figures` takes them.
    n : int
        Permutations.
    generator : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    tuple of numpy.ndarray
        Shapes (alphas,) and (n, alphas).
    """
    zones, update = dead_zones(initial), updated - initial
    rows, cols = update.shape
    observed = mask_figures(zones.visible(update), statistic, ranking, alphas)
    moved = np.empty((n, len(alphas)))
    for i in range(n):
        order, across = (torch.from_numpy(generator.permutation(size)) for size in (rows, cols))
        elsewhere = update.index_select(0, order).index_select(1, across)
        moved[i] = mask_figures(zones.visible(elsewhere), statistic, ranking, alphas)
    return observed, moved
