"""Covariance of a layer's inputs: the directions that even a structureless walk prefers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from geostat.errors import ShapeError

__all__ = ["CovarianceLike", "InputCovariance", "input_covariance"]

CovarianceLike = float | npt.ArrayLike | Tensor | None
"""None (isotropic), exponent a of eigenvalues k^-a, eigenvalues, or the matrix."""


@dataclass(frozen=True, eq=False)
class InputCovariance:
    """Covariance of the rows of an increment, of which the scale plays no role.

    Attributes
    ----------
    eigenvalues : torch.Tensor
        Shape (cols,), float64, descending, of mean 1.
    basis : torch.Tensor or None
        Shape (cols, cols): eigenvectors as columns; None where they are not known.
    words : str
        What was given.
    """

    eigenvalues: Tensor
    basis: Tensor | None
    words: str

    @property
    def isotropic(self) -> bool:
        """Whether no direction is preferred."""
        return bool((self.eigenvalues == self.eigenvalues[0]).all())

    def coloured(self, noise: Tensor, *, basis: Tensor | None = None) -> Tensor:
        """Noise with this covariance of its rows.

        Parameters
        ----------
        noise : torch.Tensor
            Shape (..., rows, cols), standard normal.
        basis : torch.Tensor, optional
            Shape (cols, cols): eigenvectors; by default the coordinate axes, which no orthogonally invariant
            figure can tell from others.

        Returns
        -------
        torch.Tensor
            Same shape.
        """
        scaled = noise * self.eigenvalues.sqrt()
        return scaled if basis is None else scaled @ basis.mT

    def directions(self, rng: np.random.Generator) -> Tensor | None:
        """Eigenvectors: those given, or random ones where only eigenvalues are known.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of random directions.

        Returns
        -------
        torch.Tensor or None
            Shape (cols, cols); None where all directions are alike.
        """
        if self.basis is not None or self.isotropic:
            return self.basis
        size = len(self.eigenvalues)
        drawn, signs = np.linalg.qr(rng.standard_normal((size, size)))
        return torch.from_numpy(drawn * np.sign(np.diag(signs)))


def input_covariance(given: CovarianceLike, cols: int) -> InputCovariance:
    """Read what the user says of the inputs' covariance.

    Parameters
    ----------
    given : None, float, array or tensor
        None: isotropic. A number a >= 0: eigenvalues k^-a. Shape (cols,): eigenvalues in directions that are not
        known. Shape (cols, cols): the matrix.
    cols : int
        Number of inputs.

    Returns
    -------
    InputCovariance
        Of mean eigenvalue 1.

    Raises
    ------
    ShapeError
        If it does not fit the matrix, or is no covariance.
    """
    if given is None:
        return InputCovariance(torch.ones(cols, dtype=torch.float64), None, "isotropic inputs")
    array = np.asarray(given.detach().cpu() if isinstance(given, Tensor) else given)
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ShapeError(
            "the input covariance holds what is no finite number. Pass eigenvalues or the matrix itself."
        )
    array = array.astype(np.float64)
    if array.ndim == 0:
        return _power_law(float(array), cols)
    if array.shape == (cols,):
        return _checked(np.sort(array)[::-1], None, "inputs of given eigenvalues in random directions")
    if array.shape == (cols, cols):
        return _of_matrix(array)
    raise ShapeError(
        f"the input covariance has shape {array.shape}, but the matrix has {cols} columns. Pass {cols} eigenvalues, "
        f"a ({cols}, {cols}) matrix, or the exponent of a power law."
    )


def _power_law(exponent: float, cols: int) -> InputCovariance:
    if exponent < 0:
        raise ShapeError(
            f"the input covariance's exponent is {exponent:g}, but eigenvalues k^-a fall: pass a >= 0."
        )
    eigenvalues = np.arange(1, cols + 1) ** -exponent
    return _checked(eigenvalues, None, f"input eigenvalues k^-{exponent:g} in random directions")


def _of_matrix(array: npt.NDArray[np.float64]) -> InputCovariance:
    if not np.allclose(array, array.T, rtol=1e-6, atol=1e-9 * np.abs(array).max()):
        raise ShapeError("the input covariance is not symmetric. Pass X^T X of the layer's inputs X.")
    values, vectors = np.linalg.eigh((array + array.T) / 2)
    if values[0] < -1e-8 * values[-1]:
        raise ShapeError(
            f"the input covariance has the eigenvalue {values[0]:.3g}, but none can be negative. Pass X^T X of the "
            "layer's inputs X."
        )
    return _checked(values[::-1].clip(min=0.0), vectors[:, ::-1], "the given input covariance")


def _checked(
    eigenvalues: npt.NDArray[np.floating[Any]], vectors: npt.NDArray[Any] | None, words: str
) -> InputCovariance:
    if eigenvalues[-1] < 0 or eigenvalues[0] <= 0:
        raise ShapeError("the input covariance must have eigenvalues of 0 or more, and not only zeros.")
    scaled = torch.from_numpy(np.ascontiguousarray(eigenvalues / eigenvalues.mean()))
    basis = None if vectors is None else torch.from_numpy(np.ascontiguousarray(vectors))
    return InputCovariance(scaled, basis, words)
