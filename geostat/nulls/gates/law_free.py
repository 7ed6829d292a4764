"""Figures of the gate null without a law: expected from one survival curve for all binades."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geostat.errors import SampleError
from geostat.nulls.gates.counts import GateCounts
from geostat.nulls.gates.figures import Figure
from geostat.nulls.gates.sampling import jackknife_sd
from geostat.nulls.gates.survival import law_free_probabilities

__all__ = ["Expected", "half_width", "law_free_expected", "observed"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Expected(NamedTuple):
    """Figures under a null, one per figure that was asked for.

    Attributes
    ----------
    mean, sd : numpy.ndarray
        Under the null; sd is that of observed less mean.
    """

    mean: Floats
    sd: Floats


def observed(counts: GateCounts, figures: Sequence[Figure]) -> Floats:
    """Figures of the data.

    Parameters
    ----------
    counts : GateCounts
        Steps.
    figures : sequence of Figure
        What is asked.

    Returns
    -------
    numpy.ndarray
        Shape (figures,).

    Raises
    ------
    SampleError
        If nothing changed, or everything did: then there is nothing to compare.
    """
    entries, changed = counts.bins.totals(counts.total), counts.bins.changed(counts.total)
    n, visible = int(entries.sum()), int(changed.sum())
    if visible == 0:
        raise SampleError(
            f"None of the {n:,} entries changed: every step stayed below half an ulp, or there was none. Nothing "
            "visible can be compared with rounding; take a later checkpoint, or fp32 weights."
        )
    if visible == n:
        raise SampleError(
            f"All {n:,} entries changed: rounding has hidden none, so there is no gate to compare with. The mask holds "
            "everything, and its overlaps equal the size of the masks."
        )
    return np.array([figure.of(entries, changed) for figure in figures])


def law_free_expected(counts: GateCounts, figures: Sequence[Figure]) -> Expected:
    """Mean of figures if every binade's visible share is read off one survival curve, fitted to all of them.

    Parameters
    ----------
    counts : GateCounts
        Steps.
    figures : sequence of Figure
        What is asked.

    Returns
    -------
    Expected
        NaN where no binade holds enough entries.
    """

    def excess(total: Integers) -> Floats:
        entries, changed = counts.bins.totals(total), counts.bins.changed(total)
        expected = entries * law_free_probabilities(counts.bins, total)
        return np.array([each.of(entries, changed) - each.of(entries, expected) for each in figures])

    mean = observed(counts, figures) - excess(counts.total)
    return Expected(mean, jackknife_sd(excess, counts))


def half_width(counts: GateCounts, level: float) -> float:
    """Standard deviations between the mean of a null and the ends of its interval.

    Parameters
    ----------
    counts : GateCounts
        Steps, for the number of blocks.
    level : float
        Of the interval.

    Returns
    -------
    float
        Quantile of Student's law with one degree of freedom per block, less one.
    """
    from scipy.special import stdtrit

    blocks = min(len(counts.rows), len(counts.columns))
    return float(stdtrit(max(blocks - 1, 1), (1 + level) / 2))
