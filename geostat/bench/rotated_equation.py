"""The coupled Riccati equation of a pair of leading singular subspaces, solved from their start."""

from typing import NamedTuple

import torch
from torch import Tensor

from geostat.linalg.products import product

__all__ = ["Blocks", "Graph", "solve_graph"]

_COARSE = 1e-6
"""Change of the unknowns down to which float32 products do: their rounding is far below it."""
_FINE = 1e-11
_SWEEPS = 40


class Blocks(NamedTuple):
    """W_t in W_0's singular basis: a diagonal and what lies beside it, cut after the k-th direction.

    Attributes
    ----------
    head, tail : torch.Tensor
        Shape (k,) and (min(m, n) - k,): the diagonal, float64.
    f11, f12, f21, f22 : torch.Tensor
        Shape (k, k), (k, n - k), (m - k, k), (m - k, n - k): the rest.
    """

    head: Tensor
    tail: Tensor
    f11: Tensor
    f12: Tensor
    f21: Tensor
    f22: Tensor


class Graph(NamedTuple):
    """Two subspaces as graphs over the leading coordinates: the spans of (I; left) and (I; right).

    Attributes
    ----------
    left, right : torch.Tensor
        Shape (m - k, k) and (n - k, k), float64.
    residual : float
        Frobenius norm of what the equation leaves, in the unit of the weights.
    """

    left: Tensor
    right: Tensor
    residual: float


def solve_graph(blocks: Blocks) -> Graph | None:
    r"""Solve for the subspaces that W_t keeps, beginning with W_0's.

    With B = diag + F, the spans of (I; P) and (I; Q) are a pair of singular subspaces of B exactly where

    .. math:: P S_1 - S_2 Q &= F_{21} + F_{22} Q - P (F_{11} + F_{12} Q) \\
              Q S_1 - S_2^\top P &= F_{12}^\top + F_{22}^\top P - Q (F_{11}^\top + F_{21}^\top P)

    The left sides decouple into one system of two unknowns per entry; the right ones are taken from
    the last P and Q, with float32 products while changes are large and float64 products after.

    Parameters
    ----------
    blocks : Blocks
        W_t in W_0's basis; every entry of `head` above every entry of `tail`.

    Returns
    -------
    Graph or None
        None where the sweeps do not contract.

    References
    ----------
    Stewart (1973), SIAM Review 15; Demmel (1987), Computing 38.
    """
    coarse = Blocks(blocks.head, blocks.tail, *(block.to(torch.float32) for block in blocks[2:]))
    left = torch.zeros_like(blocks.f21)
    right = torch.zeros_like(blocks.f12.mT)
    last = float("inf")
    used, goal = coarse, _COARSE
    for _ in range(_SWEEPS):
        new_left, new_right = _sweep(used, left, right)
        moved_left, moved_right = new_left - left, new_right - right
        change = float(torch.hypot(moved_left.norm(), moved_right.norm()))
        left, right = new_left, new_right
        if used is blocks and change <= _FINE * (1 + float(left.norm())):
            return Graph(left, right, _defect(blocks, moved_left, moved_right))
        stalls = not change < 0.5 * last
        if used is coarse and (change <= goal or stalls):
            used, last = blocks, float("inf")
        elif stalls:
            return None
        else:
            last = change
    return None


def _sweep(blocks: Blocks, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    a = _right_side(blocks.f11, blocks.f12, blocks.f21, blocks.f22, left, right)
    b = _right_side(blocks.f11.mT, blocks.f21.mT, blocks.f12.mT, blocks.f22.mT, right, left)
    return _decoupled(blocks.head, blocks.tail, a, b)


def _right_side(f11: Tensor, f12: Tensor, f21: Tensor, f22: Tensor, own: Tensor, other: Tensor) -> Tensor:
    mixed = (f11 + _product(f12, other)).to(f11.dtype)
    return f21 + _product(f22, other) - _product(own, mixed)


def _product(first: Tensor, second: Tensor) -> Tensor:
    """Multiply in the coarser of two dtypes; the result is float64."""
    dtype = torch.float32 if torch.float32 in (first.dtype, second.dtype) else torch.float64
    return product(first.to(dtype), second.to(dtype)).to(torch.float64)


def _decoupled(head: Tensor, tail: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Solve p s_1 - s_2 q = a, q s_1 - s_2 p = b entry by entry; beyond the tail s_2 = 0."""
    count = len(tail)
    s = tail[:, None]
    scale = 1 / ((head + s) * (head - s))
    left, right = a / head, b / head
    left[:count] = (head * a[:count] + s * b[:count]) * scale
    right[:count] = (head * b[:count] + s * a[:count]) * scale
    return left, right


def _defect(blocks: Blocks, moved_left: Tensor, moved_right: Tensor) -> float:
    """What the equation left before the last sweep: its left sides, of the last change."""
    count = len(blocks.tail)
    s = blocks.tail[:, None]
    a, b = moved_left * blocks.head, moved_right * blocks.head
    a[:count] -= s * moved_right[:count]
    b[:count] -= s * moved_left[:count]
    return float(torch.hypot(a.norm(), b.norm()))
