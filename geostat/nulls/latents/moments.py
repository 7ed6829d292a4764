"""Normal variables of which only the cell is known: probability, moments, draws."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["CellMoments", "cell_moments", "draw_in_cells"]

_NARROW = 1e-4
"""Cells below this width, in standard deviations, are so narrow that their probability loses its digits."""
_FAR = 37.0
"""Beyond so many standard deviations nothing is left of a normal law in float64."""
_TAIL = 3.0
"""From here on draws are made by rejection, because the distribution function is too near to 1."""
_ROOT = math.sqrt(2.0)


class CellMoments(NamedTuple):
    """A standard normal variable, given that it lies in a cell.

    Attributes
    ----------
    log_mass : torch.Tensor
        Logarithm of the cell's probability.
    mean, variance : torch.Tensor
        Of the variable in the cell.
    spread : torch.Tensor
        Variance of its square in the cell.
    """

    log_mass: Tensor
    mean: Tensor
    variance: Tensor
    spread: Tensor


def cell_moments(low: Tensor, high: Tensor) -> CellMoments:
    r"""Probability of a cell under the standard normal law, and moments inside it.

    With :math:`d = (b^2 - a^2) / 2` and the scaled complementary error function,

    .. math:: 2 e^{a^2/2} \, (\Phi(b) - \Phi(a)) = D =
        \mathrm{erfcx}(a / \sqrt 2) - e^{-d}\, \mathrm{erfcx}(b / \sqrt 2), \qquad
        E[z] = \sqrt{2 / \pi}\, (1 - e^{-d}) / D

    after a reflection that makes the middle of the cell positive. Nothing under- or overflows in the tails.

    Parameters
    ----------
    low, high : torch.Tensor
        Any shape, float64, low < high, in standard deviations from the mean.

    Returns
    -------
    CellMoments
        Each of the same shape.
    """
    middle = (low + high) / 2
    sign = torch.where(middle < 0, -1.0, 1.0).to(low.dtype)
    width, middle = high - low, middle.abs()
    a, b = (middle - width / 2).clamp(min=-_FAR), middle + width / 2
    apart = -(width * middle)
    end = apart.exp()
    mass = torch.special.erfcx(a / _ROOT) - end * torch.special.erfcx(b / _ROOT)
    narrow = width < _NARROW
    scale = math.sqrt(2 / math.pi) / mass.clamp(min=torch.finfo(mass.dtype).tiny)
    far = b.clamp(max=1e6) * end  # b e^-d vanishes where b is huge
    mean = -torch.special.expm1(apart) * scale
    second = 1 + (a - far) * scale
    fourth = 3 * second + (a**3 - b.clamp(max=1e6) ** 2 * far) * scale
    uniform = width**2 / 12
    mean = torch.where(narrow, middle, mean).clamp(min=a, max=b)
    variance = torch.where(narrow, uniform, second - mean**2).clamp(min=0.0).minimum(uniform)
    square = variance + mean**2
    spread = torch.where(narrow, 4 * middle**2 * uniform, fourth - square**2).clamp(min=0.0)
    inside = torch.log(mass.clamp(min=torch.finfo(mass.dtype).tiny) / 2) - a**2 / 2
    density = torch.log(width) - middle**2 / 2 - math.log(2 * math.pi) / 2
    return CellMoments(torch.where(narrow, density, inside), sign * mean, variance, spread)


def draw_in_cells(low: Tensor, high: Tensor, rng: np.random.Generator) -> Tensor:
    """Draw standard normal variables that are known to lie in cells.

    Inverse distribution function where the cell reaches into the bulk, rejection from the law with density
    x exp(-x^2 / 2) in the tails.

    Parameters
    ----------
    low, high : torch.Tensor
        Any shape, float64, low < high.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    torch.Tensor
        Same shape, each entry in its cell.
    """
    middle = (low + high) / 2
    sign = torch.where(middle < 0, -1.0, 1.0).to(low.dtype)
    half, middle = (high - low) / 2, middle.abs()
    a, b = middle - half, middle + half
    above, beyond = torch.special.ndtr(-a), torch.special.ndtr(-b)  # upper tails keep their digits
    u = _uniform(low, rng)
    drawn = -torch.special.ndtri(above + u * (beyond - above))
    narrow = 2 * half < _NARROW
    drawn = torch.where(narrow, a + 2 * half * u, drawn)
    tail = (a > _TAIL) & ~narrow
    if bool(tail.any()):
        drawn[tail] = _drawn_in_tail(a[tail], b[tail], rng)
    return sign * drawn.clamp(min=a, max=b)


def _drawn_in_tail(a: Tensor, b: Tensor, rng: np.random.Generator) -> Tensor:
    reach = -torch.special.expm1(-(b - a) * (b + a) / 2)
    drawn, left = a.clone(), torch.ones_like(a, dtype=torch.bool)
    while bool(left.any()):
        start, share = a[left], reach[left]
        proposed = torch.sqrt(start**2 - 2 * torch.log1p(-_uniform(start, rng) * share))
        taken = _uniform(start, rng) * proposed <= start
        places = left.nonzero()[:, 0]
        drawn[places[taken]] = proposed[taken]
        left[places[taken]] = False
    return drawn


def _uniform(like: Tensor, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.random(tuple(like.shape))).to(like.device)
