"""One matrix under a constraint: its channel, where it started, and what has been projected so far."""

from dataclasses import dataclass

import torch
from torch import Tensor

from geostat.checkpoints import MatrixRef
from geostat.errors import ProtocolError
from geostat.training.channels import Channel
from geostat.training.parameters import Constrained

__all__ = ["Piece", "piece_of", "projected"]


@dataclass(eq=False)
class Piece:
    """One matrix under constraint.

    Attributes
    ----------
    ref : MatrixRef
        Where it lies.
    channel : Channel
        In the precision of `start`.
    start : torch.Tensor
        Shape (m, n), float32 or wider: the weights when the constraint began.
    outside : bool
        Whether the complement of the channel is allowed instead.
    kept, total : torch.Tensor
        Scalars: energy that was inside, and all.
    movement : torch.Tensor
        Shape (m, n): how far the weights have come from `start` inside, before they are rounded to their storage.
    stored : torch.dtype
        Of the weights.
    """

    ref: MatrixRef
    channel: Channel
    start: Tensor
    outside: bool
    kept: Tensor
    total: Tensor
    movement: Tensor
    stored: torch.dtype

    @property
    def weight(self) -> Tensor:
        """The weights as `movement` leaves them, shape (m, n), rounded to their storage."""
        return (self.start + self.movement).to(self.stored)

    def follow(self, weight: Tensor) -> None:
        """Move by the part of a step that is inside, and count its energy.

        Parameters
        ----------
        weight : torch.Tensor
            Shape (m, n): the weights after a step that began at `weight`.
        """
        step = weight.to(self.start.dtype) - self.weight.to(self.start.dtype)
        moved = self.inside(self.movement + step)
        self.count(moved - self.movement, step)
        self.movement = moved

    def inside(self, matrix: Tensor) -> Tensor:
        """Part of a matrix that may stay.

        Parameters
        ----------
        matrix : torch.Tensor
            Shape (m, n).

        Returns
        -------
        torch.Tensor
            The same shape, in the precision of `start`.
        """
        wide = matrix.to(self.start.dtype)
        found = self.channel.inside(wide)
        return wide - found if self.outside else found

    def count(self, kept: Tensor, total: Tensor) -> None:
        """Add energies; those of a step that overflowed are left out, as loss scaling leaves it out.

        Parameters
        ----------
        kept, total : torch.Tensor
            Shape (m, n): what stayed, and all.
        """
        kept, total = (torch.linalg.vector_norm(each).to(self.total) ** 2 for each in (kept, total))
        counts = total.isfinite()
        self.kept += torch.where(counts, kept, 0.0)
        self.total += torch.where(counts, total, 0.0)


@torch.no_grad()
def projected(gradient: Tensor, pieces: list[Piece]) -> Tensor:
    """Project a gradient, and count its energy.

    Parameters
    ----------
    gradient : torch.Tensor
        Of a whole parameter.
    pieces : list of Piece
        The constrained matrices in it.

    Returns
    -------
    torch.Tensor
        A new tensor of the same shape and dtype.
    """
    if gradient.is_sparse:
        raise ProtocolError(
            f"the gradient of '{pieces[0].ref.tensor}' is sparse, and a projected one would not be. Make its layer "
            "with sparse=False, or leave it out of the channel."
        )
    changed = gradient.clone()
    for piece in pieces:
        whole = piece.ref.layout.take(gradient)
        inside = piece.inside(whole)
        piece.count(inside, whole)
        piece.ref.layout.put(changed, inside.to(gradient.dtype))
    return changed


@torch.no_grad()
def piece_of(each: Constrained, outside: bool) -> Piece:
    """Begin with the weights as they are now.

    Parameters
    ----------
    each : Constrained
        The matrix and its channel.
    outside : bool
        Whether the complement of the channel is allowed instead.

    Returns
    -------
    Piece
        With nothing counted yet.
    """
    weight = each.ref.layout.take(each.parameter.detach())
    wide = torch.float64 if weight.dtype == torch.float64 else torch.float32
    start = weight.to(wide, copy=True)
    channel = each.channel.to(start)
    zero = torch.zeros((), dtype=wide if start.device.type == "mps" else torch.float64, device=start.device)
    movement = torch.zeros_like(start)
    return Piece(each.ref, channel, start, outside, zero.clone(), zero.clone(), movement, weight.dtype)
