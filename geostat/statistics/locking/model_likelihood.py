"""Marginal likelihood of a settling curve in correlated noise: level, amplitude and scale integrated out."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geostat.statistics.locking.noise import log_determinant, whiten

__all__ = ["Projection", "project", "standardised"]

Array = npt.NDArray[np.float64]

EXACT = 1e-12
"""Share of a run's variation that is always left over: a curve that fits exactly has no likelihood."""


@dataclass(frozen=True)
class Projection:
    """Runs on one grid of T checkpoints, projected on G curves under one correlation.

    Attributes
    ----------
    n_checkpoints : int
        T.
    log_r : float
        ``log |R|``.
    log_gram : ndarray, shape (G,)
        ``log |X' R^-1 X|`` with X = (1, curve).
    rss : ndarray, shape (n, G)
        ``min (y - X b)' R^-1 (y - X b)``.
    null_rss : ndarray, shape (n, 1)
        The same with the level alone.
    """

    n_checkpoints: int
    log_r: float
    log_gram: Array
    rss: Array
    null_rss: Array

    def log_marginal(self) -> Array:
        r"""Log marginal likelihood of single runs, up to a constant.

        .. math:: -\tfrac12 \log|R| - \tfrac12 \log|X'R^{-1}X| - \tfrac{T - 2}{2} \log \mathrm{RSS}

        Returns
        -------
        ndarray, shape (n, G)
            Flat priors on level and amplitude, 1/sigma on the scale.
        """
        free = self.n_checkpoints - 2
        marginal: Array = -(self.log_r + self.log_gram + free * np.log(self.rss)) / 2
        return marginal

    def log_maximum(self) -> Array:
        r"""Log likelihood at its maximum over level, amplitude and scale, up to the same constant as `log_null`.

        Returns
        -------
        ndarray, shape (n, G)
            ``-log|R| / 2 - T log(RSS) / 2``.
        """
        return -(self.log_r + self.n_checkpoints * np.log(self.rss)) / 2

    def log_null(self) -> Array:
        """Log likelihood of a constant at its maximum over level and scale.

        Returns
        -------
        ndarray, shape (n, 1)
            ``-log|R| / 2 - T log(RSS_0) / 2``.
        """
        return -(self.log_r + self.n_checkpoints * np.log(self.null_rss)) / 2


def standardised(values: Array) -> Array:
    """Runs shifted and scaled to a mean of 0 and a largest deviation of 1.

    Affine maps change no likelihood ratio, but large levels and tiny scales cost digits.

    Parameters
    ----------
    values : ndarray, shape (n, T)
        Finite, none constant.

    Returns
    -------
    ndarray, shape (n, T)
        In [-1, 1].
    """
    bounded = values / np.abs(values).max(axis=1, keepdims=True)
    centred = bounded - bounded.mean(axis=1, keepdims=True)
    scaled: Array = centred / np.abs(centred).max(axis=1, keepdims=True)
    return scaled


def project(values: Array, curves: Array, rho: float, gaps: Array) -> Projection:
    """Project runs on curves by whitening both; no matrix of T x T is formed.

    Parameters
    ----------
    values : ndarray, shape (n, T)
        Runs.
    curves : ndarray, shape (G, T)
        Settling curves, none of them constant.
    rho : float
        Autocorrelation at the mean gap.
    gaps : ndarray, shape (T - 1,)
        In mean gaps.

    Returns
    -------
    Projection
        Sums of squares and determinants.
    """
    level = whiten(np.ones(len(gaps) + 1), rho, gaps)
    squared = level @ level
    centred = _without(whiten(curves, rho, gaps), level / np.sqrt(squared))
    norms = np.einsum("gt,gt->g", centred, centred)
    data = _without(whiten(values, rho, gaps), level / np.sqrt(squared))
    total = np.einsum("nt,nt->n", data, data)[:, None]
    explained = (data @ (centred / np.sqrt(norms)[:, None]).T) ** 2
    return Projection(
        len(level),
        log_determinant(rho, gaps),
        np.log(squared) + np.log(norms),
        np.maximum(total - explained, EXACT * total),
        total,
    )


def _without(values: Array, direction: Array) -> Array:
    return values - (values @ direction)[:, None] * direction
