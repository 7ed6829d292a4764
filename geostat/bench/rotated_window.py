"""The window around the k-th direction, where singular values lie close: it is decomposed, not iterated."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from geostat.linalg.products import product

__all__ = ["Window", "spectral_norm", "widest_gap", "windows"]

_WIDTHS = (8, 16, 32, 64, 128, 256)
_EASY = 0.03
"""Ratio of the update to the window's gap below which a sweep gains more than one digit."""
_POWER_STEPS = 12


class Window(NamedTuple):
    """W_t in W_0's basis, after the directions k - w to k + w were rotated to decouple them.

    Attributes
    ----------
    width : int
        w: directions on either side of the cut.
    left, right : torch.Tensor
        Shape (2 w, 2 w): the rotation of either side's directions.
    diagonal : torch.Tensor
        Shape (min(m, n),): the diagonal after it.
    rest : torch.Tensor
        Shape (m, n): what lies beside the diagonal.
    ratio : float
        norm_2(rest) over the gap across the window.
    swaps : bool
        Whether the rest may exchange the k-th direction with the next one.
    """

    width: int
    left: Tensor
    right: Tensor
    diagonal: Tensor
    rest: Tensor
    ratio: float
    swaps: bool


def windows(values: Tensor, turned: Tensor, k: int) -> Iterator[Window]:
    """Windows to try, narrow ones first; those that could not do are left out.

    Parameters
    ----------
    values : torch.Tensor
        Shape (p,): the singular values of W_0, descending.
    turned : torch.Tensor
        Shape (m, n): the update in W_0's basis, U_0^T dW V_0, float64.
    k : int
        Where the spectrum is cut, below p.

    Yields
    ------
    Window
        In order of width.
    """
    diagonal = values + turned.diagonal()
    rest = turned.clone()
    rest.diagonal().zero_()
    size = spectral_norm(rest)
    widest = _widest(len(values), k)
    for width in dict.fromkeys(min(w, widest) for w in _WIDTHS):
        if size <= _EASY * _gap(diagonal, k, width) or width == widest:
            yield _decoupled(diagonal, rest, size, k, width)


def widest_gap(values: Tensor, k: int) -> float:
    """Gap across the widest window that is tried.

    Parameters
    ----------
    values : torch.Tensor
        Shape (p,), descending.
    k : int
        Where the spectrum is cut.

    Returns
    -------
    float
        In the unit of the weights.
    """
    return _gap(values, k, _widest(len(values), k))


def _widest(count: int, k: int) -> int:
    """Half of the smaller part at most: a window over everything would be a decomposition of W_t."""
    return max(1, min(min(k, count - k) // 2, _WIDTHS[-1]))


def _gap(diagonal: Tensor, k: int, width: int) -> float:
    """Distance of the k-th and the next value from those of the other side that lie beyond the window."""
    head, tail = diagonal[:k], diagonal[k:]
    above, below = head[: k - width], tail[width:]
    gaps = [above.min() - tail.max()] if len(above) else []
    gaps += [head.min() - below.max()] if len(below) else []
    return float(min(gaps)) if gaps else float("inf")


def _decoupled(diagonal: Tensor, rest: Tensor, size: float, k: int, width: int) -> Window:
    inside = slice(k - width, k + width)
    block = torch.diag(diagonal[inside]) + rest[inside, inside]
    u, s, vt = (torch.from_numpy(part).to(rest) for part in np.linalg.svd(block.cpu().numpy()))
    v = vt.mT.contiguous()
    diagonal, rest = diagonal.clone(), rest.clone()
    diagonal[inside] = s
    rest[inside] = product(u.mT, rest[inside])
    rest[:, inside] = product(rest[:, inside], v)
    rest[inside, inside] = 0
    gap = _gap(diagonal, k, width)
    ratio = size / gap if gap > 0 else float("inf")
    return Window(width, u, v, diagonal, rest, ratio, _swaps(diagonal, k, size * ratio))


def _swaps(diagonal: Tensor, k: int, shift: float) -> bool:
    """Whether the k-th value and the next may change order: each moves by norm_2(rest)^2 / gap at most."""
    return not float(diagonal[:k].min() - diagonal[k:].max()) > 2 * shift


def spectral_norm(matrix: Tensor) -> float:
    """Estimate the largest singular value from below, to a few percent.

    Parameters
    ----------
    matrix : torch.Tensor
        Shape (m, n).

    Returns
    -------
    float
        By power iteration from a fixed start; 0 for a zero matrix.
    """
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(matrix.shape[1], dtype=torch.float64, generator=generator).to(matrix)
    found = 0.0
    for _ in range(_POWER_STEPS):
        image = matrix @ (vector / vector.norm())
        found = float(image.norm())
        if found == 0.0:
            return 0.0
        vector = matrix.mT @ image
    return found
