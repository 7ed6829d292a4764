"""Dense products and norms in float64: by numpy's BLAS on the CPU, by torch elsewhere."""

import numpy as np
import torch
from scipy.linalg import blas
from torch import Tensor

__all__ = ["gram", "norm", "product"]

_SQUARES = (1e-140, 1e150)
"""Norms between these neither lose nor overflow the squares that they are the roots of."""


def norm(entries: Tensor) -> float:
    """Root of the sum of squares, whatever the scale.

    Parameters
    ----------
    entries : torch.Tensor
        Any shape, float64, finite.

    Returns
    -------
    float
        At least 0.
    """
    found = float(torch.linalg.vector_norm(entries))
    if _SQUARES[0] < found < _SQUARES[1] or not bool(entries.any()):
        return found
    largest = entries.abs().max()
    return float(largest * torch.linalg.vector_norm(entries / largest))


def product(left: Tensor, right: Tensor) -> Tensor:
    """Matrix product.

    On the CPU numpy's BLAS is taken: it is the faster one on some processors, slower on none, and its bits do
    not depend on where in memory the operands lie.

    Parameters
    ----------
    left : torch.Tensor
        Shape (m, p), float64.
    right : torch.Tensor
        Shape (p, n), float64, on the same device.

    Returns
    -------
    torch.Tensor
        Shape (m, n).
    """
    if not left.is_cpu:
        return left @ right
    if left.mT.is_contiguous() and 4 * right.shape[1] < left.shape[0]:  # twice as fast from the other side
        return torch.from_numpy(np.ascontiguousarray((right.numpy().T @ left.numpy().T).T))
    return torch.from_numpy(left.numpy() @ right.numpy())


def gram(matrix: Tensor) -> Tensor:
    """Gram matrix of the rows, A A^T.

    Parameters
    ----------
    matrix : torch.Tensor
        Shape (m, n), float64, contiguous or the transpose of a contiguous one.

    Returns
    -------
    torch.Tensor
        Shape (m, m), in column order. On the CPU only the lower triangle is filled.
    """
    if not matrix.is_cpu:
        return matrix @ matrix.mT
    entries = matrix.numpy()
    if entries.flags.f_contiguous:
        return torch.from_numpy(blas.dsyrk(1.0, entries, trans=0, lower=1))
    return torch.from_numpy(blas.dsyrk(1.0, entries.T, trans=1, lower=1))
