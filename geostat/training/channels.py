"""A channel of a matrix: orthonormal directions of its outputs, of its inputs, or of both."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from geostat.errors import NonFiniteError, ProtocolError, ShapeError

__all__ = ["Channel", "ChannelSide"]

ChannelSide = Literal["left", "right", "both"]

_ORTHONORMAL = 1e-4
"""Largest entry of B'B - I that float32 vectors of a store may show, and no basis of another kind does."""


@dataclass(frozen=True, eq=False)
class Channel:
    r"""Directions in which one matrix may move.

    Attributes
    ----------
    left : torch.Tensor or None
        U, shape (m, K), orthonormal columns: directions of outputs. None for all.
    right : torch.Tensor or None
        V, shape (n, K), orthonormal columns: directions of inputs. None for all.
    """

    left: Tensor | None = None
    right: Tensor | None = None

    def inside(self, matrix: Tensor) -> Tensor:
        r"""Part of a matrix that lies in the channel, :math:`U U^\top M V V^\top`.

        Parameters
        ----------
        matrix : torch.Tensor
            Shape (m, n); computed in its own dtype and on its own device.

        Returns
        -------
        torch.Tensor
            Shape (m, n).

        Examples
        --------
        >>> import torch
        >>> Channel(right=torch.eye(3)[:, :1]).inside(torch.ones(2, 3))
        tensor([[1., 0., 0.],
                [1., 0., 0.]])
        """
        if self.right is not None:
            matrix = (matrix @ self.right) @ self.right.mT
        if self.left is not None:
            matrix = self.left @ (self.left.mT @ matrix)
        return matrix

    def to(self, like: Tensor) -> "Channel":
        """Return the channel in the dtype and on the device of a tensor.

        Parameters
        ----------
        like : torch.Tensor
            Any shape.

        Returns
        -------
        Channel
            The same directions.
        """
        return Channel(*(None if basis is None else basis.to(like) for basis in (self.left, self.right)))

    def check(self, name: str, shape: tuple[int, int]) -> None:
        """Refuse a channel that is none, or not one of this matrix.

        Parameters
        ----------
        name : str
            Name of the matrix, for the message.
        shape : tuple of int
            (m, n).

        Raises
        ------
        ShapeError, NonFiniteError, ProtocolError
            If directions do not fit the matrix, hold NaN, or are not orthonormal.
        """
        for side, basis, length in (("left", self.left, shape[0]), ("right", self.right, shape[1])):
            if basis is not None:
                _check_basis(f"the {side} channel of '{name}'", basis, length, shape)


def _check_basis(what: str, basis: Tensor, length: int, shape: tuple[int, int]) -> None:
    if not isinstance(basis, Tensor) or basis.is_complex():
        found = "complex numbers" if isinstance(basis, Tensor) else f"a {type(basis).__name__}"
        raise ProtocolError(f"{what} is {found}; a real torch tensor of shape ({length}, K) was expected.")
    if basis.ndim == 2 and basis.shape[0] == length < basis.shape[1]:
        raise ShapeError(
            f"{what} has K={basis.shape[1]} directions; the matrix is {shape[0]} x {shape[1]} and has {length} of this "
            "side. Take a smaller K, or leave this matrix out."
        )
    if basis.ndim != 2 or basis.shape[0] != length or not 1 <= basis.shape[1] <= length:
        raise ShapeError(
            f"{what} has the shape {tuple(basis.shape)}; the matrix is {shape[0]} x {shape[1]}, so ({length}, K) with "
            f"K up to {length} was expected. Check that it belongs to this model and to this side."
        )
    if not bool(basis.isfinite().all()):
        raise NonFiniteError(
            f"{what} holds NaN or infinity: it asks for more directions than the update had, or was computed from "
            "weights that diverged. Take a smaller K, or leave this matrix out: channels = stored_channels(...); "
            "channels.pop(name)."
        )
    gram = basis.double().mT @ basis.double()
    off = float((gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).abs().max())
    if off > _ORTHONORMAL:
        raise ProtocolError(
            f"{what} is not orthonormal: B'B differs from the identity by {off:.2g}. Pass torch.linalg.qr(basis).Q."
        )
