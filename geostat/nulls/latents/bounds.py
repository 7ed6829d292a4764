"""Bounds on an update that need no model: what its rounding cells alone say."""

import math

import torch
from torch import Tensor

from geostat.linalg import factored
from geostat.linalg.rounding_cells import RoundingCells

__all__ = ["Bounds", "bounds"]

Bounds = dict[str, tuple[float, float]]


def bounds(cells: RoundingCells, K: int, *directions: tuple[Tensor, Tensor]) -> Bounds:
    r"""Intervals that hold for every update in the cells.

    With :math:`c`, :math:`\rho` the middles and half-widths of the cells, and :math:`x^-`, :math:`x^+` the points
    nearest to and farthest from zero,

    .. math:: \|x^-\|_F \le \|\Delta W\|_F \le \|x^+\|_F, \qquad
        \|\Delta W\|_2 \le \min(\|c\|_2 + \|\rho\|_2, \|x^+\|_2), \qquad
        \|\Delta W\|_2 \ge \sum_{ij} \min_{x_{ij}} u_i v_j x_{ij}

    for any unit vectors u and v; the norms of the non-negative matrices bound those of all matrices whose
    entries are no larger. They are sure, and wide.

    Parameters
    ----------
    cells : RoundingCells
        Where the update lies.
    K : int
        Size of the channel.
    *directions : tuple of torch.Tensor
        Unit vectors (m,) and (n,) along which the update is thought to be strong.

    Returns
    -------
    dict
        Ends for ``update_norm``, ``stable_rank`` and ``top_k_energy``.
    """
    low, high = cells
    smaller = min(low.shape)
    nearest, farthest = low.clamp(min=0) - high.clamp(max=0), torch.maximum(-low, high)
    shortest, longest = (float(torch.linalg.vector_norm(part)) for part in (nearest, farthest))
    widest = _widest(low, high, farthest, longest)
    narrowest = max([shortest / math.sqrt(smaller), *(_at_least(low, high, u, v) for u, v in directions)])
    flat = shortest / widest
    return {
        "update_norm": (shortest, longest),
        "stable_rank": (max(1.0, flat**2), min(smaller, _ratio(longest, narrowest) ** 2)),
        "top_k_energy": (max(min(1.0, K / smaller), (narrowest / longest) ** 2), _most_energy(K, flat)),
    }


def _widest(low: Tensor, high: Tensor, farthest: Tensor, longest: float) -> float:
    parts = [factored(part).spectral_norm for part in ((low + high) / 2, (high - low) / 2, farthest)]
    return min(parts[0] + parts[1], parts[2], longest)


def _at_least(low: Tensor, high: Tensor, u: Tensor, v: Tensor) -> float:
    outer = torch.outer(u, v)
    return float((outer.clamp(min=0) * low + outer.clamp(max=0) * high).sum())


def _ratio(first: float, second: float) -> float:
    return first / second if second > 0 else math.inf


def _most_energy(K: int, flat: float) -> float:
    """K directions of the largest size hold all of the energy, unless the rest must hold some."""
    return 1.0 if flat == 0 else min(1.0, K / flat**2)
