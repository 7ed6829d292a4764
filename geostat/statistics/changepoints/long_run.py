"""Variance of the mean of autocorrelated errors: the long-run variance, by kernel after prewhitening."""

import math

import numpy as np
import numpy.typing as npt

__all__ = ["autocorrelation", "long_run_variance"]

Floats = npt.NDArray[np.float64]

LARGEST = 0.97
"""Autoregressions beyond this are cut back (Andrews and Monahan 1992): recolouring divides by 1 - rho."""


def autocorrelation(residuals: Floats) -> float:
    """Correlation of successive residuals.

    Parameters
    ----------
    residuals : ndarray
        Shape (T,), of mean zero.

    Returns
    -------
    float
        0 where they all vanish.
    """
    total = float((residuals**2).sum())
    return float((residuals[1:] * residuals[:-1]).sum()) / total if total > 0 else 0.0


def long_run_variance(residuals: Floats, n_fitted: int) -> float:
    r"""Sum of all autocovariances of the errors.

    An autoregression :math:`e_t = \rho e_{t-1} + u_t` is taken out first, the autocovariances of u are summed
    with the weights k of the quadratic-spectral kernel at Andrews' bandwidth b, and the result is recoloured:

    .. math:: \hat\omega = \frac{1}{(1 - \rho)^2} \Big(\gamma_0 + 2 \sum_j k(j / b)\, \gamma_j\Big)

    Residuals about an estimated mean understate the autoregression by about :math:`(1 + 3 \rho) / n` (Marriott
    and Pope 1954, Kendall 1954). That is added back once for every mean and, because a date is chosen
    to make residuals small, once for every date. It is no cure where the series is short: at strong
    autocorrelation few observations say little about it.

    Parameters
    ----------
    residuals : ndarray
        Shape (T,), in order of observation.
    n_fitted : int
        Means and dates that were estimated from these observations.

    Returns
    -------
    float
        At least 0.
    """
    e = residuals
    earlier = float((e[:-1] ** 2).sum())
    if earlier == 0:
        return float((e**2).mean())
    rho = float((e[1:] * e[:-1]).sum()) / earlier
    rho += (1 + 3 * rho) * n_fitted / len(e)
    rho = min(max(rho, -LARGEST), LARGEST)
    return _kernel_sum(e[1:] - rho * e[:-1]) / (1 - rho) ** 2


def _kernel_sum(u: Floats) -> float:
    """Autocovariances weighted by the quadratic-spectral kernel (Andrews 1991, equations 2.7, 6.2, 6.4)."""
    covariances = np.correlate(u, u, "full")[len(u) - 1 :] / len(u)
    bandwidth = 1.3221 * (_alpha(u) * len(u)) ** 0.2
    if len(u) < 2 or bandwidth < 1e-6:
        return float(covariances[0])
    z = 6 * math.pi / 5 * np.arange(1, len(u)) / bandwidth
    weights = 3 / z**2 * (np.sin(z) / z - np.cos(z))
    return float(covariances[0] + 2 * (weights * covariances[1:]).sum())


def _alpha(u: Floats) -> float:
    """Curvature of the spectrum at frequency zero, relative to its height, if u is autoregressive."""
    earlier = float((u[:-1] ** 2).sum())
    slope = float((u[1:] * u[:-1]).sum()) / earlier if earlier > 0 else 0.0
    slope = min(max(slope, -LARGEST), LARGEST)
    return 4 * slope**2 / (1 - slope) ** 4
