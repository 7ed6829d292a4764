"""A stored pair of weights, as `latent_update` needs it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from geostat.errors import ProtocolError
from geostat.linalg import MatrixLike, factored
from geostat.linalg.entries import checked
from geostat.linalg.factored import Factored, require_same_shape
from geostat.linalg.rounding_cells import RoundingCells, rounding_cells
from geostat.nulls.latents.figures import SIDES, Channels

__all__ = ["StoredPair"]


@dataclass(frozen=True, eq=False)
class StoredPair:
    """The stored pair, what it says, and what is asked of it.

    Attributes
    ----------
    initial, updated : torch.Tensor
        Shape (m, n), one 16-bit type.
    cells : RoundingCells
        Where the update lies.
    update : torch.Tensor
        Stored update, shape (m, n), float64.
    K : int
        Size of the channel, at most min(m, n).
    """

    initial: Tensor
    updated: Tensor
    cells: RoundingCells
    update: Tensor
    K: int

    @classmethod
    def of(cls, initial: MatrixLike, updated: MatrixLike, K: int) -> "StoredPair":
        """Check two weights and find the cells.

        Parameters
        ----------
        initial, updated : array, tensor or Factored
            Shape (m, n).
        K : int
            Size of the channel.

        Returns
        -------
        StoredPair
            The pair.

        Raises
        ------
        ProtocolError
            If they are not stored in one 16-bit type.
        ShapeError, NonFiniteError
            If they do not belong together, or hold NaN.
        """
        start, end = (checked(w.entries.given if isinstance(w, Factored) else w) for w in (initial, updated))
        require_same_shape(Factored(start), Factored(end))
        if not {start.dtype, end.dtype} & {torch.bfloat16, torch.float16}:
            raise ProtocolError(
                f"the weights are stored in {str(start.dtype).removeprefix('torch.')}: 16-bit rounding has "
                "hidden nothing. Measure updated - initial directly."
            )
        cells = rounding_cells(start, end)
        stored = end.to(torch.float64) - start.to(torch.float64)
        return cls(start, end, cells, stored, min(K, *start.shape))

    def compared(self, other: MatrixLike | None) -> dict[str, Channels]:
        """Channels that the latent one is compared with.

        Parameters
        ----------
        other : array, tensor or Factored, optional
            Another update.

        Returns
        -------
        dict
            Name of the similarity, and channels per side; without zero updates, which have none.

        Raises
        ------
        ShapeError
            If `other` has another shape.
        """
        given = {"stored_similarity": factored(self.update)}
        if other is not None:
            given["other_similarity"] = factored(other)
            require_same_shape(given["stored_similarity"], given["other_similarity"])
        there = {name: each for name, each in given.items() if not each.is_zero}
        return {name: {side: each.channel(self.K, side) for side in SIDES} for name, each in there.items()}

    @property
    def too_little(self) -> str:
        """Why nothing can be estimated; empty where something can."""
        changed, needed = int((self.update != 0).sum()), sum(self.update.shape)
        if changed == 0:
            return "no entry changed in storage: the update is hidden in the dead zone, if there is one"
        if changed < needed:
            return f"{changed} entries changed in storage, fewer than the {needed} rows and columns"
        return ""
