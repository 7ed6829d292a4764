"""Entries of a matrix, or of a difference of two, made in float64 whenever they are needed and not kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from geostat.errors import NonFiniteError, QuantizedTensorError, ShapeError
from geostat.linalg.products import norm

__all__ = ["Entries", "checked"]

_BLOCK = 2**18
"""Entries that are converted to float64 at a time."""


@dataclass(frozen=True, eq=False)
class Entries:
    """A stored matrix, and what is to be subtracted from it.

    Attributes
    ----------
    given : torch.Tensor
        Shape (m, n), floating point.
    less : torch.Tensor, optional
        Shape (m, n).
    """

    given: Tensor
    less: Tensor | None = None

    def float64(self, rows: slice = slice(None)) -> Tensor:
        """Some rows in float64; a copy unless they are stored so and nothing is subtracted.

        Parameters
        ----------
        rows : slice
            Which; all by default.

        Returns
        -------
        torch.Tensor
            Shape (rows, n).
        """
        if self.less is None:
            return self.given[rows].to(torch.float64)
        entries = self.given[rows].to(torch.float64, copy=True, memory_format=torch.contiguous_format)
        return entries.sub_(self.less[rows])

    def frobenius_norm(self) -> float:
        """Root of the sum of squared entries, a few rows at a time.

        Returns
        -------
        float
            At least 0.
        """
        norms = [norm(block) for block in self._blocks()]
        return norms[0] if len(norms) == 1 else norm(torch.tensor(norms, dtype=torch.float64))

    def is_zero(self) -> bool:
        """Whether every entry is zero.

        Returns
        -------
        bool
            True if so.
        """
        return not any(bool(block.any()) for block in self._blocks())

    def _blocks(self) -> Iterator[Tensor]:
        rows, cols = self.given.shape
        height = max(1, _BLOCK // cols)
        for first in range(0, rows, height):
            yield self.float64(slice(first, first + height))


def checked(matrix: Tensor | npt.NDArray[np.floating[Any]]) -> Tensor:
    """Make a tensor of a matrix that can be measured.

    Parameters
    ----------
    matrix : torch.Tensor or numpy.ndarray
        Shape (m, n), floating point, finite.

    Returns
    -------
    torch.Tensor
        The same entries, without gradient.

    Raises
    ------
    ShapeError
        If it is not two-dimensional or has no entries.
    QuantizedTensorError
        If its entries are integers.
    NonFiniteError
        If an entry is NaN or infinite.
    """
    tensor = matrix.detach() if isinstance(matrix, Tensor) else torch.from_numpy(np.ascontiguousarray(matrix))
    if tensor.ndim != 2 or tensor.numel() == 0:
        raise ShapeError(
            f"a matrix is needed, found shape {tuple(tensor.shape)}. Pass a non-empty 2-D array."
        )
    if not tensor.is_floating_point():
        raise QuantizedTensorError(f"entries are {tensor.dtype}, not floating point. Dequantise them first.")
    finite = torch.isfinite(tensor)
    if not bool(finite.all()):
        row, col = (int(i) for i in (~finite).nonzero()[0])
        count = int((~finite).sum())
        raise NonFiniteError(
            f"{count} of {tensor.numel()} entries are NaN or infinite, the first at [{row}, {col}]. "
            "Pass weights from a checkpoint before the divergence."
        )
    return tensor
