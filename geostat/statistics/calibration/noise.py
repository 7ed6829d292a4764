"""Noise of simulated runs: correlated over uneven steps, normal or not."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from geostat.errors import SampleError

__all__ = ["DISTRIBUTIONS", "Distribution", "checkpoints", "evenly_spread", "ornstein_uhlenbeck", "shaped"]

Array = npt.NDArray[np.float64]
Distribution = Literal["normal", "skewed", "t5"]
DISTRIBUTIONS: tuple[Distribution, ...] = ("normal", "skewed", "t5")
"""Shapes of mean 0 and variance 1: normal; exponential (skewness 2); Student with 5 degrees of freedom."""


def checkpoints(T: int, steps: tuple[float, ...] | None) -> Array:
    """The steps of a study.

    Parameters
    ----------
    T : int
        Number of evenly spaced checkpoints, at steps 1 to T, where no steps are given.
    steps : tuple of float, optional
        The user's own.

    Returns
    -------
    ndarray, shape (T,)
        Increasing.

    Raises
    ------
    SampleError
        If there is none, or they do not increase.
    """
    try:
        found = np.asarray(np.arange(1, T + 1) if steps is None else steps, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SampleError(f"steps {steps!r} are no numbers. Pass checkpoints in increasing order.") from error
    if found.ndim != 1 or found.size == 0 or not np.isfinite(found).all() or (np.diff(found) <= 0).any():
        raise SampleError(
            f"steps {found.tolist()} are no checkpoints: pass at least one, in increasing order (T={T})."
        )
    return found


def ornstein_uhlenbeck(rng: np.random.Generator, shape: tuple[int, ...], steps: Array, rho: float) -> Array:
    r"""Stationary noise of mean 0 and variance 1, correlated over uneven steps.

    .. math:: x_j = \phi_j x_{j-1} + \sqrt{1 - \phi_j^2}\,\epsilon_j, \quad \phi_j = \rho^{g_j / \bar g}

    with :math:`g_j` the gap before checkpoint j: `rho` is the autocorrelation at the mean gap.

    Parameters
    ----------
    rng : numpy.random.Generator
        Randomness.
    shape : tuple of int
        Independent series.
    steps : ndarray, shape (T,)
        Checkpoints.
    rho : float
        In [0, 1].

    Returns
    -------
    ndarray, shape (*shape, T)
        The series.

    Raises
    ------
    SampleError
        If `rho` is no such correlation.
    """
    if not 0 <= rho <= 1:
        raise SampleError(f"rho={rho!r} is no autocorrelation at the mean gap: it lies in [0, 1].")
    noise = rng.standard_normal((*shape, steps.size))
    gaps = np.diff(steps)
    phi = rho ** (gaps / gaps.mean()) if gaps.size else gaps
    for j, each in enumerate(phi, start=1):
        noise[..., j] = each * noise[..., j - 1] + np.sqrt(1 - each**2) * noise[..., j]
    return noise


def shaped(normal: Array, distribution: Distribution) -> Array:
    """Give standard normal values another distribution, quantile by quantile.

    Parameters
    ----------
    normal : ndarray
        Standard normal.
    distribution : {"normal", "skewed", "t5"}
        One of `DISTRIBUTIONS`.

    Returns
    -------
    ndarray
        Mean 0, variance 1.

    Raises
    ------
    SampleError
        If there is no such distribution.
    """
    if distribution not in DISTRIBUTIONS:
        raise SampleError(f"distribution={distribution!r} is not among {', '.join(DISTRIBUTIONS)}.")
    if distribution == "normal":
        return normal
    from scipy import special

    if distribution == "skewed":
        return np.asarray(-special.log_ndtr(-normal) - 1)
    tail = special.stdtrit(5, special.ndtr(-np.abs(normal)))  # the lower tail keeps its digits
    return np.asarray(-np.sign(normal) * tail * np.sqrt(3 / 5))


def evenly_spread(count: int) -> Array:
    """Normal quantiles in the middle of `count` equal shares: a fixed list with mean 0.

    Parameters
    ----------
    count : int
        From 1 on.

    Returns
    -------
    ndarray, shape (count,)
        Increasing.
    """
    from scipy import special

    return np.asarray(special.ndtri((np.arange(count) + 0.5) / count))
