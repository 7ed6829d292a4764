"""What storage did to a pair of weights: rounded to one 16-bit type, or not at all."""

from typing import NamedTuple

import torch
from torch import Tensor

from geostat.errors import ProtocolError
from geostat.linalg import Factored
from geostat.linalg.factored import require_same_shape

__all__ = ["SixteenBit", "sixteen_bit_pair", "storage_of", "unrounded_pair"]

_NARROW = (torch.bfloat16, torch.float16)


class SixteenBit(NamedTuple):
    """Two weights as they were stored, in one 16-bit type.

    Attributes
    ----------
    initial, updated : torch.Tensor
        Shape (m, n), both bfloat16 or both float16, contiguous, on the CPU.
    """

    initial: Tensor
    updated: Tensor

    @property
    def mantissa_bits(self) -> int:
        """Bits of a number below its leading one: 7 for bf16, 10 for fp16."""
        return 7 if self.initial.dtype is torch.bfloat16 else 10

    @property
    def smallest_exponent(self) -> int:
        """Power of two of the smallest normal number."""
        return -126 if self.initial.dtype is torch.bfloat16 else -14


def storage_of(matrix: Factored) -> torch.dtype:
    """Type whose numbers the entries are, however wide they were saved.

    Parameters
    ----------
    matrix : Factored
        Shape (m, n).

    Returns
    -------
    torch.dtype
        bfloat16 or float16 where every entry is such a number (bfloat16 where all are both), otherwise
        the type they are stored in.
    """
    stored = matrix.stored
    if stored.dtype in _NARROW:
        return stored.dtype
    for narrow in _NARROW:
        if bool((stored.to(narrow).to(stored.dtype) == stored).all()):
            return narrow
    return stored.dtype


def sixteen_bit_pair(initial: Factored, updated: Factored) -> SixteenBit:
    """Both weights in the 16-bit type that storage rounded them to.

    Parameters
    ----------
    initial, updated : Factored
        Shape (m, n). Wider numbers are taken where all of them are numbers of one 16-bit type.

    Returns
    -------
    SixteenBit
        The pair.

    Raises
    ------
    ProtocolError
        If they were not both rounded to one type: then there is no gate, or not one gate.
    ShapeError
        If the shapes differ.
    """
    require_same_shape(initial, updated)
    start, end = storage_of(initial), storage_of(updated)
    if start is not end or start not in _NARROW:
        raise ProtocolError(_not_one_gate(start, end))
    return SixteenBit(*(each.stored.to(start).cpu().contiguous() for each in (initial, updated)))


def unrounded_pair(initial: Factored, updated: Factored) -> tuple[Tensor, Tensor]:
    """Both weights in float64, if storage did not round the updated one to 16 bits.

    Parameters
    ----------
    initial, updated : Factored
        Shape (m, n). The start may be stored in any type: training that starts there moves it exactly.

    Returns
    -------
    tuple of torch.Tensor
        Shape (m, n), float64.

    Raises
    ------
    ProtocolError
        If the updated weights are 16-bit numbers only: a stored update is censored by rounding, and moving it to
        other weights makes entries visible, or invisible, that rounding would have treated otherwise.
    ShapeError
        If the shapes differ.
    """
    require_same_shape(initial, updated)
    dtype = storage_of(updated)
    if dtype in _NARROW:
        raise ProtocolError(
            "method='permutation' needs weights that storage did not round, and every entry of updated is a "
            f"{_told(dtype)} number. Rounding has already hidden the small steps, so permuting what is left gives "
            "a null that is wrong by 10 to 19 points. Pass the fp32 weights of the checkpoint, or use "
            "method='law-free' or 'law'."
        )
    return initial.values, updated.values


def _not_one_gate(start: torch.dtype, end: torch.dtype) -> str:
    if start is end:
        return (
            f"The weights are stored in {_told(start)} and hold more digits than 16 bits: no gate has hidden their "
            "small steps, so this null does not apply. Pass the bf16 checkpoints, or method='permutation', which "
            "asks the same question of unrounded weights."
        )
    return (
        f"initial holds {_told(start)} numbers and updated {_told(end)} ones. One step between two storage types "
        "mixes two roundings. Pass both checkpoints in the type that the run was saved in."
    )


def _told(dtype: torch.dtype) -> str:
    return {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(dtype, str(dtype).removeprefix("torch."))
