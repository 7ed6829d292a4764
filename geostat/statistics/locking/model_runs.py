"""Likelihood of every run over the onset grid, whatever checkpoints it has."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geostat.statistics.locking.model_grid import OnsetGrid
from geostat.statistics.locking.model_likelihood import Projection, project, standardised
from geostat.statistics.locking.noise import correlation_grid

__all__ = ["FEWEST", "RunFits", "fit_runs", "fit_together", "patterns", "usable_runs"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FEWEST = 5
"""Checkpoints below which level, amplitude, scale and correlation cannot be told apart."""

BLOCK = 300
"""Runs that are projected at a time."""


@dataclass(frozen=True)
class RunFits:
    """Single runs of n recipes.

    Attributes
    ----------
    log_likelihood : ndarray, shape (n, S, F, G)
        Level, amplitude, scale and correlation integrated out; 0 where a run is not usable.
    present : ndarray of bool, shape (n, S)
        Runs with enough checkpoints that are not constant.
    rho : ndarray, shape (n, S)
        Posterior mean autocorrelation at the mean gap, from the run alone.
    wandering : ndarray, shape (n, S)
        Posterior probability that noise stays correlated for longer than the run.
    signal : ndarray, shape (n, S)
        Root mean square of the amplitude's t statistic over the posterior of the run.
    """

    log_likelihood: Array
    present: Mask
    rho: Array
    wandering: Array
    signal: Array


def patterns(values: Array, present: Mask) -> Iterator[tuple[Mask, Mask]]:
    """Runs that have the same checkpoints.

    Parameters
    ----------
    values : ndarray, shape (n, T)
        NaN where a run has no checkpoint.
    present : ndarray of bool, shape (n,)
        Runs to be considered.

    Yields
    ------
    tuple of ndarray of bool
        Which runs, and which of the T checkpoints they have.
    """
    known = ~np.isnan(values)
    distinct, which = np.unique(known[present], axis=0, return_inverse=True)
    for i, pattern in enumerate(distinct):
        runs = present.copy()
        runs[present] = which.ravel() == i
        yield runs, pattern


def fit_runs(values: Array, x: Array, unit: float, grid: OnsetGrid, rhos: Array | None = None) -> RunFits:
    """Marginal likelihood of single runs: each its own level, amplitude, scale and correlation.

    Parameters
    ----------
    values : ndarray, shape (n, S, T)
        Finite, or NaN where a run has no checkpoint.
    x : ndarray, shape (T,)
        Checkpoints as shares of training.
    unit : float
        Mean gap, at which the autocorrelation is stated.
    grid : OnsetGrid
        Curves.
    rhos : ndarray, optional
        Autocorrelations, equally likely; by default `correlation_grid`.

    Returns
    -------
    RunFits
        Vectorised over runs that share their checkpoints.
    """
    flat = values.reshape(-1, values.shape[-1])
    present = usable_runs(flat)
    log_likelihood = np.zeros((len(flat), *grid.prior.shape))
    facts = np.full((3, len(flat)), np.nan)
    for runs, pattern in patterns(flat, present):
        own = x[pattern]
        chosen = correlation_grid(len(own)) if rhos is None else rhos
        curves = grid.curves(own).reshape(-1, len(own))
        for block in _blocks(np.flatnonzero(runs)):
            data = flat[np.ix_(block, pattern)]
            found, facts[:, block] = _marginal(data, curves, chosen, np.diff(own) / unit, grid)
            log_likelihood[block] = found.reshape(-1, *grid.prior.shape)
    shape = values.shape[:2]
    return RunFits(
        log_likelihood.reshape(*shape, *grid.prior.shape), present.reshape(shape), *facts.reshape(3, *shape)
    )


def usable_runs(flat: Array) -> Mask:
    """Runs with enough checkpoints that are not constant.

    Parameters
    ----------
    flat : ndarray, shape (n, T)
        NaN where a run has no checkpoint.

    Returns
    -------
    ndarray of bool, shape (n,)
        Whether a model can be fitted to them.
    """
    known = ~np.isnan(flat)
    lowest = np.where(known, flat, np.inf).min(axis=1)
    highest = np.where(known, flat, -np.inf).max(axis=1)
    finite = np.isfinite(highest) & np.isfinite(lowest)
    usable: Mask = (known.sum(axis=1) >= FEWEST) & (highest > lowest) & finite
    return usable


def _blocks(places: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    return np.array_split(places, -(-len(places) // BLOCK))


def _marginal(
    data: Array, curves: Array, rhos: Array, gaps: Array, grid: OnsetGrid
) -> tuple[Array, tuple[Array, Array, Array]]:
    from scipy.special import logsumexp

    data = standardised(data)
    found = [project(data, curves, rho, gaps) for rho in rhos]
    by_rho = np.stack([one.log_marginal() for one in found], axis=1)
    log_likelihood: Array = logsumexp(by_rho, axis=1)
    with np.errstate(divide="ignore"):
        weights = np.exp(by_rho - by_rho.max(axis=(1, 2), keepdims=True)) * grid.prior.ravel()
    weights /= weights.sum(axis=(1, 2), keepdims=True)
    of_rho = weights.sum(axis=2)
    longer = rhos ** (gaps.sum()) > np.exp(-1)
    squared = np.stack([_squared_t(one) for one in found], axis=1)
    signal = np.sqrt((weights * squared).sum(axis=(1, 2)))
    return log_likelihood, (of_rho @ rhos, of_rho @ longer, signal)


def _squared_t(found: Projection) -> Array:
    squared: Array = (found.n_checkpoints - 2) * (found.null_rss / found.rss - 1)
    return squared


def fit_together(
    values: Array, x: Array, unit: float, grid: OnsetGrid, present: Mask, rhos: Array | None = None
) -> Array:
    r"""Marginal likelihood of all runs with one time constant, one scale and one correlation.

    .. math:: -\tfrac12 \sum_s \log|R_s| - \tfrac12 \sum_s \log|X_s'R_s^{-1}X_s|
              - \tfrac{N - 2S}{2} \log \sum_s \mathrm{RSS}_s

    with N checkpoints in all; each run keeps its own level and amplitude.

    Parameters
    ----------
    values : ndarray, shape (n, S, T)
        As in `fit_runs`.
    x, unit, grid
        As in `fit_runs`.
    present : ndarray of bool, shape (n, S)
        Usable runs.
    rhos : ndarray, optional
        As in `fit_runs`.

    Returns
    -------
    ndarray, shape (n, F, G)
        Correlation integrated out.
    """
    from scipy.special import logsumexp

    chosen = correlation_grid(len(x)) if rhos is None else rhos
    values = values / np.nanmax(
        np.abs(values), axis=(1, 2), keepdims=True, initial=0, where=present[..., None]
    )
    found = np.stack([_together(values, x, unit, grid, present, rho) for rho in chosen])
    integrated: Array = logsumexp(found, axis=0)
    return integrated.reshape(len(values), *grid.prior.shape)


def _together(values: Array, x: Array, unit: float, grid: OnsetGrid, present: Mask, rho: float) -> Array:
    """At one correlation: shape (n, F G)."""
    n, S, T = values.shape
    flat = values.reshape(n * S, T)
    penalty, rss = np.zeros((2, n * S, grid.prior.size))
    for runs, pattern in patterns(flat, present.ravel()):
        own = x[pattern]
        data = flat[np.ix_(runs, pattern)]
        centred = data - data.mean(axis=1, keepdims=True)
        one = project(centred, grid.curves(own).reshape(-1, len(own)), rho, np.diff(own) / unit)
        penalty[runs], rss[runs] = one.log_r + one.log_gram, one.rss
    free = ((~np.isnan(values)).sum(axis=2) - 2).sum(axis=1, where=present)
    total = rss.reshape(n, S, -1).sum(axis=1)
    found: Array = -(penalty.reshape(n, S, -1).sum(axis=1) + free[:, None] * np.log(total)) / 2
    return found
