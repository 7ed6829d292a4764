"""Survival function of the absolute update from the readings of all binades."""

import numpy as np
import numpy.typing as npt

from geostat.nulls.gates.bins import LARGEST_STEP, MagnitudeBins
from geostat.nulls.gates.readings import binades, reach

__all__ = ["law_free_probabilities", "monotone_survival"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def monotone_survival(threshold: Floats, share: Floats, entries: Floats, at: Floats) -> Floats:
    """Survival function from readings: monotone by pooling adjacent violators, linear in log t between them.

    Parameters
    ----------
    threshold : numpy.ndarray
        Shape (readings,), all different.
    share : numpy.ndarray
        Shape (readings,): share of entries beyond.
    entries : numpy.ndarray
        Shape (readings,): how many entries each rests on.
    at : numpy.ndarray
        Where it is wanted. Below the first reading it falls linearly from 1; beyond the last it stays.

    Returns
    -------
    numpy.ndarray
        The shape of `at`, in [0, 1]; NaN without readings.

    References
    ----------
    :cite:t:`barlow1972`.
    """
    if not len(threshold):
        return np.full(np.shape(at), np.nan)
    from scipy.optimize import isotonic_regression

    order = np.argsort(threshold)
    fitted = isotonic_regression(share[order], weights=entries[order], increasing=False).x
    known = threshold[order]
    first = 1 - (1 - fitted[0]) * at / known[0]
    return np.asarray(
        np.where(at < known[0], first, np.interp(np.log(np.maximum(at, known[0])), np.log(known), fitted))
    )


def law_free_probabilities(bins: MagnitudeBins, counts: Integers) -> Floats:
    """Probability that an entry changes visibly, per bin, from one survival function for all binades.

    Parameters
    ----------
    bins : MagnitudeBins
        The bins.
    counts : numpy.ndarray
        Shape (levels, codes).

    Returns
    -------
    numpy.ndarray
        Shape (bins,): the mean of the survival function at the smallest visible step outwards and inwards.
    """
    found = reach(bins, counts)
    threshold = (np.arange(LARGEST_STEP) + 0.5) * binades(bins)[1][:, None]
    entries = np.broadcast_to(found.entries[:, None], threshold.shape).astype(np.float64)
    read = entries > 0
    share = found.hits[read] / entries[read]
    lengths, outer, inner = bins.smallest_steps
    beyond = monotone_survival(threshold[read], share, entries[read], lengths)
    return np.asarray((beyond[outer] + beyond[inner]) / 2)
