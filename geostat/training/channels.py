"""A channel of a matrix: orthonormal directions of its outputs, of its inputs, or of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from geostat.errors import NonFiniteError, ProtocolError, ShapeError
from geostat.trajectories.store import open_trajectory, vectors

__all__ = ["Channel", "ChannelSide", "stored_channels"]

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
    if basis.ndim != 2 or basis.shape[0] != length or not 1 <= basis.shape[1] <= length:
        raise ShapeError(
            f"{what} has the shape {tuple(basis.shape)}; the matrix is {shape[0]} x {shape[1]}, so ({length}, K) with "
            f"K up to {length} was expected. Check that it belongs to this model and to this side."
        )
    if not bool(basis.isfinite().all()):
        raise NonFiniteError(
            f"{what} holds NaN or infinity: it asks for more directions than the update had, or was computed from "
            "weights that diverged. Take a smaller K."
        )
    gram = basis.double().mT @ basis.double()
    off = float((gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).abs().max())
    if off > _ORTHONORMAL:
        raise ProtocolError(
            f"{what} is not orthonormal: B'B differs from the identity by {off:.2g}. Pass torch.linalg.qr(basis).Q."
        )


def channels_of(given: Mapping[str, Any], side: ChannelSide) -> dict[str, Channel]:
    """Read channels from what a user passes.

    Parameters
    ----------
    given : mapping
        Name of a matrix -> `Channel`, or basis (an array of shape (m, K) or (n, K)) for one side, or (left, right)
        for both.
    side : {"right", "left", "both"}
        What bases mean.

    Returns
    -------
    dict of str to Channel
        By name.

    Raises
    ------
    ProtocolError
        If `side` is none of these, or the bases are not what it says.
    """
    if side not in ("left", "right", "both"):
        raise ProtocolError(f"side={side!r}. Choose 'right' (inputs), 'left' (outputs) or 'both'.")
    if not given:
        raise ProtocolError("the channel is empty: it names no matrix, so nothing would be constrained.")
    return {name: _channel(name, basis, side) for name, basis in given.items()}


def _channel(name: str, basis: Any, side: ChannelSide) -> Channel:
    if isinstance(basis, Channel):
        return basis
    if side != "both":
        return Channel(**{side: _tensor(basis)})
    if not isinstance(basis, tuple | list) or len(basis) != 2:
        raise ProtocolError(
            f"side='both' needs a pair (left, right) for '{name}', but found {type(basis).__name__}."
        )
    return Channel(_tensor(basis[0]), _tensor(basis[1]))


def _tensor(basis: Any) -> Tensor:
    found = basis if isinstance(basis, Tensor) else torch.from_numpy(np.array(basis))
    return found.detach() if found.is_floating_point() else found.to(torch.float64)


def stored_channels(store: Any, *, step: int, K: int = 16, side: ChannelSide = "right") -> dict[str, Channel]:
    """Channels of a measured run: leading singular vectors of its updates at one step.

    Parameters
    ----------
    store : path
        A sealed store that holds vectors.
    step : int
        One of its steps.
    K : int
        Directions of each matrix.
    side : {"right", "left", "both"}
        Of inputs, of outputs, or both.

    Returns
    -------
    dict of str to Channel
        By name of the matrix.

    Raises
    ------
    ProtocolError
        If the store has no such step, or fewer directions.
    StoreError
        If it cannot be read, or holds no vectors.
    """
    dataset = open_trajectory(store)
    steps = dataset["step"].values.tolist()
    if step not in steps:
        raise ProtocolError(f"{store} has no step {step}. It has {', '.join(map(str, steps))}.")
    return {name: _stored(store, name, step, K, side) for name in map(str, dataset["matrix"].values)}


def _stored(store: Any, name: str, step: int, K: int, side: ChannelSide) -> Channel:
    found = vectors(store, name).sel(step=step)
    if not 1 <= K <= found.sizes["component"]:
        raise ProtocolError(
            f"K={K}: {store} holds {found.sizes['component']} directions of '{name}'. Take a smaller K, or "
            "measure again with a protocol of larger K."
        )
    sides = ("left", "right") if side == "both" else (side,)
    return Channel(**{each: torch.from_numpy(found[each].values[:, :K].copy()) for each in sides})
