"""A matrix a few rows at a time, as the integers that its entries are stored as."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from geostat.linalg.factored import Factored
from geostat.linalg.rounding import round_to_bf16

__all__ = ["Integers", "Patterns", "Space", "floats", "row_blocks", "without_sign"]

Integers = npt.NDArray[Any]
"""Signed integers of 16, 32 or 64 bits."""
Space = Literal["bf16", "raw"]

_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
_LARGEST = {2: 2**15 - 1, 4: 2**31 - 1, 8: 2**63 - 1}


def row_blocks(matrix: Factored, entries: int) -> Iterator[slice]:
    """Split a matrix into blocks of whole rows.

    Parameters
    ----------
    matrix : Factored
        Shape (m, n).
    entries : int
        About how many entries a block holds; a block has one row at least.

    Yields
    ------
    slice
        Rows, in order.
    """
    height = max(1, entries // matrix.cols)
    for start in range(0, matrix.rows, height):
        yield slice(start, min(start + height, matrix.rows))


class Patterns:
    """The bit patterns of a matrix, some rows at a time, without a copy where they are stored so.

    Parameters
    ----------
    matrix : Factored
        Shape (m, n).
    dtype : torch.dtype
        Floating-point type in which entries are compared; those of another are rounded to it.
    """

    def __init__(self, matrix: Factored, dtype: torch.dtype) -> None:
        self._stored, self._dtype, self._cols = matrix.stored, dtype, matrix.cols
        mapped = self._stored.dtype is dtype and self._stored.is_contiguous() and not self._stored.is_cuda
        self._all = _patterns(self._stored) if mapped else None

    def __getitem__(self, rows: slice) -> Integers:
        """Return a block of rows, flat: equal integers for equal entries, but for zeros of two signs."""
        if self._all is None:
            return _patterns(_converted(self._stored[rows], self._dtype))
        return self._all[rows.start * self._cols : rows.stop * self._cols]


def _patterns(part: Tensor) -> Integers:
    found: Integers = part.contiguous().view(_INTEGERS[part.element_size()]).reshape(-1).cpu().numpy()
    return found


def floats(matrix: Factored, rows: slice, dtype: torch.dtype) -> npt.NDArray[np.float64]:
    """Return some rows in float64, after rounding to the type in which they are compared.

    Parameters
    ----------
    matrix : Factored
        Shape (m, n).
    rows : slice
        Which rows.
    dtype : torch.dtype
        Floating-point type in which they are compared.

    Returns
    -------
    numpy.ndarray
        Flat.
    """
    part = _converted(matrix.stored[rows], dtype).to(torch.float64)
    found: npt.NDArray[np.float64] = part.reshape(-1).cpu().numpy()
    return found


def without_sign(patterns: Integers) -> Integers:
    """Clear the sign bit: what is left is in the order of the magnitudes.

    Parameters
    ----------
    patterns : numpy.ndarray
        Bit patterns of finite floating-point numbers, as signed integers of their width.

    Returns
    -------
    numpy.ndarray
        The same shape and dtype, 0 or more; 0 for either zero.
    """
    return patterns & _LARGEST[patterns.itemsize]


def _converted(part: Tensor, dtype: torch.dtype) -> Tensor:
    return round_to_bf16(part) if dtype is torch.bfloat16 else part.to(dtype)
