"""Shares of changed entries in masks by magnitude: integer levels, cuts between them, no sort."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from geostat.linalg.elementwise import Comparison, compared, expected
from geostat.linalg.elementwise_blocks import Integers, Patterns, Space, row_blocks, without_sign
from geostat.linalg.elementwise_selection import order_statistics
from geostat.linalg.factored import Factored
from geostat.linalg.masks import Rule
from geostat.protocols import check_setting

__all__ = [
    "NEAR_TIE",
    "Ranking",
    "low_magnitude_overlap",
    "principal_overlap",
    "rank_by_magnitude",
    "rank_by_reconstruction",
]

NEAR_TIE = 1e-12
"""Entries of a reconstruction this close to a threshold, relative to its largest entry, count as tied."""
_BLOCK = 1 << 17

Levels = npt.NDArray[np.integer]
Key = tuple[float, float]


@dataclass(frozen=True)
class Cut:
    """Edge of a mask: entries of level `above` or more are beyond it, those from `tied` up to `above` on it.

    Attributes
    ----------
    tied, above : int
        Levels; none is tied where they are equal.
    chance : float
        Probability with which a tied entry is in the mask.
    """

    tied: int
    above: int
    chance: float


@dataclass(frozen=True)
class Ranking:
    """Masks of several sizes over one matrix, as integer levels.

    Attributes
    ----------
    levels : callable
        Rows -> flat integers, 0 or more, in the order of the magnitudes.
    cuts : mapping of float to Cut
        Share of all entries -> edge of its mask.
    largest : bool
        Whether a mask holds the levels above its edge, or those below.
    """

    levels: Callable[[slice], Levels]
    cuts: Mapping[float, Cut]
    largest: bool

    def edges(self) -> list[int]:
        """Levels at which entries must be counted."""
        return sorted({edge for cut in self.cuts.values() for edge in (cut.tied, cut.above)})

    def share(self, alpha: float, n_changed: int, reaching: Mapping[int, int]) -> float:
        """Expected share of entries inside, from how many reach each edge.

        Parameters
        ----------
        alpha : float
            Which mask.
        n_changed : int
            How many entries there are, at least one.
        reaching : mapping of int to int
            Edge -> entries of that level or a higher one.

        Returns
        -------
        float
            In [0, 1].
        """
        cut = self.cuts[alpha]
        beyond, on_it = reaching[cut.above], reaching[cut.tied] - reaching[cut.above]
        inside = beyond if self.largest else n_changed - beyond - on_it
        return (inside + cut.chance * on_it) / n_changed


def low_magnitude_overlap(
    initial: Factored, updated: Factored, *, alpha: float, eta: float, rule: Rule, space: Space
) -> float | None:
    """Expected share of changed entries among the round(alpha m n) smallest of W_0.

    Parameters
    ----------
    initial, updated : Factored
        Shape (m, n).
    alpha : float
        Share of entries in the mask.
    eta, rule, space
        What counts as changed, see `changed_count`; magnitudes are compared in the same space.

    Returns
    -------
    float or None
        In [0, 1], ties at the edge by their probability; None where nothing changed.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing.
    """
    check_setting("alpha", alpha)
    pair = compared(initial, updated, eta, rule, space)
    alphas = expected(initial, "alphas", alpha)
    ranking = initial.remember(
        ("low magnitudes", space, alphas), lambda: rank_by_magnitude(initial, alphas, space)
    )
    return _overlap(pair, ranking, ("low", alphas), (alpha, eta))


def principal_overlap(
    initial: Factored, updated: Factored, *, alpha: float, r: int, eta: float, rule: Rule, space: Space
) -> float | None:
    """Expected share of changed entries among the round(alpha m n) largest of W_0's rank-r reconstruction.

    Entries within `NEAR_TIE` of the threshold, relative to the largest entry, count as tied, so that two
    ways of computing the reconstruction give the same mask. One byte per entry is kept with W_0.

    Parameters
    ----------
    initial, updated : Factored
        Shape (m, n).
    alpha : float
        Share of entries in the mask.
    r : int
        Rank of the reconstruction.
    eta, rule, space
        What counts as changed, see `changed_count`.

    Returns
    -------
    float or None
        In [0, 1], ties at the edge by their probability; None where nothing changed.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing.
    """
    check_setting("alpha", alpha)
    pair = compared(initial, updated, eta, rule, space)
    alphas = expected(initial, "alphas", alpha)
    ranking = initial.remember(
        ("principal codes", r, alphas), lambda: rank_by_reconstruction(initial, r, alphas)
    )
    return _overlap(pair, ranking, ("principal", r, alphas), (alpha, eta))


def _overlap(pair: Comparison, ranking: Ranking, name: tuple[object, ...], asked: Key) -> float | None:
    """One share; those of all other expected settings come from the same pass."""
    alpha, eta = asked[0], pair.canonical(asked[1])
    etas = {pair.canonical(each) for each in expected(pair.updated, "etas", asked[1])}
    key = ("overlap", pair.initial, pair.rule, pair.space, name)
    known: dict[Key, float | None] = pair.updated.remember(key, dict)
    if (alpha, eta) not in known:
        known |= _shares(pair, ranking, etas)
    return known[alpha, eta]


def _shares(pair: Comparison, ranking: Ranking, etas: set[float]) -> dict[Key, float | None]:
    """Expected shares for every mask and tolerance, in one pass."""
    edges = ranking.edges()
    n_changed = dict.fromkeys(etas, 0)
    reaching = {eta: dict.fromkeys(edges, 0) for eta in etas}
    for rows, flags in pair.blocks(etas):
        levels = ranking.levels(rows)
        for eta, changed in flags.items():
            n_changed[eta] += int(np.count_nonzero(changed))
            visible = np.multiply(levels, changed, dtype=levels.dtype)
            for edge in edges:
                reaching[eta][edge] += int(np.count_nonzero(visible >= edge))
    for eta, counts in reaching.items():
        counts.update({edge: n_changed[eta] for edge in edges if edge <= 0})
    return {
        (alpha, eta): ranking.share(alpha, n_changed[eta], reaching[eta]) if n_changed[eta] else None
        for alpha in ranking.cuts
        for eta in etas
    }


def rank_by_magnitude(initial: Factored, alphas: tuple[float, ...], space: Space) -> Ranking:
    """Rank the entries of W_0 by the integers of their magnitudes; nothing is kept but the thresholds.

    Parameters
    ----------
    initial : Factored
        Shape (m, n).
    alphas : tuple of float
        Shares of entries in the masks.
    space : {"bf16", "raw"}
        Rounded to bf16 first, or as stored.

    Returns
    -------
    Ranking
        Its masks hold the smallest magnitudes.
    """
    patterns = Patterns(initial, torch.bfloat16 if space == "bf16" else initial.stored.dtype)

    def levels(rows: slice) -> Integers:
        return without_sign(patterns[rows])

    n_bits = 8 * levels(slice(0, 1)).itemsize
    wanted = {alpha: round(alpha * initial.rows * initial.cols) for alpha in alphas}
    some = [alpha for alpha in alphas if wanted[alpha] > 0]
    found = order_statistics(
        lambda: (levels(rows) for rows in row_blocks(initial, _BLOCK)),
        [wanted[alpha] - 1 for alpha in some],
        n_bits=n_bits,
    )
    cuts = dict.fromkeys(alphas, Cut(0, 0, 0.0))
    for alpha, edge in zip(some, found, strict=True):
        cuts[alpha] = Cut(edge.value, edge.value + 1, (wanted[alpha] - edge.below) / edge.equal)
    return Ranking(levels, cuts, largest=False)


def rank_by_reconstruction(initial: Factored, r: int, alphas: tuple[float, ...]) -> Ranking:
    """Rank the entries of W_0's rank-r reconstruction by one byte each: between which thresholds it lies.

    Parameters
    ----------
    initial : Factored
        Shape (m, n).
    r : int
        Rank of the reconstruction.
    alphas : tuple of float
        Shares of entries in the masks.

    Returns
    -------
    Ranking
        Its masks hold the largest magnitudes.
    """
    sizes = _reconstructed(initial, r)
    edges = _edges(sizes, alphas)
    steps = sorted({step for pair in edges.values() for step in pair})
    codes = np.zeros(sizes.size, dtype=np.min_scalar_type(len(steps)))
    for start in range(0, sizes.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        for step in steps:
            codes[part] += sizes[part] >= step
    reaching = np.cumsum(np.bincount(codes, minlength=len(steps) + 1)[::-1])[::-1]
    cuts = {alpha: _cut(round(alpha * sizes.size), edges.get(alpha), steps, reaching) for alpha in alphas}
    cols = initial.cols
    return Ranking(lambda rows: codes[rows.start * cols : rows.stop * cols], cuts, largest=True)


def _reconstructed(initial: Factored, r: int) -> npt.NDArray[np.float64]:
    """Magnitudes of the best approximation of rank r, flat."""
    left, right = initial.vectors(r, "left"), initial.vectors(r, "right")
    scaled = right * initial.leading_values(r)
    sizes = np.empty(initial.rows * initial.cols)
    for rows in row_blocks(initial, _BLOCK):
        part = slice(rows.start * initial.cols, rows.stop * initial.cols)
        sizes[part] = (left[rows] @ scaled.mT).abs_().reshape(-1).cpu().numpy()
    return sizes


def _edges(sizes: npt.NDArray[np.float64], alphas: tuple[float, ...]) -> dict[float, tuple[float, float]]:
    """Smallest magnitude that is tied, and smallest one beyond, for each mask that is not empty."""
    wanted = {alpha: round(alpha * sizes.size) for alpha in alphas}
    some = [alpha for alpha in alphas if wanted[alpha] > 0]
    patterns = sizes.view(np.int64)
    found = order_statistics(
        lambda: (patterns[start : start + _BLOCK] for start in range(0, sizes.size, _BLOCK)),
        [sizes.size - wanted[alpha] for alpha in some],
        n_bits=64,
    )
    margin = NEAR_TIE * float(sizes.max())
    thresholds = [float(np.int64(edge.value).view(np.float64)) for edge in found]
    return {
        alpha: (threshold - margin, float(np.nextafter(threshold + margin, np.inf)))
        for alpha, threshold in zip(some, thresholds, strict=True)
    }


def _cut(
    wanted: int, edge: tuple[float, float] | None, steps: list[float], reaching: npt.NDArray[np.int64]
) -> Cut:
    if edge is None:
        return Cut(len(steps) + 1, len(steps) + 1, 0.0)
    tied, above = (steps.index(each) + 1 for each in edge)
    n_above = int(reaching[above])
    return Cut(tied, above, (wanted - n_above) / (int(reaching[tied]) - n_above))
