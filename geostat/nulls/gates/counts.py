"""One pass over a stored pair: how far entries of each magnitude stepped, by blocks of rows and of columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from geostat.linalg import Factored
from geostat.linalg.elementwise_masks import Ranking
from geostat.nulls.gates.bins import LARGEST_CODED_STEP, STEP_BITS, MagnitudeBins, magnitude_bins
from geostat.nulls.gates.storage import SixteenBit, sixteen_bit_pair

__all__ = ["GROUPS", "GateCounts", "count_steps", "gate_counts", "magnitude_frequencies"]

GROUPS = 64
"""Blocks of neighbouring rows, and of neighbouring columns, between which chance is estimated."""
_BLOCK = 1 << 17
_MAGNITUDE = 0x7FFF

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class GateCounts:
    """How many entries of each bin of W_0's magnitude took a step of each size.

    Attributes
    ----------
    bins : MagnitudeBins
        The bins, and what codes mean.
    rows, columns, diagonals : numpy.ndarray
        Shape (groups, levels, codes): by blocks of rows, by blocks of columns, and by diagonals of the grid of
        both, whose entries share neither within a grid cell's width. Levels are those of a mask; one without.
    """

    bins: MagnitudeBins
    rows: Integers
    columns: Integers
    diagonals: Integers

    @property
    def total(self) -> Integers:
        """Counts of the whole matrix, shape (levels, codes)."""
        return np.asarray(self.rows.sum(axis=0))


def gate_counts(
    initial: Factored, updated: Factored, *, edges: Sequence[int] = (), mask: Ranking | None = None
) -> GateCounts:
    """Count steps of a stored pair; W_0's magnitudes are counted once for all checkpoints.

    Parameters
    ----------
    initial, updated : Factored
        Shape (m, n), stored in one 16-bit type.
    edges : sequence of int
        Magnitudes at which a bin must begin.
    mask : Ranking, optional
        Levels of the entries in a mask that magnitude does not determine.

    Returns
    -------
    GateCounts
        The counts.

    Raises
    ------
    ProtocolError
        If they are not both stored in one 16-bit type.
    ShapeError
        If the shapes differ.
    """
    pair = sixteen_bit_pair(initial, updated)
    key = ("magnitude frequencies", pair.mantissa_bits)
    bins = magnitude_bins(
        initial.remember(key, lambda: magnitude_frequencies(pair)),
        mantissa_bits=pair.mantissa_bits,
        smallest_exponent=pair.smallest_exponent,
        edges=edges,
    )
    return count_steps(pair, bins, mask)


def magnitude_frequencies(pair: SixteenBit) -> Integers:
    """How often each magnitude occurs in W_0.

    Parameters
    ----------
    pair : SixteenBit
        Shape (m, n).

    Returns
    -------
    numpy.ndarray
        Shape (32768,), by the 15 bits of a 16-bit float without its sign.
    """
    patterns = pair.initial.view(torch.int16).reshape(-1)
    counts = np.zeros(1 << 15, dtype=np.int64)
    for part in torch.split(patterns, _BLOCK):
        counts += torch.bincount(part & _MAGNITUDE, minlength=1 << 15).numpy()
    return counts


def count_steps(pair: SixteenBit, bins: MagnitudeBins, mask: Ranking | None = None) -> GateCounts:
    """Count steps between neighbouring 16-bit numbers, in one pass.

    Parameters
    ----------
    pair : SixteenBit
        Shape (m, n).
    bins : MagnitudeBins
        Bins of W_0's magnitude.
    mask : Ranking, optional
        Levels of the entries in a mask that magnitude does not determine.

    Returns
    -------
    GateCounts
        The counts.
    """
    m, n = pair.initial.shape
    n_rows, n_columns = min(m, GROUPS), min(n, GROUPS)
    n_levels = 1 if mask is None else max(mask.edges(), default=0) + 1
    size = n_levels * bins.n_codes
    offset = torch.from_numpy(np.arange(n) * n_columns // n * size).to(torch.int32)
    rows = np.zeros((n_rows, size), dtype=np.int64)
    columns = np.zeros((n_columns, size), dtype=np.int64)
    diagonals = np.zeros((max(n_rows, n_columns), size), dtype=np.int64)
    packed = torch.from_numpy(bins.packed)
    edges = -(-np.arange(n_rows + 1) * m // n_rows)
    for group in range(n_rows):
        index = torch.cat(
            [
                _codes(pair, packed, part).view(-1, n) + offset
                for part in _blocks(edges[group], edges[group + 1], n)
            ]
        )
        if mask is not None:
            levels = mask.levels(slice(edges[group], edges[group + 1])).astype(np.int32)
            index += torch.from_numpy(levels).view(-1, n) * bins.n_codes
        cells = torch.bincount(index.view(-1), minlength=n_columns * size)
        grid = cells.numpy().reshape(n_columns, size)
        rows[group] = grid.sum(axis=0)
        columns += grid
        diagonals[(np.arange(n_columns) + group) % len(diagonals)] += grid
    return GateCounts(
        bins, *(each.reshape(-1, n_levels, bins.n_codes) for each in (rows, columns, diagonals))
    )


def _blocks(first: int, last: int, n: int) -> list[slice]:
    height = max(1, _BLOCK // n)
    return [slice(start, min(start + height, last)) for start in range(first, last, height)]


def _codes(pair: SixteenBit, packed: Tensor, rows: slice) -> Tensor:
    """Code of every entry: its bin, and by how many representable numbers it moved, flat."""
    before, after = (each[rows].view(torch.int16).reshape(-1) for each in pair)
    magnitude = before & _MAGNITUDE
    other_sign = (before ^ after).bitwise_right_shift_(15).bitwise_and_(_MAGNITUDE)
    step = (after & _MAGNITUDE).sub_(magnitude).abs_().bitwise_or_(other_sign)
    if int(magnitude.min()) == 0:
        step[((before | after) & _MAGNITUDE) == 0] = 0  # zeros of two signs are one number
    codes = packed.index_select(0, magnitude.to(torch.int32))
    step = torch.minimum(step, (codes & LARGEST_CODED_STEP).to(torch.int16))
    return codes.bitwise_right_shift_(STEP_BITS).add_(step)
