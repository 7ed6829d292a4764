"""How many directions of an update stand out of what noise and rounding give."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from geostat.linalg import factored
from geostat.linalg.rounding_cells import RoundingCells
from geostat.nulls.latents.model import Latent, moments, swept
from geostat.nulls.latents.undetected import edge_under_signs

__all__ = ["fitted", "with_hidden_directions"]

SURE = 2.0
"""How far beyond the edge a direction stands out: largest singular values vary by about 1 / 4 of this unit."""
ROUNDS = 8
"""Rounds in which directions are added."""
SETTLING = 4
"""Newton sweeps after directions were added."""
LONGEST = 40
"""Newton sweeps at the end, at most."""
SETTLED = 0.005
"""Relative change of the noise in a sweep at which the fit has settled."""


def fitted(cells: RoundingCells, *, max_rank: int, rng: np.random.Generator) -> Latent:
    r"""Fit of growing rank, until no direction is left that stands out.

    The derivative of the log likelihood by each entry of the low-rank part has mean 0 and independent
    entries once that part is complete. Its singular values are compared with those of the same matrix under
    random signs, which keep the variance of each entry and destroy every direction; directions above
    are added and all parameters fitted again.

    Parameters
    ----------
    cells : RoundingCells
        Where the update lies.
    max_rank : int
        Most directions.
    rng : numpy.random.Generator
        Source of the signs.

    Returns
    -------
    Latent
        Near the maximum of the posterior density.

    References
    ----------
    hong2020.
    """
    latent = _without_directions(cells)
    for _ in range(ROUNDS):
        grown = _with_directions(cells, latent, max_rank, rng)
        if grown.rank == latent.rank:
            break
        latent = grown
        latent = _settled(cells, latent, SETTLING)
    return _settled(cells, latent, LONGEST)


def with_hidden_directions(cells: RoundingCells, latent: Latent, count: int) -> Latent:
    """Add the next directions, though they do not stand out: some of them may be real.

    Parameters
    ----------
    cells : RoundingCells
        Where the update lies.
    latent : Latent
        A fit.
    count : int
        How many directions are added; fewer where the matrix has no more.

    Returns
    -------
    Latent
        With half the size that a Newton step gives the new ones.
    """
    room = min(count, min(cells.low.shape) - latent.rank)
    if room <= 0:
        return latent
    return _settled(cells, _added(cells, latent, room, lambda values: room, share=0.5), SETTLING)


def _settled(cells: RoundingCells, latent: Latent, sweeps: int) -> Latent:
    for _ in range(sweeps):
        before, latent = latent.noise, swept(cells, latent)
        if abs(latent.noise / before - 1) < SETTLED:
            break
    return latent


def _without_directions(cells: RoundingCells) -> Latent:
    middle = (cells.low + cells.high) / 2
    empty = middle.new_zeros
    size = float(torch.linalg.vector_norm(middle)) / math.sqrt(middle.numel())
    rows, cols = middle.shape
    latent = Latent(
        left=empty((rows, 0)),
        right=empty((cols, 0)),
        noise=size,
        rows=empty(rows),
        cols=empty(cols),
        left_slack=empty(rows),
        right_slack=empty(cols),
    )
    return _settled(cells, latent, LONGEST)


def _with_directions(cells: RoundingCells, latent: Latent, max_rank: int, rng: np.random.Generator) -> Latent:
    room = max_rank - latent.rank
    if room <= 0:
        return latent
    score = moments(cells, latent).mean / latent.sd
    edge = edge_under_signs(score, rng) * (1 + SURE / math.pow(min(score.shape), 2 / 3))
    return _added(cells, latent, room, lambda values: int((values > edge).sum()))


def _added(
    cells: RoundingCells, latent: Latent, room: int, count: Callable[[Tensor], int], *, share: float = 1.0
) -> Latent:
    """Leading singular vectors of the score, as long as one Newton step along each makes them."""
    found = moments(cells, latent)
    score = factored(found.mean / latent.sd)
    score.wanted = room
    values = score.leading_values(room)
    added = count(values)
    if added == 0:
        return latent
    left, right = score.vectors(added, "left"), score.vectors(added, "right")
    weighted = (left**2).mT @ ((1 - found.variance) / latent.sd**2)
    sizes = share * values[:added] / (weighted * (right**2).mT).sum(dim=1)
    scale = math.sqrt(len(left))
    return replace(
        latent,
        left=torch.cat([latent.left, left * scale], dim=1),
        right=torch.cat([latent.right, right * (sizes / scale)], dim=1),
    )
