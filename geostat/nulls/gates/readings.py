"""Readings of one survival function: how often steps of j ulps and more were taken, binade by binade."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geostat.nulls.gates.bins import HIGH, LARGEST_STEP, LOW, MagnitudeBins
from geostat.nulls.gates.counts import GateCounts

__all__ = ["Reach", "Readings", "binades", "reach", "readings"]

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Reach(NamedTuple):
    """How many entries stepped how far, whatever their sign.

    Attributes
    ----------
    entries : numpy.ndarray
        Shape (..., binades).
    hits : numpy.ndarray
        Shape (..., binades, steps): entries that moved by j = 1, 2, ... ulps or more.
    """

    entries: Integers
    hits: Integers


@dataclass(frozen=True, eq=False)
class Readings:
    """Readings of the survival function of the absolute update, per binade of W_0 and step.

    An entry in a binade with ulp u is stored j or more ulps away exactly if its true update is longer than
    (j - 1/2) u. If the update ignores W_0, the share of such entries is one function at that length, read with
    another ruler in every binade.

    Attributes
    ----------
    exponent : numpy.ndarray
        Shape (binades,): exponent bits.
    threshold : numpy.ndarray
        Shape (binades, steps): (j - 1/2) u.
    rows, columns : Reach
        By blocks of rows and of columns: shapes (groups, binades[, steps]).
    """

    exponent: Integers
    threshold: Floats
    rows: Reach
    columns: Reach

    @property
    def entries(self) -> Integers:
        """Entries per binade."""
        return np.asarray(self.rows.entries.sum(axis=0))

    @property
    def hits(self) -> Integers:
        """Entries per binade and step."""
        return np.asarray(self.rows.hits.sum(axis=0))


def readings(counts: GateCounts, kinds: tuple[int, ...] = (LOW, HIGH)) -> Readings:
    """Readings in the binades that hold enough entries.

    Parameters
    ----------
    counts : GateCounts
        Steps.
    kinds : tuple of int
        Which halves of a binade take part.

    Returns
    -------
    Readings
        Of the entries whose steps of up to `LARGEST_STEP` ulps stay within their binade.
    """
    exponent, ulp = binades(counts.bins)
    threshold = (np.arange(LARGEST_STEP) + 0.5) * ulp[:, None]
    by_rows, by_columns = (reach(counts.bins, each, kinds) for each in (counts.rows, counts.columns))
    return Readings(exponent, threshold, by_rows, by_columns)


def binades(bins: MagnitudeBins) -> tuple[Integers, Floats]:
    """Exponent bits and ulp of the binades in which steps are counted one by one.

    Parameters
    ----------
    bins : MagnitudeBins
        The bins.

    Returns
    -------
    tuple of numpy.ndarray
        Shape (binades,) each, ascending.
    """
    inside = np.isin(bins.kind, (LOW, HIGH))
    exponent, position = np.unique(bins.exponent[inside], return_index=True)
    return exponent, bins.ulp[inside][position]


def reach(bins: MagnitudeBins, counts: Integers, kinds: tuple[int, ...] = (LOW, HIGH)) -> Reach:
    """Cumulate counts of steps from the longest down.

    Parameters
    ----------
    bins : MagnitudeBins
        The bins.
    counts : numpy.ndarray
        Shape (..., levels, codes).
    kinds : tuple of int
        Which halves of a binade take part.

    Returns
    -------
    Reach
        Per binade of `binades`.
    """
    exponent, _ = binades(bins)
    merged = counts.sum(axis=-2)
    per_step = np.zeros((*merged.shape[:-1], len(exponent), LARGEST_STEP + 1), dtype=np.int64)
    for b in np.flatnonzero(np.isin(bins.kind, kinds)):
        binade = int(np.searchsorted(exponent, bins.exponent[b]))
        per_step[..., binade, :] += merged[..., bins.start[b] : bins.start[b + 1]]
    beyond = per_step[..., ::-1].cumsum(axis=-1)[..., ::-1]
    return Reach(beyond[..., 0], beyond[..., 1:])
