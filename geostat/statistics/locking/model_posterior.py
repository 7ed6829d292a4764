"""Posterior of a recipe's onset: every run has its own time constant around the recipe's."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geostat.statistics.locking.model_grid import OnsetGrid

__all__ = ["Posterior", "highest_hull", "onset_posterior", "posterior_median", "spread_grid"]

Array = npt.NDArray[np.float64]

SPREAD_SCALE = 0.3
"""Scale, and so median, of the half-Cauchy prior on the standard deviation of log tau between runs."""


@dataclass(frozen=True)
class Posterior:
    """Posterior of n recipes.

    Attributes
    ----------
    onset : ndarray, shape (n, G)
        Probability of the cells of the onset grid.
    families : ndarray, shape (n, F)
        Probability of the families.
    spread : ndarray, shape (n,)
        Median standard deviation of log tau between runs; NaN where there is one.
    """

    onset: Array
    families: Array
    spread: Array


def spread_grid(count: int = 12) -> Array:
    """Spreads between runs that are equally likely under the half-Cauchy prior.

    Parameters
    ----------
    count : int
        Points.

    Returns
    -------
    ndarray, shape (count,)
        Quantiles in the middle of equal shares.
    """
    return SPREAD_SCALE * np.tan(np.pi / 2 * (np.arange(count) + 0.5) / count)


def onset_posterior(log_likelihood: Array, present: npt.NDArray[np.bool_], grid: OnsetGrid) -> Posterior:
    r"""Posterior over families and onsets.

    .. math:: p(f, i \mid y) \propto \pi_f(i) \sum_d \prod_s \sum_j K_{f,d}(i, j)\, m_s(f, j)

    with K the probability that a run's time constant falls into cell j when the recipe's is that of
    cell i and log tau varies with standard deviation d; with one run, m alone.

    Parameters
    ----------
    log_likelihood : ndarray, shape (n, S, F, G)
        log m of single runs.
    present : ndarray of bool, shape (n, S)
        Runs that count.
    grid : OnsetGrid
        Cells and priors.

    Returns
    -------
    Posterior
        Of each recipe.
    """
    counted = np.where(present[..., None, None], log_likelihood, 0.0)
    counted = np.where(grid.prior > 0, counted, -np.inf)
    alone = np.asarray(present.sum(axis=1) < 2)
    weights = np.zeros((len(counted), len(grid.families), counted.shape[-1]))
    spread = np.full(len(counted), np.nan)
    if alone.any():
        weights[alone] = _normalised(counted[alone].sum(axis=1)[:, None], grid)[:, 0]
    if not alone.all():
        by_spread = _normalised(_mixed(counted[~alone], present[~alone], grid), grid)
        weights[~alone] = by_spread.sum(axis=1)
        spread[~alone] = _median_spread(by_spread.sum(axis=(2, 3)))
    return Posterior(weights.sum(axis=1), weights.sum(axis=2), spread)


def _normalised(log_weights: Array, grid: OnsetGrid) -> Array:
    with np.errstate(divide="ignore"):
        total = log_weights + np.log(grid.prior)
    weights = np.exp(total - total.max(axis=(1, 2, 3), keepdims=True))
    normalised: Array = weights / weights.sum(axis=(1, 2, 3), keepdims=True)
    return normalised


def _mixed(log_likelihood: Array, present: npt.NDArray[np.bool_], grid: OnsetGrid) -> Array:
    """Log likelihood of all runs given the recipe's cell, for each spread: shape (n, D, F, G)."""
    n, S, F, G = log_likelihood.shape
    top = log_likelihood.max(axis=-1, keepdims=True)
    relative = np.exp(log_likelihood - top).transpose(2, 0, 1, 3).reshape(F, n * S, G)
    found = np.empty((n, len(spread_grid()), F, G))
    for d, spread in enumerate(spread_grid()):
        runs = (relative @ grid.transition(spread).transpose(0, 2, 1)).reshape(F, n, S, G)
        with np.errstate(divide="ignore"):
            found[:, d] = np.log(runs).sum(axis=2, where=present[None, :, :, None]).transpose(1, 0, 2)
    constant: Array = top[..., 0].sum(axis=1, where=present[..., None])
    return found + constant[:, None, :, None]


def _median_spread(weights: Array) -> Array:
    place = (weights.cumsum(axis=1) >= 0.5).argmax(axis=1)
    median: Array = spread_grid()[place]
    return median


def highest_hull(onset: Array, edges: Array, level: float) -> tuple[Array, Array]:
    """Hull of the smallest set of cells that holds the level.

    Parameters
    ----------
    onset : ndarray, shape (n, G)
        Probability of cells.
    edges : ndarray, shape (G + 1,)
        Their ends.
    level : float
        Probability to be held.

    Returns
    -------
    tuple of ndarray, shape (n,)
        Lower end of the first and upper end of the last cell of the set.
    """
    order = np.argsort(-onset / np.diff(edges), axis=1, kind="stable")
    sorted_ = np.take_along_axis(onset, order, axis=1)
    kept = np.zeros(onset.shape, dtype=np.bool_)
    np.put_along_axis(kept, order, sorted_.cumsum(axis=1) - sorted_ < level, axis=1)
    last = onset.shape[1] - 1 - kept[:, ::-1].argmax(axis=1)
    return edges[kept.argmax(axis=1)], edges[last + 1]


def posterior_median(onset: Array, edges: Array) -> Array:
    """Median of the onset, interpolated within its cell.

    Parameters
    ----------
    onset : ndarray, shape (n, G)
        Probability of cells.
    edges : ndarray, shape (G + 1,)
        Their ends.

    Returns
    -------
    ndarray, shape (n,)
        As a share of the run.
    """
    above = onset.cumsum(axis=1)
    cell = (above >= 0.5).argmax(axis=1)[:, None]
    own = np.take_along_axis(onset, cell, axis=1)
    missing = 0.5 - (np.take_along_axis(above, cell, axis=1) - own)
    median: Array = edges[cell] + missing / own * (edges[cell + 1] - edges[cell])
    return median[:, 0]
