"""Groups of entries within which, under a null, every entry is as likely to change as the others."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch

from geostat.errors import ProtocolError

__all__ = ["STRATA", "Strata", "check_strata", "strata_labels"]

STRATA: Mapping[str, str] = MappingProxyType(
    {
        "magnitude": "the magnitudes of W_0, each 16-bit number by itself",
        "binade": "the powers of two between which the magnitudes of W_0 lie",
        "row": "how many entries of each row changed",
        "column": "how many entries of each column changed",
    }
)
"""What may be held fixed, and what it is in words."""

_MAGNITUDE = 0x7FFF
_NESTED = ("magnitude", "binade")

Labels = npt.NDArray[np.int64]


class Strata(tuple[str, ...]):
    """What is held fixed, in the order of `STRATA`."""

    @property
    def label(self) -> str:
        """Short text for tables."""
        return "given " + " and ".join(self) if self else "independent entries"

    @property
    def words(self) -> str:
        """What is held fixed, in words."""
        return " and ".join(STRATA[name] for name in self) or "how many entries each run changed"


def check_strata(given: str | Sequence[str]) -> Strata:
    """Refuse strata that mean nothing or leave nothing free.

    Parameters
    ----------
    given : str or sequence of str
        Names in `STRATA`.

    Returns
    -------
    Strata
        In a fixed order.

    Raises
    ------
    ProtocolError
        If a name is unknown, or the strata together hold one entry each.
    """
    names = (given,) if isinstance(given, str) else tuple(given)
    unknown = [name for name in names if name not in STRATA]
    if unknown or not names:
        raise ProtocolError(f"strata={given!r} means nothing. Choose of {', '.join(map(repr, STRATA))}.")
    if {"row", "column"} <= set(names):
        raise ProtocolError(
            f"strata={given!r} put every entry into a stratum of its own, which leaves nothing to chance. Take rows "
            "or columns."
        )
    if set(_NESTED) <= set(names):
        raise ProtocolError(f"strata={given!r}: every magnitude lies in one binade. Take one of the two.")
    return Strata(name for name in STRATA if name in names)


def strata_labels(initial: npt.NDArray[np.int16], strata: Strata, *, mantissa_bits: int) -> Labels:
    """Stratum of every entry.

    Parameters
    ----------
    initial : numpy.ndarray
        Shape (m, n): W_0 as bit patterns.
    strata : Strata
        What is held fixed; nothing gives a single stratum.
    mantissa_bits : int
        7 for bf16, 10 for fp16.

    Returns
    -------
    numpy.ndarray
        Shape (m, n), from 0 without gaps in the magnitudes that do not occur.
    """
    magnitude = (initial & _MAGNITUDE).astype(np.int64)
    rows, columns = initial.shape
    labels: Labels = np.zeros((rows, columns), dtype=np.int64)
    if "magnitude" in strata:
        labels = _compact(magnitude)
    if "binade" in strata:
        power_of_two = (magnitude & ((1 << mantissa_bits) - 1)) == 0
        labels = _compact((magnitude >> mantissa_bits) * 2 + power_of_two)
    if "row" in strata:
        labels = labels * rows + np.arange(rows)[:, None]
    if "column" in strata:
        labels = labels * columns + np.arange(columns)
    return labels


def _compact(codes: Labels) -> Labels:
    """Number the codes that occur, in order."""
    present = torch.bincount(torch.from_numpy(codes.reshape(-1))).numpy() > 0
    return np.asarray((np.cumsum(present) - 1)[codes])
