"""The few leading singular triplets of a large matrix by block Lanczos, where they converge."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geostat.linalg.certificate import Method, certify
from geostat.linalg.products import product
from geostat.linalg.spectra import ABSURD, Leading

__all__ = ["block_lanczos", "worth_trying"]

LARGE = 2048
"""Smaller side from which leading triplets alone are cheaper where they converge; a failure costs a quarter."""
PER_DIRECTION = 64
"""Rows that the matrix must have for each direction."""
EXTRA = 8
"""Columns of a block beyond the directions that are wanted."""
STEPS = 16
"""Blocks after which it is given up."""
RESIDUAL = 1e-13
"""Largest residual over s_1 of a converged triplet."""
TURN = 1e-11
"""Largest angle between the computed and the true leading subspace, in radians."""
PROBE_STEPS = 4


@dataclass(frozen=True)
class _Ritz:
    """Triplets of the projected matrix, and the residuals of those of the whole one."""

    values: Tensor
    left: Tensor
    right: Tensor
    residuals: Tensor

    def turn(self, k: int) -> float:
        """Bound on the angle of the leading k, from residuals and the gap behind them."""
        gap = float(self.values[k - 1] - self.values[k] - self.residuals[k])
        return float(torch.linalg.vector_norm(self.residuals[:k])) / gap if gap > 0 else math.inf

    def converged(self, k: int) -> bool:
        """Whether k values and their subspace are as accurate as they can be told to be."""
        return float(self.residuals[:k].max()) <= RESIDUAL * float(self.values[0]) or self.turn(k) <= TURN


def worth_trying(smaller: int, k: int) -> bool:
    """Whether k leading triplets alone are looked for before a whole decomposition.

    Parameters
    ----------
    smaller : int
        min(m, n).
    k : int
        How many triplets.

    Returns
    -------
    bool
        True for few directions of a large matrix.
    """
    return smaller >= LARGE and k <= smaller // PER_DIRECTION


def block_lanczos(matrix: Tensor, k: int) -> Leading | None:
    r"""Leading singular triplets by block Lanczos with full reorthogonalisation.

    From a block of k + 8 random columns, seeded by the shape, alternate products with A and its transpose
    build orthonormal bases; the singular triplets of the small projected matrix converge to the leading
    ones of A. Their residuals over the gap behind the last bound the angle of the subspace (Wedin).

    A residual cannot tell that a triplet was *missed*. That needs a direction to which all k + 8 columns
    are orthogonal up to rounding, which has probability below :math:`10^{-100}`; and a random vector,
    independent of the block, is driven through what is left, :math:`(A - U S V^\top)`, four times: if more
    comes out than :math:`s_{k+1}`, the answer is thrown away.

    Parameters
    ----------
    matrix : torch.Tensor
        Shape (m, n), float64, min(m, n) above 4 (k + 8).
    k : int
        How many triplets.

    Returns
    -------
    Leading or None
        None where they do not converge in sixteen blocks (flat spectra).

    References
    ----------
    wedin1972.
    """
    width = k + EXTRA
    rng = np.random.default_rng((*matrix.shape, k))
    start = torch.from_numpy(rng.standard_normal((matrix.shape[1], width))).to(matrix.device)
    right = _new_columns(start, start[:, :0])[0]
    left, projected = matrix[:, :0], matrix[:0, :0]
    block, before = right, math.inf
    for step in range(1, STEPS + 1):
        added, above, beside = _new_columns(product(matrix, block), left)
        left = torch.cat([left, added], dim=1)
        projected = _bordered(projected, above, beside)
        block, _, spill = _new_columns(product(matrix.mT, added), right)
        ritz = _ritz(projected, spill)
        if ritz.converged(k):
            return _leading(matrix, left, right, ritz, k, rng)
        now = ritz.turn(k)
        if not _worth_going_on(step, before, now):
            return None
        right, before = torch.cat([right, block], dim=1), now
    return None


def _new_columns(columns: Tensor, basis: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Q, C, R with columns = basis C + Q R and Q orthonormal to the basis, even where columns lack rank."""
    coefficients = product(basis.mT, columns)
    rest = columns - product(basis, coefficients)
    again = product(basis.mT, rest)
    first, upper = torch.linalg.qr(rest - product(basis, again))
    second, small = torch.linalg.qr(first - product(basis, product(basis.mT, first)))
    return second, coefficients + again, product(small, upper)


def _bordered(projected: Tensor, above: Tensor, beside: Tensor) -> Tensor:
    size, width = above.shape
    grown = projected.new_zeros((size + width, size + width))
    grown[:size, :size], grown[:size, size:], grown[size:, size:] = projected, above, beside
    return grown


def _ritz(projected: Tensor, spill: Tensor) -> _Ritz:
    left, values, right = torch.linalg.svd(projected)
    residuals = torch.linalg.vector_norm(product(spill, left[-spill.shape[1] :]), dim=0)
    return _Ritz(values, left, right.mT, residuals)


def _worth_going_on(step: int, before: float, now: float) -> bool:
    """Whether the bound on the angle, falling as in the last step, gets there in time."""
    if step < 4 or math.isinf(before):
        return step < STEPS // 2
    rate = now / before
    return rate < 1 and now * rate ** (STEPS - step) <= TURN


def _leading(
    matrix: Tensor, left: Tensor, right: Tensor, ritz: _Ritz, k: int, rng: np.random.Generator
) -> Leading | None:
    u, v, values = product(left, ritz.left[:, :k]), product(right, ritz.right[:, :k]), ritz.values[:k]
    following = float(ritz.values[k] + ritz.residuals[k])
    probe = torch.from_numpy(rng.standard_normal((matrix.shape[1], 1))).to(matrix.device)
    if _left_over(matrix, u, v, probe) > following + RESIDUAL * float(values[0]):
        return None
    certificate = certify(matrix, u, values, v, following, Method.lanczos)
    return Leading(values, u, v, certificate) if certificate.residual < ABSURD else None


def _left_over(matrix: Tensor, left: Tensor, right: Tensor, probe: Tensor) -> float:
    """Norm of A on a vector that A itself has turned towards the strongest direction not yet found."""
    for _ in range(PROBE_STEPS):
        probe = probe - product(right, product(right.mT, probe))
        probe = probe / torch.linalg.vector_norm(probe)
        image = product(matrix, probe)
        probe = product(matrix.mT, image - product(left, product(left.mT, image)))
        if not bool(probe.any()):
            return 0.0
    return float(torch.linalg.vector_norm(image))
