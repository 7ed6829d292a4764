"""How a decomposition was computed, and how far off it can be."""

import enum
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geostat.linalg.products import product

__all__ = ["Certificate", "Method", "certify", "dearest"]

_PROBES = 8


class Method(enum.IntEnum):
    """How a spectrum or its leading directions were computed; the store keeps the number."""

    none = 0
    svd = 1
    tridiagonal = 2
    deflated = 3
    lanczos = 4

    @property
    def sentence(self) -> str:
        """The method in words."""
        return _SENTENCES[self]


_SENTENCES = {
    Method.none: "nothing was decomposed",
    Method.svd: "singular value decomposition in float64",
    Method.tridiagonal: "one tridiagonalisation of the Gram matrix of the smaller side",
    Method.deflated: "the same after the leading directions were taken out",
    Method.lanczos: "block Lanczos for the leading directions",
}


_BY_COST = (
    Method.none,
    Method.tridiagonal,
    Method.lanczos,
    Method.deflated,
    Method.svd,
)


def dearest(*methods: Method) -> Method:
    """Name the method that cost most, where one matrix needed several.

    Parameters
    ----------
    *methods : Method
        One or more.

    Returns
    -------
    Method
        One of them.
    """
    return max(methods, key=_BY_COST.index)


@dataclass(frozen=True)
class Certificate:
    """What is known of the error of a decomposition.

    Attributes
    ----------
    method : Method
        How it was computed.
    residual : float
        No norm_2(A v_i - s_i u_i) or norm_2(A^T u_i - s_i v_i) of the singular pairs that were computed is
        larger than this times s_1, see `certify`. 0 where there are none.
    bound : float
        Bound on the angle, in radians, between the computed leading subspace and the true one. 0 where none
        was computed; infinite where nothing can be said.
    """

    method: Method
    residual: float = 0.0
    bound: float = 0.0


def certify(
    matrix: Tensor, left: Tensor, values: Tensor, right: Tensor, following: float, method: Method
) -> Certificate:
    r"""Measure the residual of singular triplets, and bound the angle of their subspaces by it.

    .. math:: R = A V - U S, \quad Q = A^\top U - V S, \qquad
              \sin\theta \le \sqrt{\|R\|_F^2 + \|Q\|_F^2} \,/\, (s_k - s_{k+1})

    The norms are taken from products with eight vectors of random signs z: the mean of :math:`\|R z\|^2` is
    :math:`\|R\|_F^2`, and twice the largest of eight lies below :math:`\|R\|_F` about once in 10,000 times
    at worst.

    Parameters
    ----------
    matrix : torch.Tensor
        Shape (m, n), float64.
    left, values, right : torch.Tensor
        Shapes (m, k), (k,), (n, k).
    following : float
        The singular value after the last of `values`.
    method : Method
        How they were computed.

    Returns
    -------
    Certificate
        Residual over s_1, and the bound, infinite where it would be 1 radian or more.

    References
    ----------
    wedin1972.
    """
    signs = np.random.default_rng((*matrix.shape, len(values))).integers(0, 2, (len(values), _PROBES))
    probes = torch.from_numpy(2.0 * signs - 1.0).to(matrix.device)
    scaled = values[:, None] * probes
    off_left = product(matrix, product(right, probes)) - product(left, scaled)
    off_right = product(matrix.mT, product(left, probes)) - product(right, scaled)
    largest, gap = float(values[0]), float(values[-1]) - following
    if not largest > 0:
        return Certificate(method, 0.0, math.inf)
    shares = ((off / largest).square().sum(0).max().sqrt() for off in (off_left, off_right))
    residual = 2 * math.hypot(*map(float, shares))
    bound = residual * (largest / gap) if gap > 0 else math.inf
    return Certificate(method, residual, bound if bound < 1 else math.inf)
