"""Posterior of seed variances that recipes share: arrays in, arrays out."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "PRIOR_DF",
    "Mixture",
    "difference_scale",
    "mixture_quantile",
    "mixture_tail",
    "moderated_posterior",
]

Array = npt.NDArray[np.float64]

PRIOR_DF = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, np.inf)
"""Degrees of freedom of the prior, equally likely: from unlike variances to one for all recipes."""

_POINTS, _REACH = 21, 5.0
"""Nodes over the prior's log variance, and how many of its standard deviations they reach."""

_STEPS, _EXACT = 50, 1e-10
"""Newton steps at most, and the relative step at which they end."""


class Mixture(NamedTuple):
    """Components of a posterior, K along the first axis.

    Attributes
    ----------
    weight : ndarray (K, *cells)
        Sums to 1 over components.
    variance, df : ndarray (K, groups, *cells)
        Scale and degrees of freedom of each group's variance given the component.
    """

    weight: Array
    variance: Array
    df: Array


def moderated_posterior(variance: Array, df: Array) -> Mixture:
    r"""Posterior of variances that are draws from one scaled inverse chi-squared distribution.

    The model of Smyth (2004, section 3): :math:`d_0 s_0^2 / \sigma_g^2 \sim \chi^2_{d_0}` and
    :math:`d_g s_g^2 / \sigma_g^2 \sim \chi^2_{d_g}`, so that given the prior

    .. math:: \tilde s_g^2 = \frac{d_0 s_0^2 + d_g s_g^2}{d_0 + d_g}, \qquad
       (\bar x_g - \mu_g) \sqrt{n_g} / \tilde s_g \sim t_{d_0 + d_g}.

    It is not the plug-in of that paper: :math:`d_0` and :math:`s_0` are integrated out (`PRIOR_DF`
    equally likely, :math:`\log s_0` flat), because a handful of recipes does not determine them.

    Parameters
    ----------
    variance, df : ndarray (groups, *cells)
        Sample variances and their degrees of freedom; 0 degrees where a group has none.

    Returns
    -------
    Mixture
        Components over the grid of priors.
    """
    known = df > 0
    nodes = _nodes(variance, df, known)  # (points, *cells)
    found = [_given(prior_df, nodes, variance, df, known) for prior_df in PRIOR_DF]
    log_weight = np.concatenate([part[0] for part in found])
    weight = np.exp(log_weight - log_weight.max(axis=0))
    scale, degrees = (np.concatenate([part[i] for part in found]) for i in (1, 2))
    return Mixture(weight / weight.sum(axis=0), scale, degrees)


def _nodes(variance: Array, df: Array, known: npt.NDArray[np.bool_]) -> Array:
    """Values of log s_0^2 around the mean of the log variances, corrected for their bias."""
    from scipy import special

    own, half = np.where(known, variance, 1.0), np.where(known, df, 1.0) / 2
    centred = np.where(known, np.log(own) - special.digamma(half) + np.log(half), 0.0)
    noise = np.where(known, special.polygamma(1, half), 0.0)
    count = known.sum(axis=0)
    spread = np.sqrt(noise.sum(axis=0)) / count + 0.5
    grid = np.linspace(-_REACH, _REACH, _POINTS)
    nodes: Array = centred.sum(axis=0) / count + np.multiply.outer(grid, spread)
    return nodes


def _given(
    prior_df: float, nodes: Array, variance: Array, df: Array, known: npt.NDArray[np.bool_]
) -> tuple[Array, Array, Array]:
    """Log likelihood, posterior scale and degrees of freedom for one prior df at every node."""
    from scipy import special

    prior = np.exp(nodes)[:, None]
    own, half = np.where(known, variance, 1.0), np.where(known, df, 1.0) / 2
    ratio = 2 * half * own / prior
    if np.isinf(prior_df):
        scale = np.broadcast_to(prior, ratio.shape)
        log = half * np.log(ratio / 2) - ratio / 2 - special.gammaln(half)
    else:
        scale = (prior_df * prior + np.where(known, df * variance, 0.0)) / (prior_df + df)
        log = half * np.log(ratio / prior_df) - (half + prior_df / 2) * np.log1p(ratio / prior_df)
        log = log - special.betaln(half, prior_df / 2)
    total = np.where(known, log, 0.0).sum(axis=1)
    return total, scale, np.broadcast_to(prior_df + df, ratio.shape)


def difference_scale(shares: Array, df: Array) -> tuple[Array, Array]:
    r"""Squared scale and degrees of freedom of a difference of scaled t variables.

    It is close to a t variable with

    .. math:: \nu = \frac{\sum_g w_g}{\sum_g w_g / \nu_g}, \qquad w_g = \tilde s_g^2 / n_g,

    for equal :math:`\nu_g` one with the same. Satterthwaite's formula is for the sampling of variances and
    would make the tails of this posterior far too light.

    Parameters
    ----------
    shares, df : ndarray (K, groups, *cells)
        :math:`w_g` and :math:`\nu_g`; one group gives itself back.

    Returns
    -------
    tuple of ndarray (K, *cells)
        Sum of the shares, and :math:`\nu`.
    """
    total: Array = shares.sum(axis=1)
    degrees: Array = total / (shares / df).sum(axis=1)
    return total, degrees


def mixture_tail(distance: Array, weight: Array, error: Array, df: Array) -> Array:
    """Probability that an error exceeds a distance, under a mixture of scaled t distributions.

    Parameters
    ----------
    distance : ndarray (*cells)
        Of any sign.
    weight, error, df : ndarray (K, *cells)
        Components; infinite df stand for the normal distribution.

    Returns
    -------
    ndarray (*cells)
        In [0, 1]; NaN where an input is NaN.
    """
    total: Array = np.sum(weight * _upper(distance / error, df), axis=0)
    return total


def _upper(ratio: Array, df: Array) -> Array:
    from scipy import special

    normal = np.isinf(df)
    finite: Array = special.stdtr(np.where(normal, 1.0, df), -ratio)
    return np.where(normal, special.ndtr(-ratio), finite) if normal.any() else finite


def mixture_quantile(level: float, weight: Array, error: Array, df: Array) -> Array:
    """Distance that an error exceeds on either side with probability 1 - level.

    Parameters
    ----------
    level : float
        In (0, 1).
    weight, error, df : ndarray (K, *cells)
        Components.

    Returns
    -------
    ndarray (*cells)
        Positive; found by Newton steps on the log scale.
    """
    target = (1 - level) / 2
    guess = np.log(np.sum(weight * error**2, axis=0)) / 2 + 0.7
    for _ in range(_STEPS):
        distance = np.exp(guess)
        tail = mixture_tail(distance, weight, error, df)
        slope = distance * np.sum(weight * _density(distance / error, df) / error, axis=0)
        # The log of the tail is nearly straight in log distance, so a few steps are enough.
        step = np.clip(tail * np.log(tail / target) / slope, -2, 2)
        guess = guess + step
        if not np.any(np.abs(step) > _EXACT):
            break
    found: Array = np.exp(guess)
    return found


def _density(ratio: Array, df: Array) -> Array:
    from scipy import special

    normal = np.isinf(df)
    d = np.where(normal, 1.0, df)
    log = -(d + 1) / 2 * np.log1p(ratio**2 / d) - special.betaln(d / 2, 0.5) - np.log(d) / 2
    gauss = -(ratio**2) / 2 - np.log(2 * np.pi) / 2
    density: Array = np.exp(np.where(normal, gauss, log))
    return density
