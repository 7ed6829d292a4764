"""Many curves at once: which of them can be searched, and what each of them says."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geostat.statistics.changepoints.fit import Search, SeriesFit, fit_series
from geostat.statistics.changepoints.segments import Partitions, optimal_partitions

__all__ = ["CurveFit", "fit_curves"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CurveFit:
    """What one curve says, in its own checkpoints.

    Attributes
    ----------
    fit : SeriesFit
        Observations counted from 1.
    steps : ndarray
        Steps of these observations.
    n_missing : int
        Steps without a value between the first and the last observation.
    """

    fit: SeriesFit
    steps: Floats
    n_missing: int


def fit_curves(steps: Floats, curves: Floats, search: Search) -> list[CurveFit]:
    """Fit every curve; curves with the same checkpoints are searched together.

    Parameters
    ----------
    steps : ndarray
        Ascending, shape (T,).
    curves : ndarray
        Shape (n, T); NaN where a run has no checkpoint.
    search : Search
        What is sought.

    Returns
    -------
    list of CurveFit
        One per curve.
    """
    patterns, whose = np.unique(~np.isnan(curves), axis=0, return_inverse=True)
    found: dict[int, CurveFit] = {}
    for i, here in enumerate(patterns):
        rows = np.flatnonzero(whose.ravel() == i)
        fits = _fit_complete(steps[here], curves[np.ix_(rows, here)], search)
        gaps = _gaps(here)
        found |= {int(row): CurveFit(fit, steps[here], gaps) for row, fit in zip(rows, fits, strict=True)}
    return [found[row] for row in range(len(curves))]


def _gaps(here: Bools) -> int:
    places = np.flatnonzero(here)
    return int(places[-1] - places[0] + 1 - places.size) if places.size else 0


def _fit_complete(steps: Floats, curves: Floats, search: Search) -> list[SeriesFit]:
    """Fit curves without missing values, or say why not."""
    told = [_refused(steps, curve, search) for curve in curves]
    usable = np.array([fit is None for fit in told])
    if not usable.any():
        return [fit for fit in told if fit is not None]
    length = len(steps)
    best = optimal_partitions(curves[usable], search.most(length), search.smallest(length))
    places = iter(range(int(usable.sum())))
    return [
        fit if fit is not None else fit_series(curve, _one(best, next(places)), search)
        for fit, curve in zip(told, curves, strict=True)
    ]


def _one(partitions: Partitions, place: int) -> Partitions:
    return Partitions(tuple(breaks[place] for breaks in partitions.breaks), partitions.rss[place])


def _refused(steps: Floats, curve: Floats, search: Search) -> SeriesFit | None:
    """Outcome of a curve in which no change can be sought."""
    count = len(curve)
    if not count:
        return SeriesFit("undefined", reason="no checkpoint of this run has a value")
    infinite = steps[np.isinf(curve)]
    if infinite.size:
        reason = f"the value at step {infinite[0]:.15g} is infinite: leave it out with data.where(np.isfinite(data))"
        return SeriesFit("infinite", reason=reason)
    if not search.most(count):
        return SeriesFit("too short", reason=_too_short(count, search))
    if np.ptp(curve) == 0:
        return SeriesFit("constant", reason=f"all {count} values are equal: nothing changes")
    return None


def _too_short(count: int, search: Search) -> str:
    if count == 1:
        return "one checkpoint: a change needs checkpoints on either side of it"
    segments = search.n_breaks + 1 if isinstance(search.n_breaks, int) else 2
    smallest = search.smallest(count)
    return (
        f"{count} checkpoints: {segments} segments of at least {smallest} need {segments * smallest}; "
        "save more checkpoints, or ask for fewer breaks or shorter segments"
    )
