"""Order statistics of many integers by histograms of their digits: exact, and no sort."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geostat.linalg.elementwise_blocks import Integers

__all__ = ["OrderStatistic", "order_statistics"]

_DIGIT = 16
_BASE = 1 << _DIGIT

Blocks = Callable[[], Iterable[Integers]]


class OrderStatistic(NamedTuple):
    """One value by its rank.

    Attributes
    ----------
    value : int
        The value.
    below : int
        How many are smaller.
    equal : int
        How many are equal, this one included.
    """

    value: int
    below: int
    equal: int


def order_statistics(blocks: Blocks, ranks: Iterable[int], *, n_bits: int) -> list[OrderStatistic]:
    """Find values by their rank without sorting, in memory that does not depend on how many there are.

    The highest 16 bits of all values make one histogram; each further 16 bits make one among the values that
    agree so far with the one that is sought. Magnitudes of bf16 numbers have 15 bits: one pass is all.

    Parameters
    ----------
    blocks : callable
        Gives the values, 0 or more, in blocks; called once per pass.
    ranks : iterable of int
        Positions in ascending order, from 0.
    n_bits : int
        Width of the integers: 16, 32 or 64.

    Returns
    -------
    list of OrderStatistic
        One per rank.
    """
    shift = n_bits - _DIGIT
    first = _histogram(values >> shift for values in blocks())
    return [_refined(blocks, _found(first, rank, below=0), rank, shift) for rank in ranks]


def _refined(blocks: Blocks, found: OrderStatistic, rank: int, shift: int) -> OrderStatistic:
    """Find the remaining digits of a value, one at a time."""
    while shift > 0:
        counts = _histogram(_next_digit(values, found.value, shift) for values in blocks())
        shift -= _DIGIT
        digit = _found(counts, rank, below=found.below)
        found = digit._replace(value=(found.value << _DIGIT) | digit.value)
    return found


def _next_digit(values: Integers, prefix: int, shift: int) -> Integers:
    agreeing = values[(values >> shift) == prefix]
    digits: Integers = (agreeing >> (shift - _DIGIT)) & (_BASE - 1)
    return digits


def _histogram(digits: Iterable[Integers]) -> npt.NDArray[np.int64]:
    counts = np.zeros(_BASE, dtype=np.int64)
    for block in digits:
        counts += np.bincount(block, minlength=_BASE)
    return counts


def _found(counts: npt.NDArray[np.int64], rank: int, *, below: int) -> OrderStatistic:
    upto = below + np.cumsum(counts)
    digit = int(np.searchsorted(upto, rank, side="right"))
    return OrderStatistic(digit, int(upto[digit] - counts[digit]), int(counts[digit]))
