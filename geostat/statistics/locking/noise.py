r"""Ornstein-Uhlenbeck noise on uneven checkpoints: correlation :math:`\rho^{|u - v|}`, in mean gaps."""

import numpy as np
import numpy.typing as npt

__all__ = ["correlation_grid", "log_determinant", "noise_curves", "step_correlation", "whiten"]

Array = npt.NDArray[np.float64]

SHORTEST = 0.3
"""Correlation length in mean gaps below which neighbours are as good as independent."""

REACH = 30.0
"""Longest correlation length in runs: beyond it noise is a random walk for all that a run can tell."""


def correlation_grid(n_checkpoints: int, count: int = 16) -> Array:
    """Correlations at the mean gap: none, then lengths in geometric progression far beyond the run.

    Parameters
    ----------
    n_checkpoints : int
        Length of the run in checkpoints.
    count : int
        Points.

    Returns
    -------
    ndarray, shape (count,)
        0, then ``exp(-1 / length)`` for lengths from 0.3 gaps to 30 runs.
    """
    lengths = np.geomspace(SHORTEST, REACH * n_checkpoints, count - 1)
    return np.concatenate([[0.0], np.exp(-1 / lengths)])


def step_correlation(rho: float, gaps: Array) -> tuple[Array, Array]:
    """Correlation of neighbours and what is left of the standard deviation given the former one.

    Parameters
    ----------
    rho : float
        Autocorrelation at the mean gap, in [0, 1).
    gaps : ndarray, shape (T - 1,)
        In mean gaps.

    Returns
    -------
    tuple of ndarray, shape (T - 1,)
        ``rho ** gap`` and ``sqrt(1 - rho ** (2 gap))``.
    """
    if rho == 0:
        return np.zeros_like(gaps), np.ones_like(gaps)
    rate = gaps * np.log(rho)
    return np.exp(rate), np.sqrt(-np.expm1(2 * rate))


def whiten(values: Array, rho: float, gaps: Array) -> Array:
    r"""Values as independent ones of variance 1: the precision matrix is tridiagonal.

    .. math:: z_1 = y_1, \quad z_j = (y_j - \phi_j y_{j-1}) / \sqrt{1 - \phi_j^2},
        \quad \phi_j = \rho^{\mathrm{gap}_j}

    Parameters
    ----------
    values : ndarray, shape (..., T)
        In order of time.
    rho : float
        Autocorrelation at the mean gap.
    gaps : ndarray, shape (T - 1,)
        In mean gaps.

    Returns
    -------
    ndarray, shape (..., T)
        Inverse Cholesky factor of R times the values.
    """
    if rho == 0:
        return values
    phi, left = step_correlation(rho, gaps)
    white = np.empty_like(values)
    white[..., 0] = values[..., 0]
    np.multiply(values[..., :-1], -phi, out=white[..., 1:])
    white[..., 1:] += values[..., 1:]
    white[..., 1:] /= left
    return white


def log_determinant(rho: float, gaps: Array) -> float:
    """Log determinant of the correlation matrix.

    Parameters
    ----------
    rho : float
        Autocorrelation at the mean gap.
    gaps : ndarray, shape (T - 1,)
        In mean gaps.

    Returns
    -------
    float
        Sum of ``log(1 - rho ** (2 gap))``.
    """
    return float(2 * np.log(step_correlation(rho, gaps)[1]).sum())


def noise_curves(independent: Array, rho: float, gaps: Array) -> Array:
    """Stationary noise of variance 1, made from independent normal numbers.

    Parameters
    ----------
    independent : ndarray, shape (..., T)
        Standard normal.
    rho : float
        Autocorrelation at the mean gap.
    gaps : ndarray, shape (T - 1,)
        In mean gaps.

    Returns
    -------
    ndarray, shape (..., T)
        What `whiten` makes independent again.
    """
    phi, left = step_correlation(rho, gaps)
    curves = independent.copy()
    for j in range(len(gaps)):
        curves[..., j + 1] = phi[j] * curves[..., j] + left[j] * independent[..., j + 1]
    return curves
