"""Magnitudes of W_0 in bins within which the dead zone of rounding is the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

__all__ = [
    "EDGE",
    "HIGH",
    "LARGEST_CODED_STEP",
    "LARGEST_STEP",
    "LOW",
    "POWER",
    "STEP_BITS",
    "MagnitudeBins",
    "magnitude_bins",
]

LARGEST_STEP = 17
"""Steps of so many ulps or more are counted together."""
POWER, EDGE, LOW, HIGH = range(4)
"""A power of two; an entry so near to one that long steps cross it; the lower and the upper half of the others."""
STEP_BITS = 5
LARGEST_CODED_STEP = (1 << STEP_BITS) - 1
"""In a packed integer, the bits that say how long steps are counted one by one."""
_FEWEST = 256
_SMALLEST_SHARE = 1 << 12

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MagnitudeBins:
    """Bins of the magnitudes of W_0, and the codes under which entries and their steps are counted.

    Numbers between two powers of two have neighbours at one distance u, the ulp; of the power of two itself
    the inner neighbour is at u/2. An entry that does not change moved by less than half of that.

    Attributes
    ----------
    exponent : numpy.ndarray
        Shape (bins,): exponent bits.
    kind : numpy.ndarray
        Shape (bins,): `POWER`, `EDGE`, `LOW` or `HIGH`.
    first, last : numpy.ndarray
        Shape (bins,): smallest and largest magnitude in the bin, as 15-bit integers.
    ulp : numpy.ndarray
        Shape (bins,): distance to the outer neighbour, in the weights' unit.
    start : numpy.ndarray
        Shape (bins + 1,): first code of each bin, then the number of codes; code ``start + j`` means a step of j.
    packed : numpy.ndarray
        Shape (32768,): by magnitude, first code and largest step of its bin, in one integer of 16 bits
        where they fit.
    """

    exponent: Integers
    kind: Integers
    first: Integers
    last: Integers
    ulp: Floats
    start: Integers
    packed: npt.NDArray[np.int16] | npt.NDArray[np.int32]

    @property
    def n_codes(self) -> int:
        """Number of codes."""
        return int(self.start[-1])

    @property
    def outer(self) -> Floats:
        """Smallest visible step away from zero, shape (bins,)."""
        return self.ulp / 2

    @property
    def inner(self) -> Floats:
        """Smallest visible step towards zero, shape (bins,): half as far below a power of two."""
        below_a_power = (self.kind == POWER) & (self.exponent > 1)
        return np.where(below_a_power, self.ulp / 4, self.ulp / 2)

    @cached_property
    def smallest_steps(self) -> tuple[Floats, Integers, Integers]:
        """Lengths of the smallest visible steps, each once, and where in them those of each bin are."""
        lengths, position = np.unique(np.concatenate([self.outer, self.inner]), return_inverse=True)
        outer, inner = np.split(position, 2)
        return lengths, outer, inner

    def totals(self, counts: Integers) -> Integers:
        """Entries per bin.

        Parameters
        ----------
        counts : numpy.ndarray
            Shape (..., codes).

        Returns
        -------
        numpy.ndarray
            Shape (..., bins).
        """
        return np.add.reduceat(counts, self.start[:-1], axis=-1)

    def changed(self, counts: Integers) -> Integers:
        """Entries per bin whose stored value changed.

        Parameters
        ----------
        counts : numpy.ndarray
            Shape (..., codes).

        Returns
        -------
        numpy.ndarray
            Shape (..., bins).
        """
        return np.asarray(self.totals(counts) - counts[..., self.start[:-1]])


def magnitude_bins(
    frequencies: Integers, *, mantissa_bits: int, smallest_exponent: int, edges: Sequence[int] = ()
) -> MagnitudeBins:
    """Bins for the magnitudes that occur.

    Parameters
    ----------
    frequencies : numpy.ndarray
        Shape (32768,): how often each magnitude occurs, as the 15 bits of a 16-bit float.
    mantissa_bits : int
        7 for bf16, 10 for fp16.
    smallest_exponent : int
        Power of two of the smallest normal number.
    edges : sequence of int
        Magnitudes at which a bin must begin, such as those of masks.

    Returns
    -------
    MagnitudeBins
        In the order of the magnitudes. Steps are counted one by one only in binades of which 256 entries or more,
        and 1 in 4,096 of all, have steps of up to `LARGEST_STEP` within the binade.
    """
    magnitude = np.arange(1 << 15)
    exponent, kind = magnitude >> mantissa_bits, _kinds(frequencies, mantissa_bits)
    level = np.searchsorted(np.asarray(sorted(edges), dtype=np.int64), magnitude, side="right")
    label = (level * (1 << 15) + exponent) * 4 + kind
    new = np.append(frequencies > 0, False)[:-1]
    found, inverse = np.unique(label[new], return_inverse=True)
    present = magnitude[new]
    first = np.full(len(found), 1 << 15)
    last = np.zeros(len(found), dtype=np.int64)
    np.minimum.at(first, inverse, present)
    np.maximum.at(last, inverse, present)
    limits = np.where(np.isin(kind[first], (LOW, HIGH)), LARGEST_STEP, 1)
    start = np.concatenate([[0], np.cumsum(limits + 1)])
    packed = np.zeros(1 << 15, dtype=np.int32)
    packed[present] = (start[inverse] << STEP_BITS) | limits[inverse]
    ulp = np.exp2(np.maximum(exponent[first], 1) - 1.0 + smallest_exponent - mantissa_bits)
    return MagnitudeBins(exponent[first], kind[first], first, last, ulp, start, _narrow(packed))


def _narrow(packed: npt.NDArray[np.int32]) -> npt.NDArray[np.int16] | npt.NDArray[np.int32]:
    """In 16 bits where they fit: a table of half the size stays in the cache."""
    return packed.astype(np.int16) if packed.max() < 1 << 15 else packed


def _kinds(frequencies: Integers, mantissa_bits: int) -> Integers:
    """Kind of every magnitude; entries of sparse binades all count as edges."""
    magnitude = np.arange(1 << 15)
    width = 1 << mantissa_bits
    exponent, mantissa = magnitude >> mantissa_bits, magnitude & (width - 1)
    inside = (mantissa >= LARGEST_STEP) & (mantissa <= width - LARGEST_STEP) & (exponent > 0)
    interior = np.bincount(exponent[inside], frequencies[inside], minlength=exponent[-1] + 1)
    inside &= interior[exponent] >= max(_FEWEST, frequencies.sum() / _SMALLEST_SHARE)
    kind = np.where(inside, np.where(mantissa < width // 2, LOW, HIGH), EDGE)
    kind[mantissa == 0] = POWER
    return kind
