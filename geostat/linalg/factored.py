"""A matrix in float64 whose singular value decomposition is computed once, when it is asked for."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from geostat.errors import ShapeError
from geostat.linalg.certificate import Certificate, Method, certify, dearest
from geostat.linalg.entries import Entries, checked
from geostat.linalg.lanczos import block_lanczos, worth_trying
from geostat.linalg.policy import current_policy
from geostat.linalg.spectra import Leading, Spectrum, decompose, sharper
from geostat.linalg.svd import SVD, plain_svd
from geostat.protocols import check_setting

__all__ = ["Factored", "MatrixLike", "Side", "factored"]

Side = Literal["left", "right"]
T = TypeVar("T")


class Factored:
    """A matrix and what was asked of its singular value decomposition, in float64.

    Every diagnostic accepts one in place of an array, so that matrices which several diagnostics
    share (W_0 above all) are factored once. What was computed is kept, but no copy of the matrix: singular
    values, leading vectors, small results. Which algorithm is taken says `geostat.linalg.Policy`; the fast one
    is described at `geostat.linalg.spectra.decompose`.

    Parameters
    ----------
    values : torch.Tensor
        Shape (m, n), floating point. Entries must be finite.
    less : torch.Tensor, optional
        Shape (m, n): what is subtracted from them, in float64, whenever the entries are needed.
    wanted : int
        Leading directions that will be asked for: they are computed together with the spectrum. More can be
        asked for later, at the price of another decomposition.
    whole : bool
        Whether all singular values will be asked for, so that leading ones alone are not looked for first.
    """

    def __init__(
        self, values: Tensor, *, less: Tensor | None = None, wanted: int = 0, whole: bool = False
    ) -> None:
        self.entries = Entries(values, less)
        self.wanted = wanted
        self.whole = whole
        self._spectrum: Spectrum | None = None
        self._directions: Leading | None = None
        self._memory: dict[Hashable, Any] = {}

    @property
    def stored(self) -> Tensor:
        """The entries as they were given; of a difference, in float64."""
        return self.entries.given if self.entries.less is None else self.values

    @property
    def values(self) -> Tensor:
        """The entries in float64, shape (m, n); made anew each time unless they are stored so."""
        return self.entries.float64()

    @property
    def rows(self) -> int:
        """Number of rows m."""
        return self.entries.given.shape[0]

    @property
    def cols(self) -> int:
        """Number of columns n."""
        return self.entries.given.shape[1]

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
        """Thin decomposition in float64, singular values descending: the plain way, all of it kept."""
        return plain_svd(self.values)

    @property
    def _wide(self) -> Tensor:
        """The entries in float64 with the smaller side first."""
        entries = self.values.contiguous()
        return entries if self.rows <= self.cols else entries.mT

    def _decompose(self, needed: int = 0) -> Spectrum:
        k = min(max(needed, self.wanted), self.smaller)
        if self._directions is not None and len(self._directions.values) >= k:
            k = 0
        weight = self.entries.less is None  # of differences no figure subtracts the spectra
        found = decompose(self._wide, k, needed=min(needed, k), tail=weight)
        if found.leading is not None:
            self._directions = found.leading
        if self._spectrum is None or found.spectrum.method is Method.svd:
            self._spectrum = found.spectrum
        return self._spectrum

    @property
    def singular_values(self) -> Tensor:
        """All singular values, descending, shape (min(m, n),)."""
        return self.spectrum.values

    @property
    def spectrum(self) -> Spectrum:
        """All singular values, the size of their errors, and how they were computed."""
        if _plain():
            values = self.svd.values
            return Spectrum(values, torch.zeros_like(values), Method.svd)
        found = self._spectrum or self._decompose()
        while found.reliable < len(found.values):
            found = self._spectrum = sharper(self._wide, found)
        return found

    def sharpen(self) -> bool:
        """Compute the singular values once more, by the next more accurate way.

        Returns
        -------
        bool
            False where there is none: they come from a singular value decomposition already.
        """
        known = self.spectrum
        if known.method is Method.svd:
            return False
        self._spectrum = sharper(self._wide, known)
        return True

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
        if _plain():
            return self.svd.values[:k]
        k = min(k, self.smaller)
        if self._spectrum is None and self._alone(k):
            return self._found(k).values[:k]
        known = self._spectrum or self._decompose()
        return (known if known.reliable >= k else self.spectrum).values[:k]

    def _alone(self, k: int) -> bool:
        """Whether the leading triplets are there without a spectrum, or can be found so."""
        if self._directions is not None and len(self._directions.values) >= k:
            return True
        k = max(k, self.wanted)
        if self.whole or not worth_trying(self.smaller, k):
            return False
        self._directions = block_lanczos(self._wide, k)
        self.whole = self._directions is None
        return not self.whole

    def _found(self, k: int) -> Leading:
        """At least k leading triplets, the smaller side's vectors to the left."""
        known = self._directions is not None and len(self._directions.values) >= k
        if not known and (self._spectrum is not None or not self._alone(k)):
            self._decompose(k)
        if self._directions is None:  # pragma: no cover - the needed ones always come
            raise AssertionError("no direction was computed")
        return self._directions

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
        if "svd" in self.__dict__:
            return self._certificate_of_svd
        known = Method.none if self._spectrum is None else self._spectrum.method
        if self._directions is None:
            return Certificate(known)
        found = self._directions.certificate
        return replace(found, method=dearest(known, found.method))

    @cached_property
    def _certificate_of_svd(self) -> Certificate:
        left, values, right = self.svd
        return certify(self.values, left, values, right, 0.0, Method.svd)

    def _floor(self, largest: Tensor) -> Tensor:
        return max(self.rows, self.cols) * torch.finfo(torch.float64).eps * largest

    @cached_property
    def frobenius_norm(self) -> float:
        """Root of the sum of squared entries."""
        return self.entries.frobenius_norm()

    @property
    def spectral_norm(self) -> float:
        """The largest singular value."""
        return float(self.leading_values(1)[0])

    @cached_property
    def is_zero(self) -> bool:
        """Whether every entry is zero."""
        return self.entries.is_zero()

    @property
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
        return self._leading(min(k, self.smaller), side)

    def _leading(self, k: int, side: Side) -> Tensor:
        check_setting("side", side)
        if k == 0:
            return self.entries.given.new_zeros((self.size(side), 0), dtype=torch.float64)
        found = self.svd if _plain() else self._found(k)
        turned = not _plain() and self.rows > self.cols
        return (found.left if (side == "left") != turned else found.right)[:, :k]

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
        """Return what was made under this key and policy, or make it now and keep it with the matrix.

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
        key = (current_policy().spectra, key)
        if key not in self._memory:
            self._memory[key] = make()
        found: T = self._memory[key]
        return found

    def minus(self, other: "Factored", *, wanted: int = 0, whole: bool = False) -> "Factored":
        """Return the difference, computed in float64 whenever its entries are needed.

        Parameters
        ----------
        other : Factored
            What to subtract, of the same shape.
        wanted : int
            Leading directions of the difference that will be asked for.
        whole : bool
            Whether all its singular values will be asked for.

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
        return Factored(self.stored, less=other.stored, wanted=wanted, whole=whole)


def _plain() -> bool:
    return current_policy().spectra == "plain"


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
    return matrix if isinstance(matrix, Factored) else Factored(checked(matrix))


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
