"""Rotation of W_0's principal subspaces, followed without decomposing W_t."""

from typing import NamedTuple

import torch
from torch import Tensor

from geostat.bench.rotated_equation import Blocks, Graph, solve_graph
from geostat.bench.rotated_window import Window, spectral_norm, widest_gap, windows
from geostat.bench.tangents import angles_of_tangents
from geostat.linalg.factored import Factored, require_same_shape
from geostat.linalg.products import product
from geostat.protocols import check_setting

__all__ = ["Rotation", "rotated_angles"]

_GATE = 0.2
"""Ratio of the update to the gap across the window from which on it is not followed."""
_STEEPEST = 1e4
"""Tangent from which on a subspace is no graph over W_0's that float64 could tell."""


class Rotation(NamedTuple):
    """How far both principal subspaces turned.

    Attributes
    ----------
    left, right : torch.Tensor
        Shape (k,): principal angles in radians, ascending.
    residual : float
        What the equation left, over the largest singular value.
    bound : float
        Bound on the error of the angles, in radians, that follows.
    """

    left: Tensor
    right: Tensor
    residual: float
    bound: float


def rotated_angles(initial: Factored, updated: Factored, k: int) -> Rotation | None:
    r"""Principal angles between the leading k singular subspaces of W_0 and of W_t, for small updates.

    In W_0's own singular basis W_t is nearly diagonal: with :math:`F = U_0^\top \Delta W V_0`,

    .. math:: U_0^\top W_t V_0 = \mathrm{diag}(s(W_0)) + F

    The directions k - w to k + w, whose singular values lie close, are decoupled by a small
    decomposition; what is left of F is then small against the gap across that window, and the leading
    pair of subspaces is found as a pair of graphs (I; P), (I; Q) by `solve_graph`. Their principal
    angles against W_0's are the arctangents of the singular values of P and Q, turned back by the
    window. None where norm_2 of the rest reaches a fifth of the gap across the widest window, where the
    k-th direction may have been exchanged for the next, or where the sweeps do not contract.

    Parameters
    ----------
    initial, updated : Factored
        Shape (m, n). The first is decomposed once and kept; the second is not.
    k : int
        Dimension of the subspaces, below min(m, n).

    Returns
    -------
    Rotation or None
        None where the update is too large to be followed: compare two decompositions then.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If k is no count.

    References
    ----------
    Stewart (1973), SIAM Review 15; Wedin (1972), BIT 12.
    """
    check_setting("K", k, shown="k")
    require_same_shape(initial, updated)
    if k >= initial.smaller:
        return None
    update = updated.values - initial.values
    if not spectral_norm(update) < _GATE * widest_gap(initial.singular_values, k):
        return None
    left, values, right = _complete_basis(initial)
    turned = product(product(left.mT, update), right)
    for window in windows(values, turned, k):
        if window.ratio < _GATE and not window.swaps:
            blocks = _blocks(window, k)
            graph = solve_graph(blocks)
            found = _rotation(window, blocks, graph, values) if graph is not None else None
            if found is not None:
                return found
    return None


def _complete_basis(initial: Factored) -> tuple[Tensor, Tensor, Tensor]:
    """Bases of both whole spaces, the singular vectors first."""

    def complete(basis: Tensor) -> Tensor:
        if basis.shape[0] == basis.shape[1]:
            return basis.contiguous()
        whole: Tensor = torch.linalg.qr(basis, mode="complete").Q
        whole[:, : basis.shape[1]] = basis  # QR may turn signs
        return whole

    def build() -> tuple[Tensor, Tensor, Tensor]:
        left, values, right = initial.svd
        return complete(left), values, complete(right)

    found: tuple[Tensor, Tensor, Tensor] = initial.remember(("complete basis",), build)
    return found


def _blocks(window: Window, k: int) -> Blocks:
    rest, diagonal = window.rest, window.diagonal
    parts = (rest[:k, :k], rest[:k, k:], rest[k:, :k], rest[k:, k:])
    return Blocks(diagonal[:k], diagonal[k:], *(part.contiguous() for part in parts))


def _rotation(window: Window, blocks: Blocks, graph: Graph, values: Tensor) -> Rotation | None:
    tangents = (_turned_back(window.left, graph.left), _turned_back(window.right, graph.right))
    if max(float(each.abs().max()) for each in tangents) > _STEEPEST:
        return None
    gap = float(blocks.head.min() - blocks.tail.max())
    largest = float(values[0])
    rounding = len(values) * float(torch.finfo(torch.float64).eps) * largest
    left, right = (angles_of_tangents(each) for each in tangents)
    return Rotation(left, right, graph.residual / largest, (graph.residual + rounding) / gap)


def _turned_back(rotation: Tensor, graph: Tensor) -> Tensor:
    r"""Tangents against W_0's subspace of the span of R (I; P), where R turns the window.

    With :math:`R (I; P) = (M_1; M_2)` they are :math:`M_2 M_1^{-1}`; M_1 differs from I in the last w rows.
    Infinite where a direction turned by 90 degrees.
    """
    width = len(rotation) // 2
    first, second = slice(None, width), slice(width, None)
    r11, r12 = rotation[first, first], rotation[first, second]
    r21, r22 = rotation[second, first], rotation[second, second]
    tangents = graph.clone()
    tangents[:width] = product(r22, graph[:width])
    tangents[:width, -width:] += r21
    last = product(r12, graph[:width])  # the last w rows of M_1, but for r11
    corner = r11 + last[:, -width:]
    edge, singular = torch.linalg.solve_ex(corner, tangents[:, -width:], left=False)
    if int(singular):
        return torch.full_like(graph, torch.inf)
    tangents[:, :-width] -= product(edge.contiguous(), last[:, :-width])
    tangents[:, -width:] = edge
    return tangents
