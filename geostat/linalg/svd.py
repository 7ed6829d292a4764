"""Singular value decompositions in float64, with other drivers where the first one fails."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.linalg
import torch
from torch import Tensor

__all__ = ["NO_CONVERGENCE", "SVD", "Triplets", "plain_svd", "singular_triplets", "singular_values"]

Triplets = tuple[Tensor, Tensor, Tensor]
T = TypeVar("T")
Driver = Literal["gesdd", "gesvd"]

NO_CONVERGENCE: tuple[type[Exception], ...] = (
    scipy.linalg.LinAlgError,
    torch.linalg.LinAlgError,  # type: ignore[attr-defined]
)
"""What decompositions raise whose iterations fail."""


class SVD(NamedTuple):
    """Thin singular value decomposition: (m, p), (p,), (n, p), p = min(m, n)."""

    left: Tensor
    values: Tensor
    right: Tensor


def plain_svd(matrix: Tensor) -> SVD:
    """Thin singular value decomposition by torch, as the published protocols compute it.

    Parameters
    ----------
    matrix : torch.Tensor
        Shape (m, n), float64.

    Returns
    -------
    SVD
        Singular values descending.
    """
    left, values, right = torch.linalg.svd(
        matrix, full_matrices=False, driver="gesvd" if matrix.is_cuda else None
    )
    return SVD(left, values, right.mT)


def singular_triplets(matrix: Tensor) -> Triplets:
    """Thin singular value decomposition.

    Drivers are tried in turn: on a device gesvd, gesvdj, then the CPU; there gesdd, then gesvd.

    Parameters
    ----------
    matrix : torch.Tensor
        Shape (m, n), float64, finite.

    Returns
    -------
    tuple of torch.Tensor
        Left vectors (m, p), singular values (p,) descending, right vectors (n, p); p = min(m, n).

    Raises
    ------
    numpy.linalg.LinAlgError
        If no driver converges.
    """

    def on_device(driver: str) -> Triplets:
        left, values, right = torch.linalg.svd(matrix, full_matrices=False, driver=driver)
        return left, values, right.mT

    def on_cpu(driver: Driver) -> Triplets:
        entries: npt.NDArray[np.float64] = matrix.cpu().numpy()
        found = scipy.linalg.svd(entries, full_matrices=False, lapack_driver=driver)
        left, values, right = (torch.from_numpy(part).to(matrix.device) for part in found)
        return left, values, right.mT

    return _first_that_converges(matrix, on_device, on_cpu)


def singular_values(matrix: Tensor) -> Tensor:
    """All singular values, by the same drivers.

    Parameters
    ----------
    matrix : torch.Tensor
        Shape (m, n), float64, finite.

    Returns
    -------
    torch.Tensor
        Shape (min(m, n),), descending.

    Raises
    ------
    numpy.linalg.LinAlgError
        If no driver converges.
    """

    def on_cpu(driver: Driver) -> Tensor:
        entries: npt.NDArray[np.float64] = matrix.cpu().numpy()
        found = scipy.linalg.svd(entries, compute_uv=False, lapack_driver=driver)
        return torch.from_numpy(found).to(matrix.device)

    def on_device(driver: str) -> Tensor:
        values: Tensor = torch.linalg.svdvals(matrix, driver=driver)
        return values

    return _first_that_converges(matrix, on_device, on_cpu)


def _first_that_converges(matrix: Tensor, on_device: Callable[[str], T], on_cpu: Callable[[Driver], T]) -> T:
    for attempt in _attempts(matrix, on_device, on_cpu):
        try:
            return attempt()
        except NO_CONVERGENCE:
            continue
    return on_cpu("gesvd")


def _attempts(
    matrix: Tensor, on_device: Callable[[str], T], on_cpu: Callable[[Driver], T]
) -> Iterator[Callable[[], T]]:
    if not matrix.is_cpu:
        yield lambda: on_device("gesvd")
        yield lambda: on_device("gesvdj")
    yield lambda: on_cpu("gesdd")
