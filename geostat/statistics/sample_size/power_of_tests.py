"""Power of t-tests, of equivalence tests and of intervals with n runs a side, by quadrature where no closed form is."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = [
    "Contrast",
    "Design",
    "confidence_of_median",
    "power_of_comparison",
    "power_of_equivalence",
    "power_of_half_width",
    "power_of_share",
]

Array = npt.NDArray[np.float64]
Design = Literal["welch", "pooled", "paired"]

NODES = 96
"""Nodes of a quadrature; powers of the t-test agree with the noncentral t to 1e-8."""

FAR = 8.0
"""Standard deviations beyond which a normal tail is nothing."""


@dataclass(frozen=True)
class Contrast:
    """The standardised difference of two means with n runs each.

    Attributes
    ----------
    n : int
        Runs a side, 2 or more.
    design : {"welch", "pooled", "paired"}
        How the standard error is estimated.
    correlation : float
        Of the two runs of one seed, when paired.
    """

    n: int
    design: Design
    correlation: float = 0.0

    @property
    def factor(self) -> float:
        """Standard error of the difference in standard deviations of one run."""
        kept = 1 - self.correlation if self.design == "paired" else 1.0
        return math.sqrt(2 * kept / self.n)

    @property
    def df(self) -> int:
        """Degrees of freedom of the variance estimate (of both sides together, for Welch)."""
        return self.n - 1 if self.design == "paired" else 2 * (self.n - 1)

    def degrees(self) -> tuple[Array, Array]:
        r"""Degrees of freedom by which the critical value is taken, and their probabilities.

        Welch's are random: with equal variances, u = s_a^2 / (s_a^2 + s_b^2) is Beta((n-1)/2, (n-1)/2) and
        independent of s_a^2 + s_b^2, and Satterthwaite's are (n - 1) / (u^2 + (1 - u)^2).
        """
        from scipy import special

        if self.design != "welch":
            return np.array([float(self.df)]), np.array([1.0])
        shape = (self.n - 1) / 2
        nodes, weights = special.roots_jacobi(NODES, shape - 1, shape - 1)
        share = (nodes + 1) / 2
        return (self.n - 1) / (share**2 + (1 - share) ** 2), weights / weights.sum()


def power_of_comparison(effect: Array, contrast: Contrast, level: float) -> Array:
    r"""Probability that a two-sided t-test finds a difference.

    .. math:: P(|T_{\nu}(\delta)| > t_{\nu', (1 + \mathrm{level})/2}), \qquad \delta = \mathrm{effect} / \mathrm{se}

    with a noncentral t of :math:`\nu = \nu'` degrees of freedom (pooled, paired), or averaged over Welch's
    random :math:`\nu'` with :math:`\nu = 2 n - 2`: exact for normal runs of equal variance. The noncentral
    t is taken by quadrature, which holds for any effect.

    Parameters
    ----------
    effect : ndarray
        True difference in standard deviations of one run.
    contrast : Contrast
        Design.
    level : float
        Of the interval that has to leave out 0.

    Returns
    -------
    ndarray
        Power, in the shape of `effect`.
    """
    from scipy import special, stats

    degrees, weights = contrast.degrees()
    critical = np.asarray(stats.t.ppf((1 + level) / 2, degrees))
    shift = np.abs(np.asarray(effect, dtype=np.float64))[..., None] / contrast.factor
    # Nodes are laid up to where a difference can still exceed t s, or to where s hardly comes.
    ratio, mass = _estimated_error(
        np.minimum((shift + FAR) / critical, _largest_ratio(contrast.df)), contrast.df
    )
    reach = critical[:, None] * ratio
    found = special.ndtr(shift[..., None] - reach) + special.ndtr(-shift[..., None] - reach)
    return np.asarray(np.clip((found * mass).sum(axis=-1) @ weights, 0, 1))


def _largest_ratio(df: int) -> float:
    """Estimated over true standard error, as large as it hardly comes."""
    from scipy import stats

    return math.sqrt(stats.chi2.isf(1e-12, df) / df)


def _estimated_error(largest: Array, df: int) -> tuple[Array, Array]:
    """Nodes over estimated / true standard error from 0 up to `largest`, and their probabilities."""
    from scipy import special, stats

    nodes, weights = special.roots_legendre(NODES)
    ratio = largest[..., None] * (nodes + 1) / 2
    density = stats.chi.pdf(ratio * math.sqrt(df), df) * math.sqrt(df)
    return ratio, density * weights * largest[..., None] / 2


def power_of_equivalence(effect: Array, margin: Array, contrast: Contrast, level: float) -> Array:
    r"""Probability that two one-sided t-tests show equivalence.

    Given the estimated standard error s, equivalence is shown when the difference lies within
    margin - t s of 0:

    .. math:: \int \left[\Phi\!\left(\tfrac{m - t s - \mathrm{effect}}{\sigma}\right)
        - \Phi\!\left(\tfrac{-m + t s - \mathrm{effect}}{\sigma}\right)\right]_+ f(s)\, ds

    with :math:`t = t_{\nu', \mathrm{level}}`: each test at 1 - level.

    Parameters
    ----------
    effect, margin : ndarray
        True difference and margin in standard deviations of one run.
    contrast : Contrast
        Design.
    level : float
        Confidence level.

    Returns
    -------
    ndarray
        Power, in their common shape.

    References
    ----------
    :cite:t:`phillips1990`.
    """
    from scipy import special, stats

    degrees, weights = contrast.degrees()
    critical = np.asarray(stats.t.ppf(level, degrees))
    effect, margin = np.broadcast_arrays(effect, margin)
    shift, room = effect[..., None] / contrast.factor, margin[..., None] / contrast.factor
    # The integrand ends where t s reaches the margin: nodes are laid up to there, or to where s hardly comes.
    ends = room / np.where(critical > 0, critical, np.nan)
    ratio, mass = _estimated_error(np.fmin(ends, _largest_ratio(contrast.df)), contrast.df)
    half = room[..., None] - critical[:, None] * ratio
    inside = special.ndtr(half - shift[..., None]) - special.ndtr(-half - shift[..., None])
    return np.asarray(np.clip((np.maximum(inside, 0) * mass).sum(axis=-1) @ weights, 0, 1))


def power_of_half_width(half_width: Array, n: int, level: float) -> Array:
    r"""Probability that the t-interval of a mean comes out no wider than wanted.

    .. math:: P\!\left(\chi^2_{n-1} \le (n - 1)\, n\, h^2 / (t_{n-1}^2 \sigma^2)\right)

    Parameters
    ----------
    half_width : ndarray
        In standard deviations of one run.
    n : int
        Runs, 2 or more.
    level : float
        Confidence level.

    Returns
    -------
    ndarray
        Power, in the shape of `half_width`.
    """
    from scipy import stats

    critical = stats.t.ppf((1 + level) / 2, n - 1)
    return np.asarray(stats.chi2.cdf((n - 1) * n * np.square(half_width) / critical**2, n - 1))


def power_of_share(share: float, wanted: float, n: int, level: float) -> float:
    """Probability that Clopper and Pearson's lower bound of a share reaches what is wanted.

    Parameters
    ----------
    share : float
        True share of runs.
    wanted : float
        Lower bound to be reached.
    n : int
        Runs.
    level : float
        Of the two-sided interval.

    Returns
    -------
    float
        Power.
    """
    from scipy import stats

    counts = np.arange(1, n + 1)
    bounds = stats.beta.ppf((1 - level) / 2, counts, n - counts + 1)
    return float(stats.binom.pmf(counts[bounds >= wanted], n, share).sum())


def confidence_of_median(n: int) -> float:
    """Largest level at which order statistics of n runs bound their population's median.

    Parameters
    ----------
    n : int
        Runs.

    Returns
    -------
    float
        1 - 2^(1 - n), of the interval from the smallest to the largest.
    """
    return float(1 - 2.0 ** (1 - n))
