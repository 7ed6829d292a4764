"""Eigenvalues of a symmetric matrix, and as many eigenvectors of either end as are asked for."""

from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import lapack
from torch import Tensor

__all__ = ["DenseEigen", "Eigen", "TridiagonalEigen", "symmetric_eigen"]

_BLOCK = 64
"""Columns that a blocked LAPACK routine works on at a time, for the size of its workspace."""
_FEW = 5
"""Below a fifth of all eigenvectors they are computed one by one, above all together, by divide and conquer."""


class Eigen(Protocol):
    """Eigenvalues, descending, and eigenvectors of either end."""

    values: Tensor

    def leading(self, k: int) -> Tensor:
        """Eigenvectors of the k largest eigenvalues, shape (n, k)."""

    def trailing(self, k: int) -> Tensor:
        """Eigenvectors of the k smallest eigenvalues, shape (n, k)."""


class TridiagonalEigen:
    """By one reduction to tridiagonal form, on the CPU.

    Parameters
    ----------
    matrix : torch.Tensor
        Shape (n, n), float64, in column order; the lower triangle is read, and the whole overwritten.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the iteration for eigenvalues or eigenvectors does not converge.
    """

    def __init__(self, matrix: Tensor) -> None:
        size = len(matrix)
        self._reflectors, self._diagonal, self._beside, self._tau, failed = lapack.dsytrd(
            matrix.numpy(), lower=1, lwork=_BLOCK * size, overwrite_a=1
        )
        ascending, unconverged = (
            lapack.dsterf(self._diagonal, self._beside) if size > 1 else (self._diagonal, 0)
        )
        _require(failed == unconverged == 0)
        self.values = torch.from_numpy(ascending[::-1].copy())

    def leading(self, k: int) -> Tensor:
        """Eigenvectors of the k largest eigenvalues.

        Parameters
        ----------
        k : int
            How many.

        Returns
        -------
        torch.Tensor
            Shape (n, k), the first belongs to the largest.
        """
        return self._vectors(len(self.values) - k, k)

    def trailing(self, k: int) -> Tensor:
        """Eigenvectors of the k smallest eigenvalues.

        Parameters
        ----------
        k : int
            How many.

        Returns
        -------
        torch.Tensor
            Shape (n, k), the last belongs to the smallest.
        """
        return self._vectors(0, k)

    def _vectors(self, first: int, count: int) -> Tensor:
        """Eigenvectors from the first on, counted from the smallest, and turned back."""
        size = len(self.values)
        few = _FEW * count < size or not hasattr(lapack, "dstevd")
        columns = self._some(first, count) if few else self._all()[:, first : first + count]
        if size > 1:
            # the first row is not touched by the reflectors of a lower triangle
            below, _, failed = lapack.dormqr(
                "L", "N", self._reflectors[1:, :-1], self._tau[: size - 1], columns[1:], lwork=_BLOCK * size
            )
            _require(failed == 0)
            columns = np.concatenate([columns[:1], below])
        return torch.from_numpy(columns[:, ::-1].copy(order="C"))

    def _some(self, first: int, count: int) -> npt.NDArray[np.float64]:
        _, _, columns, failed = lapack.dstemr(
            self._diagonal, np.append(self._beside, 0.0), 2, 0.0, 0.0, first + 1, first + count, compute_v=1
        )
        _require(failed == 0)
        return np.asarray(columns[:, :count])

    def _all(self) -> npt.NDArray[np.float64]:
        _, columns, failed = lapack.dstevd(self._diagonal, self._beside)
        _require(failed == 0)
        return np.asarray(columns)


class DenseEigen:
    """By the device's own solver, all eigenvectors at once.

    Parameters
    ----------
    matrix : torch.Tensor
        Shape (n, n), float64; the lower triangle is read.

    Raises
    ------
    RuntimeError
        If the solver fails.
    """

    def __init__(self, matrix: Tensor) -> None:
        ascending, self._vectors = torch.linalg.eigh(matrix)
        self.values = ascending.flip(0)

    def leading(self, k: int) -> Tensor:
        """Eigenvectors of the k largest eigenvalues.

        Parameters
        ----------
        k : int
            How many.

        Returns
        -------
        torch.Tensor
            Shape (n, k), the first belongs to the largest.
        """
        found: Tensor = self._vectors[:, len(self.values) - k :].flip(1)
        return found

    def trailing(self, k: int) -> Tensor:
        """Eigenvectors of the k smallest eigenvalues.

        Parameters
        ----------
        k : int
            How many.

        Returns
        -------
        torch.Tensor
            Shape (n, k), the last belongs to the smallest.
        """
        found: Tensor = self._vectors[:, :k].flip(1)
        return found


def symmetric_eigen(matrix: Tensor) -> Eigen:
    """Diagonalise a symmetric matrix where it lies.

    Parameters
    ----------
    matrix : torch.Tensor
        Shape (n, n), float64, lower triangle; overwritten on the CPU.

    Returns
    -------
    Eigen
        Values at once, vectors when asked for.

    Raises
    ------
    numpy.linalg.LinAlgError
        If an iteration does not converge on the CPU.
    RuntimeError
        If the device's solver fails.
    """
    return TridiagonalEigen(matrix) if matrix.is_cpu else DenseEigen(matrix)


def _require(converged: bool) -> None:
    if not converged:
        raise np.linalg.LinAlgError("an eigenvalue iteration did not converge")
