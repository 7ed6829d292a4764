"""Synthetic weights and updates that know nothing of each other."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["UPDATES", "WEIGHTS", "gaussian_weight", "heavy_tailed_weight"]

_SCALE = 0.02
_OUTLIERS = 8

Floats = npt.NDArray[np.float64]


def gaussian_weight(rows: int, cols: int, rng: np.random.Generator) -> Tensor:
    """Draw a weight with independent Gaussian entries.

    Parameters
    ----------
    rows, cols : int
        Shape.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    torch.Tensor
        Shape (rows, cols), bf16.
    """
    return torch.from_numpy(_SCALE * rng.standard_normal((rows, cols))).to(torch.bfloat16)


def heavy_tailed_weight(rows: int, cols: int, rng: np.random.Generator) -> Tensor:
    """Draw a weight with the heavy-tailed spectrum of attention matrices.

    Columns of unequal size, and eight directions that stand out.

    Parameters
    ----------
    rows, cols : int
        Shape.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    torch.Tensor
        Shape (rows, cols), bf16.
    """
    scales = rng.permutation(np.arange(1.0, cols + 1) ** -0.25)
    bulk = rng.standard_normal((rows, cols)) * scales
    sizes = np.sqrt(1 / np.arange(1, _OUTLIERS + 1) / _OUTLIERS)
    outliers = (rng.standard_normal((rows, _OUTLIERS)) * sizes) @ rng.standard_normal((_OUTLIERS, cols))
    return torch.from_numpy(_SCALE * (bulk / bulk.std() + 0.6 * outliers)).to(torch.bfloat16)


WEIGHTS: Mapping[str, Callable[[int, int, np.random.Generator], Tensor]] = MappingProxyType(
    {"heavy-tailed": heavy_tailed_weight, "Gaussian": gaussian_weight}
)
"""Synthetic W_0 by name."""

UPDATES: Mapping[str, Callable[[np.random.Generator, tuple[int, int]], Floats]] = MappingProxyType(
    {
        "Gaussian": lambda rng, shape: rng.standard_normal(shape),
        "Laplace": lambda rng, shape: rng.laplace(size=shape),
        "Student t3": lambda rng, shape: rng.standard_t(3, size=shape),
    }
)
"""Laws of independent entries of the update, by name; their size is set by the density."""
