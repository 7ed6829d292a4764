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
    frequencies = initial.remember(key, lambda: magnitude_frequencies(pair))
    bins = magnitude_bins(
        frequencies,
        mantissa_bits=pair.mantissa_bits,
        smallest_exponent=pair.smallest_exponent,
        edges=edges,
    )
    return count_steps(pair, bins, mask, zeros=bool(frequencies[0]))


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


def count_steps(
    pair: SixteenBit, bins: MagnitudeBins, mask: Ranking | None = None, *, zeros: bool = True
) -> GateCounts:
    """Count steps between neighbouring 16-bit numbers, in one pass.

    Parameters
    ----------
    pair : SixteenBit
        Shape (m, n).
    bins : MagnitudeBins
        Bins of W_0's magnitude.
    mask : Ranking, optional
        Levels of the entries in a mask that magnitude does not determine.
    zeros : bool
        Whether W_0 may hold zeros.

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
    packed = torch.from_numpy(np.tile(bins.packed, 2))  # by the whole pattern, its sign included
    edges = -(-np.arange(n_rows + 1) * m // n_rows)
    before, after = (each.view(torch.int16) for each in pair)
    room = torch.empty((int(np.diff(edges).max()), n), dtype=torch.int32)
    for group in range(n_rows):
        first, last = edges[group], edges[group + 1]
        index = room[: last - first]
        for part in _blocks(first, last, n):
            codes = _codes(before[part].reshape(-1), after[part].reshape(-1), packed, zeros)
            torch.add(codes.view(-1, n), offset, out=index[part.start - first : part.stop - first])
        if mask is not None:
            levels = mask.levels(slice(first, last)).astype(np.int32)
            index += torch.from_numpy(levels).view(-1, n) * bins.n_codes
        cells = torch.bincount(index.view(-1), minlength=n_columns * size)
        grid = cells.numpy().reshape(n_columns, size)
        rows[group] = grid.sum(axis=0)
        columns += grid
        before_turn = min(
            n_columns, len(diagonals) - group
        )  # the grid's columns, turned by one for each row of it
        diagonals[group : group + before_turn] += grid[:before_turn]
        diagonals[: n_columns - before_turn] += grid[before_turn:]
    return GateCounts(
        bins, *(each.reshape(-1, n_levels, bins.n_codes) for each in (rows, columns, diagonals))
    )


def _blocks(first: int, last: int, n: int) -> list[slice]:
    height = max(1, _BLOCK // n)
    return [slice(start, min(start + height, last)) for start in range(first, last, height)]


def _codes(before: Tensor, after: Tensor, packed: Tensor, zeros: bool) -> Tensor:
    """Code of every entry: its bin, and by how many representable numbers it moved, flat.

    Patterns of one sign differ by as many as numbers lie between them; those of two signs by more than is counted.
    """
    step = (after - before).clamp_(-LARGEST_CODED_STEP, LARGEST_CODED_STEP).abs_()
    if zeros:
        step[((before | after) & _MAGNITUDE) == 0] = 0  # zeros of two signs are one number
    codes = packed.index_select(0, before.view(torch.uint16).to(torch.int32))
    torch.minimum(step, (codes & LARGEST_CODED_STEP).to(torch.int16), out=step)
    return codes.bitwise_right_shift_(STEP_BITS).add_(step)
