"""The gate null within magnitudes of W_0: what does not depend on W_0 through magnitudes alone."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from geostat.linalg.elementwise_masks import Ranking
from geostat.nulls.gates.counts import GROUPS
from geostat.nulls.gates.permutation import dispersion_of
from geostat.nulls.gates.storage import SixteenBit

__all__ = ["StrataNull", "dispersion_within_strata", "overlap_within_strata"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class StrataNull(NamedTuple):
    """Figures of the data and under permutation within strata.

    Attributes
    ----------
    observed, mean, sd : float
        Of the figure.
    draws : numpy.ndarray or None
        Simulated figures, where the law is not close to a Gaussian one.
    """

    observed: float
    mean: float
    sd: float
    draws: Floats | None = None


class _Strata:
    """Every entry's stratum, the magnitude of W_0 as it is stored, and whether it changed; flat."""

    def __init__(self, pair: SixteenBit) -> None:
        before, after = (each.view(torch.int16).numpy().reshape(-1) for each in pair)
        self.code = (before & 0x7FFF).astype(np.int64)
        self.changed = (before != after) & (((before | after) & 0x7FFF) != 0)
        self.shape = tuple(pair.initial.shape)
        self.size = np.bincount(self.code)
        self.chance = self.mean_of(self.changed)

    def mean_of(self, values: npt.NDArray[np.generic]) -> Floats:
        """Mean per stratum, shape (strata,)."""
        return np.asarray(np.bincount(self.code, values) / np.maximum(self.size, 1))


def overlap_within_strata(pair: SixteenBit, ranking: Ranking, alpha: float) -> StrataNull:
    r"""Overlap with a mask, against masks of visible entries drawn anew within magnitudes.

    The mean is exact: the entries of magnitude c that changed lie in the mask with the share q_c of all entries
    of that magnitude. Observed less mean is the sum of :math:`(x_{ij} - p_c)(y_{ij} - q_c)` over all entries, over
    the number of visible ones (x visible, y in the mask); its variance is taken over blocks of rows and of
    columns, so that neighbours may depend on each other. Permuting entries one by one would not allow that.

    Parameters
    ----------
    pair : SixteenBit
        Shape (m, n).
    ranking : Ranking
        The masks.
    alpha : float
        Which one.

    Returns
    -------
    StrataNull
        Without draws.
    """
    strata, cut = _Strata(pair), ranking.cuts[alpha]
    levels = ranking.levels(slice(0, strata.shape[0]))
    inside = np.where(levels >= cut.above, 1.0, np.where(levels >= cut.tied, cut.chance, 0.0))
    share = strata.mean_of(inside)
    visible = int(strata.changed.sum())
    mean = float(strata.changed @ share[strata.code]) / visible
    product = (strata.changed - strata.chance[strata.code]) * (inside - share[strata.code])
    sd = np.sqrt(_two_way(product.reshape(strata.shape))) / visible
    return StrataNull(float(strata.changed @ inside) / visible, mean, float(sd))


def dispersion_within_strata(
    pair: SixteenBit, statistic: str, *, n: int, generator: np.random.Generator
) -> StrataNull:
    """Dispersion over rows or columns, against masks of visible entries drawn anew within magnitudes.

    The number of visible entries of a row is then a sum over its magnitudes, with mean and variance known
    exactly; it is drawn as Gaussian.

    Parameters
    ----------
    pair : SixteenBit
        Shape (m, n).
    statistic : {"row_dispersion", "column_dispersion"}
        Which.
    n : int
        Draws.
    generator : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    StrataNull
        With draws.
    """
    strata = _Strata(pair)
    axis = 1 if statistic.startswith("row") else 0
    chance = strata.chance[strata.code].reshape(strata.shape)
    without_replacement = strata.size / np.maximum(strata.size - 1, 1)
    spread = chance * (1 - chance) * without_replacement[strata.code].reshape(strata.shape)
    mean, variance = chance.sum(axis), spread.sum(axis) * (1 - 1 / len(chance.sum(axis)))
    counts = strata.changed.reshape(strata.shape).sum(axis)
    length = strata.shape[axis]
    noise = generator.standard_normal((n, len(mean))) * np.sqrt(variance)
    noise -= variance / variance.sum() * noise.sum(axis=1, keepdims=True)
    draws = dispersion_of(mean + noise, length)
    return StrataNull(
        float(dispersion_of(counts, length)), float(draws.mean()), float(draws.std(ddof=1)), draws
    )


def _two_way(product: Floats) -> float:
    """Variance of the sum of all entries, which may depend on each other along rows and along columns."""
    by_rows, by_columns = (_of_blocks(product.sum(axis)) for axis in (1, 0))
    alone = float((product**2).sum())
    return max(by_rows + by_columns - alone, alone)


def _of_blocks(sums: Floats) -> float:
    groups = min(len(sums), GROUPS)
    blocks = np.bincount(np.arange(len(sums)) * groups // len(sums), sums)
    return float((blocks**2).sum() * groups / max(groups - 1, 1))
