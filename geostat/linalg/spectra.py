"""Singular values and leading directions of a wide matrix: the cheapest way that keeps the digits."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geostat.linalg.certificate import Certificate, Method, certify
from geostat.linalg.eigen import Eigen, symmetric_eigen
from geostat.linalg.products import gram, product
from geostat.linalg.svd import NO_CONVERGENCE, singular_triplets, singular_values

__all__ = ["Decomposition", "Leading", "Spectrum", "decompose", "orthonormal", "sharper", "values_within"]

EPS = torch.finfo(torch.float64).eps
TINY = torch.finfo(torch.float64).tiny
SMALLEST = 32
"""Matrices of no more rows are left to a singular value decomposition, which costs nothing there."""
RELIABLE = 1e-7
"""Singular values below this share of the largest are lost in the rounding of a Gram matrix."""
ABSURD = 1e-7
"""A residual over s_1 that rounding cannot give: the solver went wrong."""
TURN = 1e-9
"""Largest rounding error of a subspace, in radians, that is put up with; about 300 times pessimistic."""
ULPS = 4.0
"""Error of a singular value, in ulps of the largest, from which the tail is computed once more."""
_SHORT = 8
"""A tail that is computed once more has no more than an eighth of all values."""
LEADING = 0.02
"""Directions above this share of the largest are exact enough to be taken out of a matrix."""


@dataclass(frozen=True)
class Spectrum:
    """All singular values.

    Attributes
    ----------
    values : torch.Tensor
        Shape (m,), descending.
    errors : torch.Tensor
        Shape (m,): size of the error to expect of each, beside the few ulps of s_1 that all methods have.
    method : Method
        How they were computed.
    floor : float
        Values below are lost in rounding.
    """

    values: Tensor
    errors: Tensor
    method: Method
    floor: float = 0.0

    @property
    def reliable(self) -> int:
        """Number of leading values that are not lost."""
        return int((self.values >= self.floor).sum())


@dataclass(frozen=True)
class Leading:
    """Leading singular triplets, and what is known of their error.

    Attributes
    ----------
    values : torch.Tensor
        Shape (k,), descending.
    left, right : torch.Tensor
        Shapes (m, k) and (n, k), orthonormal columns.
    certificate : Certificate
        Residual, and bound on the angle to the true subspaces.
    """

    values: Tensor
    left: Tensor
    right: Tensor
    certificate: Certificate


@dataclass(frozen=True)
class Decomposition:
    """All singular values of a matrix and some leading directions; None where none were asked for."""

    spectrum: Spectrum
    leading: Leading | None


def decompose(matrix: Tensor, k: int, *, needed: int | None = None, tail: bool = True) -> Decomposition:
    r"""All singular values and k leading directions of a wide matrix.

    One tridiagonalisation of the Gram matrix :math:`A A^\top` gives the squares of all singular values and the
    left vectors U; the right ones are :math:`A^\top U / s`. Rounding turns the leading subspace by about
    :math:`\epsilon s_1^2 / (2 s_k (s_k - s_{k+1}))`: where that exceeds 1e-9 the directions that stand out
    are taken out of A and the rest is decomposed again, whose s_1 is then small; where that does not help
    either, or an iteration does not converge, a singular value decomposition is taken.

    Parameters
    ----------
    matrix : torch.Tensor
        Shape (m, n), m <= n, float64, contiguous or the transpose of a contiguous one.
    k : int
        Leading directions, at most m; 0 for none.
    needed : int, optional
        How many of them must come; those beyond that a Gram matrix cannot give are left out. All by default.
    tail : bool
        Whether the smallest values are wanted as accurately as those of a singular value decomposition, for
        differences of spectra; otherwise their errors say what they are worth.

    Returns
    -------
    Decomposition
        Values with their errors, and directions with their certificate.
    """
    if len(matrix) <= SMALLEST:
        return _by_svd(matrix, k)
    try:
        return _by_gram(matrix, k, k if needed is None else needed, tail) or _by_svd(matrix, k)
    except NO_CONVERGENCE:
        return _by_svd(matrix, k)


def sharper(matrix: Tensor, spectrum: Spectrum) -> Spectrum:
    """Singular values once more, by the next more accurate way: without the leading directions, then by SVD.

    Parameters
    ----------
    matrix : torch.Tensor
        Shape (m, n), m <= n, float64.
    spectrum : Spectrum
        What is known.

    Returns
    -------
    Spectrum
        With smaller errors; the same where there is no better way.
    """
    if spectrum.method is Method.svd:
        return spectrum
    p = int((spectrum.values >= LEADING * spectrum.values[0]).sum())
    if spectrum.method is Method.tridiagonal and 4 * p <= len(spectrum.values):
        found = _deflated(matrix, _squares_of(matrix), spectrum, p, 0).spectrum
        if found.reliable == len(found.values):
            return found
    return _plain(singular_values(matrix))


def values_within(matrix: Tensor, accuracy: float) -> Tensor:
    """All singular values of a wide matrix to an absolute accuracy.

    Parameters
    ----------
    matrix : torch.Tensor
        Shape (m, n), m <= n, float64, contiguous or the transpose of a contiguous one.
    accuracy : float
        Largest error put up with.

    Returns
    -------
    torch.Tensor
        Shape (m,), descending.
    """
    if len(matrix) <= SMALLEST:
        return singular_values(matrix)
    try:
        squares = _squares_of(matrix)
        known = _with_tail(matrix, squares, _spectrum_of(squares), 2 * accuracy / len(matrix) ** 0.5)
    except NO_CONVERGENCE:
        return singular_values(matrix)
    return known.values if float(known.errors.max()) <= accuracy else singular_values(matrix)


def _plain(values: Tensor) -> Spectrum:
    return Spectrum(values, torch.zeros_like(values), Method.svd)


def _squares_of(matrix: Tensor) -> Eigen:
    return symmetric_eigen(gram(matrix))


def _spectrum_of(squares: Eigen) -> Spectrum:
    values = squares.values.clamp(min=0).sqrt()
    return Spectrum(values, _gram_errors(values), Method.tridiagonal, RELIABLE * float(values[0]))


def _gram_errors(values: Tensor) -> Tensor:
    """Rounding of eigenvalues that are small beside others: an ulp of their root mean square."""
    rounding = EPS * values.square().square().mean().sqrt()
    return torch.minimum(rounding / (2 * values.clamp(min=TINY)), rounding.sqrt())


def _with_tail(matrix: Tensor, squares: Eigen, known: Spectrum, threshold: float) -> Spectrum:
    """Singular values of A on its last directions in place of the roots of small eigenvalues.

    Taken where errors exceed the threshold. Rounding mixes every kept direction into the last ones, by its
    error over its value, which adds the root of the sum of their squared errors to a value in quadrature.
    """
    count = min(int((known.errors > threshold).sum()), len(matrix) // _SHORT)
    if count == 0:
        return known
    tail = singular_values(product(squares.trailing(count).mT, matrix))
    mixed = known.errors[-count - 1] * len(matrix) ** 0.5 / 2
    errors = torch.minimum(mixed, mixed**2 / (2 * tail.clamp(min=TINY)))
    values = torch.cat([known.values[:-count], tail]).sort(descending=True).values
    return Spectrum(values, torch.cat([known.errors[:-count], errors]), known.method, float(mixed))


def _by_gram(matrix: Tensor, k: int, needed: int, tail: bool) -> Decomposition | None:
    """None where a Gram matrix cannot give what is asked for."""
    squares = _squares_of(matrix)
    if not 1e-250 < float(squares.values[0]) < 1e250:
        return None
    rough = _spectrum_of(squares)
    if rough.reliable < needed:
        return None
    k = min(k, rough.reliable)
    taken = _directions_to_take_out(rough.values, k) if k else 0
    if taken is None:
        return None
    if taken:
        return _deflated(matrix, squares, rough, taken, k)
    leading = _paired(matrix, squares.leading(k), rough.values, Method.tridiagonal) if k else None
    if not tail:
        return Decomposition(rough, leading)
    return Decomposition(_with_tail(matrix, squares, rough, ULPS * EPS * float(rough.values[0])), leading)


def _directions_to_take_out(values: Tensor, k: int) -> int | None:
    """How many leading directions must go before the others keep their digits; None where none will do."""
    first, last = float(values[0]), float(values[k - 1])
    gap = last - (float(values[k]) if k < len(values) else 0.0)
    if EPS * first**2 <= TURN * 2 * last * gap:
        return 0
    count = int((values > max(2 * last, LEADING * first)).sum())
    rest = float(values[count])
    if EPS * rest**2 <= TURN * 2 * last * gap or rest**2 < 8 * last * first:
        # the second: a singular value decomposition, with its error of eps s_1 / gap, is no better
        return count
    return None


def _deflated(matrix: Tensor, squares: Eigen, known: Spectrum, p: int, k: int) -> Decomposition:
    """Take p leading directions out, decompose the rest, and put both together."""
    out = squares.leading(p)
    rest = matrix - product(out, product(out.mT, matrix))
    others = _squares_of(rest)
    tail = _with_tail(rest, others, _spectrum_of(others), ULPS * EPS * float(known.values[0]))
    kept = len(known.values) - p
    values = torch.cat([known.values[:p], tail.values[:kept]]).sort(descending=True).values
    errors = torch.cat([known.errors[:p], tail.errors[:kept]])
    spectrum = Spectrum(values, errors, Method.deflated, tail.floor)
    if k == 0:
        return Decomposition(spectrum, None)
    added = others.leading(k - p)
    added -= product(out, product(out.mT, added))
    left = orthonormal(torch.cat([out, added], dim=1))
    return Decomposition(spectrum, _paired(matrix, left, values, Method.deflated))


def _paired(matrix: Tensor, left: Tensor, values: Tensor, method: Method) -> Leading:
    """Right vectors from the left ones; orthonormalised where the range of values has cost digits."""
    k = left.shape[1]
    right = product(matrix.mT, left) / values[:k]
    if float(values[0]) > 20 * float(values[k - 1]):
        right = orthonormal(right)
    following = float(values[k]) if k < len(values) else 0.0
    certificate = certify(matrix, left, values[:k], right, following, method)
    if not certificate.residual < ABSURD:
        raise np.linalg.LinAlgError("the vectors that a solver returned do not fit the matrix")
    return Leading(values[:k], left, right, certificate)


def orthonormal(columns: Tensor) -> Tensor:
    """Orthonormalise columns that nearly are, keeping their order and signs, by Cholesky factors.

    Parameters
    ----------
    columns : torch.Tensor
        Shape (n, k), float64.

    Returns
    -------
    torch.Tensor
        Shape (n, k), the same nested spans.
    """
    lower = torch.linalg.cholesky(product(columns.mT, columns))
    found: Tensor = torch.linalg.solve_triangular(lower.mT, columns, upper=True, left=False)
    return found


def _by_svd(matrix: Tensor, k: int) -> Decomposition:
    if k == 0:
        return Decomposition(_plain(singular_values(matrix)), None)
    left, values, right = singular_triplets(matrix)
    left, right = left[:, :k].clone(), right[:, :k].clone()
    following = float(values[k]) if k < len(values) else 0.0
    leading = Leading(
        values[:k], left, right, certify(matrix, left, values[:k], right, following, Method.svd)
    )
    return Decomposition(_plain(values), leading)
