"""A low-rank update plus noise, seen through rounding cells: likelihood, Newton steps, draws.

An entry of the update is x = (A B')_ij + s e_ij with e standard normal, and only its cell is known. A has
independent standard normal entries, column k of B normal ones of variance gamma_k. Given B, rows of A are
independent of each other and their log likelihood is concave, so that a Newton step with its Hessian gives both
the mode and the spread of A; the same holds for B given A.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from geostat.linalg.rounding_cells import RoundingCells
from geostat.nulls.latents.moments import CellMoments, cell_moments

__all__ = ["Latent", "log_likelihood", "moments", "swept"]

QUIET = 0.03
"""Smallest noise, in units of the update's root mean square: less has no effect, and makes cells hard walls."""
_BOLDEST = 0.5
"""Largest change of the logarithm of the noise in one sweep."""


@dataclass(frozen=True, eq=False)
class Latent:
    """Parameters of the latent update.

    Attributes
    ----------
    left : torch.Tensor
        A, shape (m, r).
    right : torch.Tensor
        B, shape (n, r).
    noise : float
        s, in units of the weights.
    """

    left: Tensor
    right: Tensor
    noise: float

    @property
    def rank(self) -> int:
        """Number of directions r."""
        return self.left.shape[1]

    @property
    def mean(self) -> Tensor:
        """A B', shape (m, n)."""
        return self.left @ self.right.mT


def moments(cells: RoundingCells, latent: Latent) -> CellMoments:
    """Moments of the standardised noise in its cells.

    Parameters
    ----------
    cells : RoundingCells
        Where the update lies.
    latent : Latent
        Parameters.

    Returns
    -------
    CellMoments
        Each of shape (m, n).
    """
    mean = latent.mean
    return cell_moments((cells.low - mean) / latent.noise, (cells.high - mean) / latent.noise)


def log_likelihood(cells: RoundingCells, latent: Latent) -> float:
    """Logarithm of the probability of all cells.

    Parameters
    ----------
    cells : RoundingCells
        Where the update lies.
    latent : Latent
        Parameters.

    Returns
    -------
    float
        At most 0.
    """
    return float(moments(cells, latent).log_mass.sum())


def swept(cells: RoundingCells, latent: Latent, rng: np.random.Generator | None = None) -> Latent:
    """Take one Newton step in A, then in B, then in the noise; with `rng` draw them around it instead.

    Parameters
    ----------
    cells : RoundingCells
        Where the update lies.
    latent : Latent
        Where the step starts.
    rng : numpy.random.Generator, optional
        Source of the draws.

    Returns
    -------
    Latent
        Where it ends.
    """
    if latent.rank:
        ones = torch.ones(latent.rank, dtype=torch.float64, device=latent.left.device)
        found = moments(cells, latent)
        left = _stepped(found.mean, found.variance, latent.left, latent.right, latent.noise, ones, rng)
        latent = replace(latent, left=left)
        precision = _precision(latent.right, rng)
        found = moments(cells, latent)
        mean, variance = found.mean.mT, found.variance.mT
        right = _stepped(mean, variance, latent.right, latent.left, latent.noise, precision, rng)
        latent = replace(latent, right=right)
    return replace(latent, noise=_noise(cells, latent, rng))


def _stepped(
    mean: Tensor,
    variance: Tensor,
    mine: Tensor,
    other: Tensor,
    noise: float,
    precision: Tensor,
    rng: np.random.Generator | None,
) -> Tensor:
    """Rows of one factor, given the other: Newton's step, and a draw from the normal law around its end."""
    rank = mine.shape[1]
    pairs = (other[:, :, None] * other[:, None, :]).reshape(len(other), rank * rank)
    information = ((1 - variance) @ pairs).reshape(len(mine), rank, rank) / noise**2 + torch.diag(precision)
    gradient = mean @ other / noise - mine * precision
    root = torch.linalg.cholesky(information)
    step = torch.cholesky_solve(gradient[:, :, None], root)
    if rng is not None:
        normal = torch.from_numpy(rng.standard_normal((*mine.shape, 1))).to(mine.device)
        step = step + torch.linalg.solve_triangular(root.mT, normal, upper=True)
    return mine + step[:, :, 0]


def _precision(factor: Tensor, rng: np.random.Generator | None) -> Tensor:
    """Inverse variances of the columns: their mode, or a draw from their inverse gamma law."""
    count, energy = len(factor), (factor**2).sum(dim=0)
    if rng is None:
        return count / energy
    drawn = torch.from_numpy(rng.chisquare(count, factor.shape[1])).to(factor.device)
    return drawn / energy


def _noise(cells: RoundingCells, latent: Latent, rng: np.random.Generator | None) -> float:
    """Newton's step in the logarithm of the noise, which the many entries pin down."""
    found = moments(cells, latent)
    square = found.variance + found.mean**2
    score, information = float((square - 1).sum()), float((2 * square - found.spread).sum())
    step = score / information if information > 0 else math.copysign(_BOLDEST, score)
    if rng is not None and information > 0:
        step += rng.standard_normal() / math.sqrt(information)
    moved = latent.noise * math.exp(min(max(step, -_BOLDEST), _BOLDEST))
    channel = float(torch.linalg.vector_norm(latent.left @ torch.linalg.cholesky(_gram(latent.right))))
    return max(moved, QUIET * channel / math.sqrt(cells.low.numel()))


def _gram(factor: Tensor) -> Tensor:
    gram = factor.mT @ factor
    return gram + torch.diag(torch.full_like(gram[0], 1e-14) * gram.diagonal().max()) if len(gram) else gram
