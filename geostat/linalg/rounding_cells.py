"""Where an update must lie, given the two 16-bit weights that storage made of it."""

from typing import NamedTuple

import torch
from torch import Tensor

from geostat.errors import ProtocolError, ShapeError

__all__ = ["RoundingCells", "rounding_cells"]

_MAGNITUDE = 0x7FFF
"""Bits of a 16-bit float without its sign."""


class RoundingCells(NamedTuple):
    """Ends of the interval in which each entry of the true update lies.

    Attributes
    ----------
    low, high : torch.Tensor
        Shape (m, n), float64, low < high.
    """

    low: Tensor
    high: Tensor


def rounding_cells(initial: Tensor, updated: Tensor) -> RoundingCells:
    r"""Interval of each entry's true update, from the stored pair.

    Training starts at the stored W_0, which is exact, and moves it by dW in high precision; storing rounds
    :math:`W_0 + \Delta W` to the nearest 16-bit float. So each entry of dW lies between the midpoints from
    the stored entry of W_t to its two neighbours, less W_0. Where nothing changed this is the dead zone
    around zero. An end belongs to the interval where the last bit of W_t is even (ties go to even).

    Parameters
    ----------
    initial, updated : torch.Tensor
        Shape (m, n), both bfloat16 or both float16, finite.

    Returns
    -------
    RoundingCells
        Ends in float64. Beyond the largest finite number the next midpoint is where overflow begins.

    Raises
    ------
    ProtocolError
        If the two are not stored in one 16-bit type.
    ShapeError
        If the shapes differ.
    """
    dtypes = {initial.dtype, updated.dtype}
    if len(dtypes) > 1 or not dtypes <= {torch.bfloat16, torch.float16}:
        found = " and ".join(sorted(str(dtype).removeprefix("torch.") for dtype in dtypes))
        raise ProtocolError(
            f"Rounding cells were asked for of {found} weights. Both must be bf16, or both fp16."
        )
    if initial.shape != updated.shape:
        raise ShapeError(f"shapes {tuple(initial.shape)} and {tuple(updated.shape)} differ.")
    start, end = initial.to(torch.float64), updated.to(torch.float64)
    magnitude = updated.contiguous().view(torch.int16).to(torch.int32) & _MAGNITUDE
    outer = _between(magnitude, magnitude + 1, updated.dtype)
    inner = torch.where(magnitude == 0, -outer, _between(magnitude - 1, magnitude, updated.dtype))
    negative = torch.signbit(end)
    return RoundingCells(
        torch.where(negative, -outer, inner) - start, torch.where(negative, -inner, outer) - start
    )


def _between(lower: Tensor, upper: Tensor, dtype: torch.dtype) -> Tensor:
    """Half-way between two neighbouring magnitudes; beyond the largest one as far as below it."""
    below, above = _value(lower, dtype), _value(upper, dtype)
    before = _value(lower - 1, dtype)
    return torch.where(above.isinf(), below + (below - before) / 2, (below + above) / 2)


def _value(magnitude: Tensor, dtype: torch.dtype) -> Tensor:
    return magnitude.clamp(min=0).to(torch.int16).view(dtype).to(torch.float64)
