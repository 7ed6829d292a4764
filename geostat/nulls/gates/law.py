"""Figures of the gate null under laws of the update's entries, tuned to what is visible."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geostat.nulls.gates.counts import GateCounts
from geostat.nulls.gates.figures import Figure
from geostat.nulls.gates.law_free import Expected
from geostat.nulls.gates.laws import LAWS, Law, fit_by_density, fit_by_steps
from geostat.nulls.gates.sampling import jackknife_sd

__all__ = ["ANY_LAW", "UnderLaws", "expected_under_laws"]

ANY_LAW = "range over laws"

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class UnderLaws(NamedTuple):
    """Figures under each law.

    Attributes
    ----------
    laws : tuple of Law
        As fitted.
    expected : tuple of Expected
        One per law.
    """

    laws: tuple[Law, ...]
    expected: tuple[Expected, ...]


def expected_under_laws(counts: GateCounts, figures: Sequence[Figure]) -> UnderLaws:
    """Means of figures if the entries of the update follow a law, whatever the weight.

    Overlaps condition on the observed density, to which the scale is tuned; a share of changed or unchanged
    entries on the sizes of the visible steps instead, from which the law then says how many stay invisible.

    Parameters
    ----------
    counts : GateCounts
        Steps.
    figures : sequence of Figure
        All overlaps, or all shares of changed or unchanged entries.

    Returns
    -------
    UnderLaws
        Exact in W_0's magnitudes: no simulation.
    """
    return UnderLaws(*zip(*(_under(name, counts, figures) for name in LAWS), strict=True))


def _under(name: str, counts: GateCounts, figures: Sequence[Figure]) -> tuple[Law, Expected]:
    fit = fit_by_steps if figures[0].weights is None else fit_by_density
    bins = counts.bins

    def means(law: Law, total: Integers) -> Floats:
        entries = bins.totals(total)
        return np.array([each.of(entries, entries * law.visible(bins)) for each in figures])

    def excess(total: Integers) -> Floats:
        entries, changed = bins.totals(total), bins.changed(total)
        seen = np.array([each.of(entries, changed) for each in figures])
        return seen - means(fit(name, bins, total, law), total)

    law = fit(name, bins, counts.total)
    return law, Expected(means(law, counts.total), jackknife_sd(excess, counts))
