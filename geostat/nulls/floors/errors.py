"""Errors that storage leaves in a pair of weights between which nothing was learned."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from geostat.linalg.rounding_cells import RoundingCells, rounding_cells
from geostat.nulls.across_runs.agreement_density import scale_for_density, stored_update

__all__ = ["BOTH_ENDS", "KINDS", "ONE_END", "THIS_DENSITY", "VANISHING", "draw_errors", "error_variance"]

VANISHING = "vanishing update"
"""W_0 was stored exactly, and what changed is lost: the pair is equal."""
THIS_DENSITY = "this density"
"""W_0 was stored exactly; errors beside a Gaussian update that changes as many entries as the run."""
ONE_END = "one end"
"""W_0 was stored exactly; every entry of W_t is off by an error uniform in its cell."""
BOTH_ENDS = "both ends"
"""Both were rounded from weights with more digits: two independent errors."""
KINDS = (VANISHING, THIS_DENSITY, ONE_END, BOTH_ENDS)


def draw_errors(
    initial: Tensor, density: float | None, rng: np.random.Generator
) -> Iterator[tuple[str, Tensor]]:
    """Draw an error of each kind.

    Parameters
    ----------
    initial : torch.Tensor
        Shape (m, n), bfloat16 or float16.
    density : float or None
        Share of entries that a run changed; None leaves out that kind.
    rng : numpy.random.Generator
        Source of randomness.

    Yields
    ------
    str and torch.Tensor
        Kind, and what storage adds to the update, shape (m, n), float64.
    """
    if density is not None:
        update = torch.from_numpy(rng.standard_normal(tuple(initial.shape)))
        update *= scale_for_density(initial, update, density)
        yield THIS_DENSITY, stored_update(initial, update) - update
    cells = rounding_cells(initial, initial)
    first, second = (_uniform(cells, rng) for _ in range(2))
    yield ONE_END, first
    yield BOTH_ENDS, first - second


def _uniform(cells: RoundingCells, rng: np.random.Generator) -> Tensor:
    return cells.low + (cells.high - cells.low) * torch.from_numpy(rng.random(tuple(cells.low.shape)))


def error_variance(initial: Tensor) -> Mapping[str, Tensor]:
    r"""Mean square of the error of every entry.

    Uniform in a cell from l to h: :math:`(h^3 - l^3) / (3 (h - l))`, which is :math:`(h - l)^2 / 12` where the cell
    is symmetric; the difference of two has :math:`(h - l)^2 / 6`.

    Parameters
    ----------
    initial : torch.Tensor
        Shape (m, n), bfloat16 or float16.

    Returns
    -------
    mapping of str to torch.Tensor
        `ONE_END` and `BOTH_ENDS`: shape (m, n), float64.
    """
    low, high = rounding_cells(initial, initial)
    return {ONE_END: (low**2 + low * high + high**2) / 3, BOTH_ENDS: (high - low) ** 2 / 6}
