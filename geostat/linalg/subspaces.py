"""Comparing subspaces: angles that stay accurate near zero, overlaps, captured energy."""

import torch
from torch import Tensor

from geostat.linalg.policy import current_policy
from geostat.linalg.products import norm, product
from geostat.linalg.spectra import values_within

__all__ = ["captured_energy", "principal_angles", "subspace_similarity"]

_ACCURACY = 2e-12
"""Largest error of a sine or cosine: a tenth of the 1e-9 degrees that an angle may be off."""


def principal_angles(first: Tensor, second: Tensor) -> Tensor:
    """Principal angles between two subspaces of equal dimension.

    Each angle is taken from its sine where that is small and from its cosine where that is, so that
    none loses digits: arccos alone cannot resolve angles below 1e-6 degrees in float64.

    Parameters
    ----------
    first, second : torch.Tensor
        Shape (n, k), orthonormal columns, float64.

    Returns
    -------
    torch.Tensor
        Shape (k,), radians in [0, pi/2], ascending.

    References
    ----------
    Bjorck and Golub (1973), algorithm of section 3 with sines.
    """
    fast = current_policy().spectra == "fast"
    overlap = product(first.mT, second)
    rest = second - product(first, overlap)
    sines = (values_within(rest.mT, _ACCURACY) if fast else torch.linalg.svdvals(rest)).flip(0)
    sines = sines[: overlap.shape[1]].clamp(max=1.0)
    if fast and float(sines[-1]) < 0.7:  # then every angle is taken from its sine
        return torch.arcsin(sines)
    cosines = (values_within(overlap, _ACCURACY) if fast else torch.linalg.svdvals(overlap)).clamp(max=1.0)
    return torch.where(cosines**2 > 0.5, torch.arcsin(sines), torch.arccos(cosines))


def subspace_similarity(first: Tensor, second: Tensor) -> float:
    """Mean squared cosine of the principal angles, over the smaller dimension.

    Parameters
    ----------
    first : torch.Tensor
        Shape (n, j), orthonormal columns.
    second : torch.Tensor
        Shape (n, k), orthonormal columns.

    Returns
    -------
    float
        norm_F(first^T second)^2 / min(j, k), in [0, 1].
    """
    overlap = float(torch.linalg.vector_norm(product(first.mT, second))) ** 2
    return overlap / min(first.shape[1], second.shape[1])


def captured_energy(matrix: Tensor, basis: Tensor, *, left: bool) -> float:
    """Share of a matrix's squared Frobenius norm inside a subspace.

    Parameters
    ----------
    matrix : torch.Tensor
        Shape (m, n), not zero.
    basis : torch.Tensor
        Shape (m, k) if `left`, else (n, k); orthonormal columns.
    left : bool
        Project the column space rather than the row space.

    Returns
    -------
    float
        In [0, 1].
    """
    inside = product(basis.mT, matrix) if left else product(matrix, basis)
    return (norm(inside) / norm(matrix)) ** 2
