"""How strong a direction can be without standing out of noise and rounding, and what it would do to the figures."""

import math

import numpy as np
import torch
from torch import Tensor

from geostat.linalg import factored
from geostat.linalg.rounding_cells import RoundingCells
from geostat.nulls.latents.model import Latent, moments

__all__ = ["edge_under_signs", "lowered_rank", "spiked", "undetected", "unspiked"]

FLIPS = 4
"""Random signs from which the edge of the noise is taken."""


def edge_under_signs(score: Tensor, rng: np.random.Generator) -> float:
    """Largest singular value under random signs, which keep the variance of each entry and destroy every direction.

    Parameters
    ----------
    score : torch.Tensor
        Shape (m, n).
    rng : numpy.random.Generator
        Source of the signs.

    Returns
    -------
    float
        Mean over a few draws.

    References
    ----------
    hong2020.
    """
    signs = (torch.from_numpy(rng.choice((-1.0, 1.0), tuple(score.shape))) for _ in range(FLIPS))
    largest = [float(factored(score * sign.to(score.device)).leading_values(1)[0]) for sign in signs]
    return float(np.mean(largest))


def spiked(size: float, noise: float, shape: tuple[int, ...]) -> float:
    r"""Largest singular value of a direction in noise.

    .. math:: \sqrt{(\theta^2 + s^2 m)(\theta^2 + s^2 n)} / \theta

    above :math:`\theta^2 = s^2 \sqrt{mn}`; below, the noise's own edge :math:`s (\sqrt m + \sqrt n)`.

    Parameters
    ----------
    size : float
        Singular value of the direction without the noise.
    noise : float
        Standard deviation of an entry of the noise, s.
    shape : tuple of int
        Of the matrix, (m, n).

    Returns
    -------
    float
        In large matrices.

    References
    ----------
    benaych2012.
    """
    rows, cols = shape
    size = max(size, noise * (rows * cols) ** 0.25)
    return math.sqrt((size**2 + noise**2 * rows) * (size**2 + noise**2 * cols)) / size if size else 0.0


def unspiked(value: float, noise: float, shape: tuple[int, ...]) -> float:
    """Size of the direction that gives a largest singular value: the inverse of `spiked`.

    Parameters
    ----------
    value : float
        Largest singular value.
    noise, shape
        As in `spiked`.

    Returns
    -------
    float
        For values below the edge, the size from which a direction reaches beyond it.
    """
    rows, cols = shape
    product = noise**4 * rows * cols
    middle = (value**2 - noise**2 * (rows + cols)) / 2
    return math.sqrt(
        max(middle, math.sqrt(product)) + math.sqrt(max(middle**2 - product, 0.0) * (middle > 0))
    )


def undetected(cells: RoundingCells, latent: Latent, rng: np.random.Generator) -> float:
    """Size of the strongest direction that may be there beside those of a fit.

    The derivative of the log likelihood by each entry shows a direction times the information on an entry, in noise
    whose edge is that under random signs. Its largest singular value is raised by about three standard deviations.

    Parameters
    ----------
    cells : RoundingCells
        Where the update lies.
    latent : Latent
        A fit.
    rng : numpy.random.Generator
        Source of the signs.

    Returns
    -------
    float
        Singular value, in units of the weights; infinite where the cells say nothing.
    """
    found = moments(cells, latent)
    score = found.mean / latent.sd
    information = float(((1 - found.variance) / latent.sd**2).mean())
    if information <= 0:
        return math.inf
    edge, (rows, cols) = edge_under_signs(score, rng), score.shape
    top = max(edge, float(factored(score).leading_values(1)[0])) * (1 + min(rows, cols) ** (-2 / 3))
    return unspiked(top, edge / (math.sqrt(rows) + math.sqrt(cols)), (rows, cols)) / information


def lowered_rank(ranks: Tensor, norms: Tensor, size: float, noise: float, shape: tuple[int, ...]) -> Tensor:
    """Stable ranks of draws, if as much of their noise were a direction of a given size.

    Parameters
    ----------
    ranks, norms : torch.Tensor
        Shape (draw,): stable ranks and norms.
    size : float
        Of the direction.
    noise : float
        Standard deviation of an entry of the noise.
    shape : tuple of int
        Of the matrix, (m, n).

    Returns
    -------
    torch.Tensor
        Shape (draw,): none is higher than it was.
    """
    size = min(size, noise * math.sqrt(math.prod(shape)))
    left = math.sqrt(max(noise**2 - size**2 / math.prod(shape), 0.0))
    return torch.minimum(ranks, (norms / spiked(size, left, shape)) ** 2) if size else ranks
