"""Onset intervals of many recipes at once, as plain arrays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from geostat.statistics.locking.model_families import Family
from geostat.statistics.locking.model_grid import OnsetGrid, onset_grid
from geostat.statistics.locking.model_posterior import highest_hull, onset_posterior, posterior_median
from geostat.statistics.locking.model_runs import RunFits, fit_runs, fit_together, usable_runs

__all__ = ["OnsetFits", "fit_onsets", "frames", "mean_gap"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

BLOCK = 250
"""Recipes that are fitted at a time, which bounds memory."""

ROUNDING = 1e-9
"""Share of the run within which an end counts as lying on a checkpoint."""


@dataclass(frozen=True)
class OnsetFits:
    """What n recipes say about their onset; NaN where nothing can be fitted.

    Attributes
    ----------
    estimate : ndarray, shape (n,)
        Posterior median in steps.
    low, high : ndarray, shape (n,)
        Hull of the highest-posterior set in steps, rounded outward to checkpoints.
    families : ndarray, shape (n, F)
        Posterior probabilities.
    log_spread : ndarray, shape (n,)
        Posterior median of the standard deviation of log tau between runs.
    rho, wandering, signal : ndarray, shape (n,)
        Means over runs of the autocorrelation and of the probability that noise stays correlated for longer
        than the run; the largest t statistic of a run's amplitude.
    n_runs : ndarray, shape (n,)
        Runs used.
    """

    estimate: Array
    low: Array
    high: Array
    families: Array
    log_spread: Array
    rho: Array
    wandering: Array
    signal: Array
    n_runs: npt.NDArray[np.int64]


def frames(values: Array, steps: Array) -> Iterator[tuple[npt.NDArray[np.intp], slice]]:
    """Recipes that have the same first and last checkpoint, over all of their runs.

    Parameters
    ----------
    values : ndarray, shape (n, S, T)
        NaN where a run has no checkpoint.
    steps : ndarray, shape (T,)
        Ascending.

    Yields
    ------
    tuple of ndarray and slice
        Which recipes, and their range of steps. Recipes without two checkpoints are left out.
    """
    known = np.asarray((~np.isnan(values)).any(axis=1))
    first, last = known.argmax(axis=1), len(steps) - 1 - known[:, ::-1].argmax(axis=1)
    several = known.sum(axis=1) > 1
    for begin, end in sorted(set(zip(first[several].tolist(), last[several].tolist(), strict=True))):
        yield np.flatnonzero(several & (first == begin) & (last == end)), slice(begin, end + 1)


def fit_onsets(
    values: Array,
    steps: Array,
    families: Sequence[Family],
    *,
    target: float = 0.9,
    level: float = 0.95,
    hierarchical: bool = True,
    rhos: Array | None = None,
) -> OnsetFits:
    """Fit all recipes.

    Parameters
    ----------
    values : ndarray, shape (n, S, T)
        Runs of n recipes; NaN where a run has no checkpoint.
    steps : ndarray, shape (T,)
        Ascending.
    families : sequence of Family
        Curves.
    target : float
        Share of the change that counts as the onset.
    level : float
        Probability of the set.
    hierarchical : bool
        Whether every run has its own time constant.
    rhos : ndarray, optional
        Autocorrelations; by default a grid that reaches far beyond the run.

    Returns
    -------
    OnsetFits
        One entry per recipe.
    """
    n, F = len(values), len(families)
    usable = usable_runs(values.reshape(-1, len(steps))).reshape(values.shape[:2])
    values = np.where(usable[..., None], values, np.nan)
    found: dict[str, npt.NDArray[Any]] = {field.name: np.full(n, np.nan) for field in fields(OnsetFits)}
    found |= {"families": np.full((n, F), np.nan), "n_runs": np.zeros(n, dtype=np.int64)}
    for recipes, span in frames(values, steps):
        own = steps[span]
        x = (own - own[0]) / (own[-1] - own[0])
        grid = onset_grid(families, target, x[1])
        for block in np.array_split(recipes, -(-len(recipes) // BLOCK)):
            part = values[block][..., span]
            for name, entry in _fitted(part, x, grid, level, hierarchical, rhos).items():
                steps_scale = name in ("estimate", "low", "high")
                found[name][block] = own[0] + entry * (own[-1] - own[0]) if steps_scale else entry
    return OnsetFits(**found)


def _fitted(
    values: Array, x: Array, grid: OnsetGrid, level: float, hierarchical: bool, rhos: Array | None
) -> dict[str, Array]:
    unit = mean_gap(values, x)
    runs = fit_runs(values, x, unit, grid, rhos)
    usable = np.asarray(runs.present.any(axis=1))
    together = None if hierarchical else fit_together(values, x, unit, grid, runs.present, rhos)
    found = _of_usable(values, x, runs, grid, level, together)
    nothing = {
        name: np.where(usable if entry.ndim == 1 else usable[:, None], entry, np.nan)
        for name, entry in found.items()
    }
    return nothing | {"n_runs": runs.present.sum(axis=1)}


def _of_usable(
    values: Array, x: Array, runs: RunFits, grid: OnsetGrid, level: float, together: Array | None
) -> dict[str, Array]:
    present = runs.present
    if together is None:
        posterior = onset_posterior(runs.log_likelihood, present, grid)
    else:
        posterior = onset_posterior(together[:, None], np.asarray(present.any(axis=1))[:, None], grid)
    low, high = _outward(values, x, *highest_hull(posterior.onset, grid.edges, level))
    return {
        "estimate": posterior_median(posterior.onset, grid.edges),
        "low": low,
        "high": high,
        "families": posterior.families,
        "log_spread": posterior.spread,
        "rho": _mean(runs.rho, present),
        "wandering": _mean(runs.wandering, present),
        "signal": np.where(present, runs.signal, 0).max(axis=1),
    }


def _mean(values: Array, present: Mask) -> Array:
    mean: Array = np.where(present, values, 0).sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    return mean


def _outward(values: Array, x: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Round outward to checkpoints that some run of the recipe has."""
    known = np.asarray((~np.isnan(values)).any(axis=1))
    below = known & (x <= low[:, None] + ROUNDING)
    above = known & (x >= high[:, None] - ROUNDING)
    return np.where(below, x, 0.0).max(axis=1), np.where(above, x, 1.0).min(axis=1)


def mean_gap(values: Array, x: Array) -> float:
    """Mean gap between the checkpoints of a run, over all runs.

    Parameters
    ----------
    values : ndarray, shape (..., T)
        NaN where a run has no checkpoint.
    x : ndarray, shape (T,)
        Times.

    Returns
    -------
    float
        In units of x.
    """
    known = ~np.isnan(values.reshape(-1, len(x)))
    known = known[known.sum(axis=1) > 1]
    length = x[len(x) - 1 - known[:, ::-1].argmax(axis=1)] - x[known.argmax(axis=1)]
    return float(length.sum() / (known.sum(axis=1) - 1).sum())
