"""A low-rank update plus noise, seen through rounding cells: likelihood, Newton steps, draws.

An entry of the update is x = (A B')_ij + s_ij e_ij with e standard normal, s_ij = s exp(p_i + q_j) and p, q
normal around 0; only its cell is known. A has independent standard normal entries, column k of B normal ones of
variance gamma_k. Given B, rows of A are
independent of each other and their log likelihood is concave, so that a Newton step with its Hessian gives both
the mode and the spread of A; the same holds for B given A.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from geostat.linalg.rounding_cells import RoundingCells
from geostat.nulls.latents.moments import CellMoments, cell_moments

__all__ = ["Latent", "information", "log_likelihood", "moments", "swept"]

QUIET = 0.03
"""Smallest noise, in units of the update's root mean square: less has no effect, and makes cells hard walls."""
_BOLDEST = 0.5
"""Largest change of the logarithm of the noise in one sweep."""
_SCATTER = 0.1
"""How much the noise of rows differs in relative terms, a priori, and ..."""
_WIDEST = 1.0
"""Largest logarithm of the noise of a row over that of all."""
_PRIOR = 4.0
"""... how many rows that guess is worth."""
_VANISHED = 1e-20
"""Energy of a direction, in units of the largest one's, below which it has vanished."""


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
    rows, cols : torch.Tensor
        p and q, shapes (m,) and (n,).
    left_slack, right_slack : torch.Tensor
        Shapes (m,) and (n,): variance that A, or B, alone gives an entry of a row, or column, of the low-rank
        part, as of the last step. Cells are seen through it: otherwise an entry within its cell would say
        nothing of a wall that the next draw may hit.
    standard : bool
        Whether the left factor is the one whose entries have variance 1.
    """

    left: Tensor
    right: Tensor
    noise: float
    rows: Tensor
    cols: Tensor
    left_slack: Tensor
    right_slack: Tensor
    standard: bool = True

    @property
    def turned(self) -> "Latent":
        """The transposed update."""
        return Latent(
            self.right,
            self.left,
            self.noise,
            self.cols,
            self.rows,
            self.right_slack,
            self.left_slack,
            not self.standard,
        )

    @property
    def rank(self) -> int:
        """Number of directions r."""
        return self.left.shape[1]

    @property
    def sd(self) -> Tensor:
        """Standard deviation of the noise in each entry, shape (m, n)."""
        return self.noise * (self.rows[:, None] + self.cols).exp()

    @property
    def least(self) -> bool:
        """Whether the noise is about the least that is allowed, so that there may be none."""
        return self.noise < 1.5 * QUIET * _size(self)

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
    sd = latent.sd
    return cell_moments((cells.low - mean) / sd, (cells.high - mean) / sd)


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


def information(cells: RoundingCells, latent: Latent) -> float:
    """Number of entries that would say as much of the low-rank part if they were known exactly.

    Parameters
    ----------
    cells : RoundingCells
        Where the update lies.
    latent : Latent
        Parameters.

    Returns
    -------
    float
        Sum over entries of one less the share of the noise's variance that is left in the cell.
    """
    return float((1 - moments(cells, latent).variance).sum())


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
        left = _stepped(cells, latent, rng)
        latent = replace(latent, left=left.factor, left_slack=left.slack)
        right = _stepped(RoundingCells(cells.low.mT, cells.high.mT), latent.turned, rng)
        latent = replace(latent, right=right.factor, right_slack=right.slack)
    return _with_noise(cells, latent, rng)


class _Stepped(NamedTuple):
    factor: Tensor
    slack: Tensor


def _stepped(cells: RoundingCells, latent: Latent, rng: np.random.Generator | None) -> _Stepped:
    """Rows of the left factor, given the right one: Newton's step, and a draw around its end."""
    mine, other, rank = latent.left, latent.right, latent.rank
    slack = latent.left_slack[:, None] if rng is not None else torch.zeros_like(mine[:, :1])
    noise = latent.sd**2
    total = torch.sqrt(noise + slack)
    mean = latent.mean
    found = cell_moments((cells.low - mean) / total, (cells.high - mean) / total)
    scale = noise + slack * found.variance
    precision = torch.ones_like(mine[0]) if latent.standard else _precision(mine, rng)
    pairs = (other[:, :, None] * other[:, None, :]).reshape(len(other), rank * rank)
    information = (((1 - found.variance) / scale) @ pairs).reshape(len(mine), rank, rank)
    information = information + torch.diag(precision)
    gradient = (found.mean * total / scale) @ other - mine * precision
    root = torch.linalg.cholesky(information)
    step = torch.cholesky_solve(gradient[:, :, None], root)
    if rng is not None:
        normal = torch.from_numpy(rng.standard_normal((*mine.shape, 1))).to(mine.device)
        step = step + torch.linalg.solve_triangular(root.mT, normal, upper=True)
    slack = (torch.cholesky_inverse(root) * (other.mT @ other)).sum(dim=(1, 2)) / len(other)
    return _Stepped(mine + step[:, :, 0], slack)


def _precision(factor: Tensor, rng: np.random.Generator | None) -> Tensor:
    """Inverse variances of the columns: their mode, or a draw from their inverse gamma law."""
    count, energy = len(factor), (factor**2).sum(dim=0)
    energy = energy.clamp(min=max(_VANISHED * float(energy.max()), torch.finfo(energy.dtype).tiny))
    if rng is None:
        return count / energy
    drawn = torch.from_numpy(rng.chisquare(count, factor.shape[1])).to(factor.device)
    return drawn / energy


def _with_noise(cells: RoundingCells, latent: Latent, rng: np.random.Generator | None) -> Latent:
    """Newton's step in the logarithm of the noise; draws have scales of rows and columns as well."""
    found = moments(cells, latent)
    square = found.variance + found.mean**2
    score, curve = square - 1, 2 * square - found.spread
    known = float(curve.sum())
    step = float(score.sum()) / known if known > 0 else math.copysign(_BOLDEST, float(score.sum()))
    if rng is not None and known > 0:
        step += rng.standard_normal() / math.sqrt(known)
    step = min(max(step, -_BOLDEST), _BOLDEST)
    if rng is None:
        return replace(latent, noise=max(latent.noise * math.exp(step), QUIET * _size(latent)))
    score = score - curve * step
    rows = _scales(score.sum(dim=1), curve.sum(dim=1), latent.rows, rng)
    score = score - curve * (rows - latent.rows)[:, None]
    cols = _scales(score.sum(dim=0), curve.sum(dim=0), latent.cols, rng)
    level = float(rows.mean() + cols.mean())
    noise = max(latent.noise * math.exp(step + level), QUIET * _size(latent))
    return replace(latent, noise=noise, rows=rows - rows.mean(), cols=cols - cols.mean())


def _scales(score: Tensor, known: Tensor, now: Tensor, rng: np.random.Generator) -> Tensor:
    """Logarithms of the noise of rows: normal around 0, their variance drawn as well."""
    degrees, total = len(now) + _PRIOR, float((now**2).sum()) + _PRIOR * _SCATTER**2
    precision = float(rng.chisquare(degrees)) / total
    known = known.clamp(min=0) + precision
    step = (score - precision * now) / known
    step = step + torch.from_numpy(rng.standard_normal(len(now))).to(now.device) / known.sqrt()
    return (now + step.clamp(min=-_BOLDEST, max=_BOLDEST)).clamp(min=-_WIDEST, max=_WIDEST)


def _size(latent: Latent) -> float:
    """Root mean square of the low-rank part."""
    energy = float(((latent.left.mT @ latent.left) * (latent.right.mT @ latent.right)).sum())
    return math.sqrt(max(energy, 0.0) / (len(latent.left) * len(latent.right)))
