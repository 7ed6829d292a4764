"""A matrix in float64 whose singular value decomposition is computed once, when it is asked for."""

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from geostat.errors import NonFiniteError, QuantizedTensorError, ShapeError
from geostat.linalg.certificate import Certificate, Method
from geostat.protocols import check_setting

__all__ = ["Factored", "MatrixLike", "Side", "factored"]

Side = Literal["left", "right"]
T = TypeVar("T")


class SVD(NamedTuple):
    """Thin singular value decomposition: (m, p), (p,), (n, p), p = min(m, n)."""

    left: Tensor
    values: Tensor
    right: Tensor


class Factored:
    """A matrix and, once asked for, its singular value decomposition in float64.

    Every diagnostic accepts one in place of an array, so that matrices which several diagnostics
    share (W_0 above all) are factored once.

    Parameters
    ----------
    values : torch.Tensor
        Shape (m, n), floating point. Entries must be finite.
    wanted : int
        Leading directions that will be asked for: they are computed together with the spectrum.
    """

    def __init__(self, values: Tensor, *, wanted: int = 0) -> None:
        self.stored = values
        self.wanted = wanted
        self._memory: dict[Hashable, Any] = {}

    @cached_property
    def values(self) -> Tensor:
        """The entries in float64, shape (m, n)."""
        return self.stored.to(torch.float64)

    @property
    def rows(self) -> int:
        """Number of rows m."""
        return self.stored.shape[0]

    @property
    def cols(self) -> int:
        """Number of columns n."""
        return self.stored.shape[1]

    @property
    def smaller(self) -> int:
        """The smaller of m and n."""
        return min(self.rows, self.cols)

    def size(self, side: Side) -> int:
        """Dimension of the space in which that side's singular vectors live.

        Parameters
        ----------
        side : {"left", "right"}
            m for left, n for right.

        Returns
        -------
        int
            The dimension.

        Raises
        ------
        ProtocolError
            If there is no such side.
        """
        check_setting("side", side)
        return self.rows if side == "left" else self.cols

    @cached_property
    def svd(self) -> SVD:
        """Thin decomposition in float64, singular values descending."""
        driver = "gesvd" if self.values.is_cuda else None
        left, values, right = torch.linalg.svd(self.values, full_matrices=False, driver=driver)
        return SVD(left, values, right.mT)

    @property
    def singular_values(self) -> Tensor:
        """All singular values, descending, shape (min(m, n),)."""
        return self.svd.values

    def leading_values(self, k: int) -> Tensor:
        """Return the k largest singular values; cheaper than all of them where the matrix is large.

        Parameters
        ----------
        k : int
            How many; all where min(m, n) is smaller.

        Returns
        -------
        torch.Tensor
            Shape (min(k, m, n),), descending.
        """
        check_setting("K", k, shown="k")
        return self.svd.values[:k]

    def leading_rank(self, k: int) -> int:
        """Count the k largest singular values above the floor of `numerical_rank`.

        Parameters
        ----------
        k : int
            How many are looked at.

        Returns
        -------
        int
            min(k, numerical rank).
        """
        values = self.leading_values(k)
        return int((values > self._floor(values[0])).sum())

    @property
    def certificate(self) -> Certificate:
        """How what was asked for so far was computed, and how far off it can be; the worst of several."""
        return Certificate(Method.svd if "svd" in self.__dict__ else Method.none)

    def _floor(self, largest: Tensor) -> Tensor:
        return max(self.rows, self.cols) * torch.finfo(torch.float64).eps * largest

    @cached_property
    def frobenius_norm(self) -> float:
        """Root of the sum of squared entries."""
        return float(torch.linalg.vector_norm(self.values))

    @property
    def spectral_norm(self) -> float:
        """The largest singular value."""
        return float(self.leading_values(1)[0])

    @cached_property
    def is_zero(self) -> bool:
        """Whether every entry is zero."""
        return not bool(self.values.any())

    @cached_property
    def numerical_rank(self) -> int:
        """Number of singular values above max(m, n) eps s_1, eps of float64."""
        return int((self.singular_values > self._floor(self.singular_values[0])).sum())

    def vectors(self, k: int, side: Side) -> Tensor:
        """Return the leading k singular vectors of one side as columns.

        Parameters
        ----------
        k : int
            How many.
        side : {"left", "right"}
            Which.

        Returns
        -------
        torch.Tensor
            Shape (m, k) or (n, k).

        Raises
        ------
        ProtocolError
            If k is no count, or there is no such side.
        """
        check_setting("K", k, shown="k")
        return self._leading(k, side)

    def _leading(self, k: int, side: Side) -> Tensor:
        check_setting("side", side)
        basis = self.svd.left if side == "left" else self.svd.right
        return basis[:, :k]

    def channel(self, k: int, side: Side) -> Tensor:
        """Return the leading singular vectors that exist: at most the numerical rank.

        Parameters
        ----------
        k : int
            How many are wanted.
        side : {"left", "right"}
            Which side.

        Returns
        -------
        torch.Tensor
            Shape (m or n, min(k, numerical rank)).

        Raises
        ------
        ProtocolError
            If k is no count, or there is no such side.
        """
        check_setting("K", k, shown="k")
        return self._leading(self.leading_rank(k), side)

    def remember(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what was made under this key, or make it now and keep it with the matrix.

        Parameters
        ----------
        key : hashable
            What it is; other `Factored` objects in it compare by identity.
        make : callable
            Called without arguments when the key is new.

        Returns
        -------
        object
            What `make` returned, now or before.
        """
        if key not in self._memory:
            self._memory[key] = make()
        found: T = self._memory[key]
        return found

    def minus(self, other: "Factored") -> "Factored":
        """Return the difference in float64.

        Parameters
        ----------
        other : Factored
            What to subtract, of the same shape.

        Returns
        -------
        Factored
            Shape (m, n). Exact for bf16 and, but for extreme ranges, fp32 operands.

        Raises
        ------
        ShapeError
            If the shapes differ.
        """
        require_same_shape(self, other)
        return Factored(self.values - other.values)


MatrixLike = Factored | Tensor | npt.NDArray[np.floating[Any]]


def factored(matrix: MatrixLike) -> Factored:
    """Wrap an array or tensor; a `Factored` passes through.

    Parameters
    ----------
    matrix : Factored, torch.Tensor or numpy.ndarray
        Shape (m, n), floating point, finite.

    Returns
    -------
    Factored
        The matrix, its decomposition not computed yet.

    Raises
    ------
    ShapeError
        If it is not two-dimensional or has no entries.
    QuantizedTensorError
        If its entries are integers.
    NonFiniteError
        If an entry is NaN or infinite.
    """
    if isinstance(matrix, Factored):
        return matrix
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
    return Factored(tensor)


def require_same_shape(first: Factored, second: Factored) -> None:
    """Raise unless two matrices can be compared entry by entry.

    Parameters
    ----------
    first, second : Factored
        The matrices.

    Raises
    ------
    ShapeError
        If their shapes differ; says so when one is the other's transpose.
    """
    a, b = (first.rows, first.cols), (second.rows, second.cols)
    if a != b:
        hint = "One of them is transposed: pass its .T." if a == b[::-1] else "They are not one weight."
        raise ShapeError(f"shapes {a} and {b} differ. {hint}")
