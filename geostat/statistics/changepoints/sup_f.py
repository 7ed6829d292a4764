"""Whether a series has a shift of its mean at all: the largest F statistic over all admissible breaks."""

import functools
import math

import numpy as np
import numpy.typing as npt

__all__ = ["largest_gain", "sup_f_p_value"]

Floats = npt.NDArray[np.float64]

BASIS, NODES = 40, 200
"""Cosines of the expansion and nodes of its integrals: eight digits of a p-value and more."""


LARGE = 100.0
"""Values of x beyond this have probabilities below 1e-19, under what the sum can tell from 0."""


def largest_gain(series: Floats, min_segment: int) -> float:
    r"""Largest reduction of the residual sum of squares by one break.

    .. math:: \max_k \; (\bar x_{k+1:T} - \bar x_{1:k})^2 \,/\, (1/k + 1/(T - k))

    Divided by the (long-run) error variance it is the sup-F statistic of Andrews (1993).

    Parameters
    ----------
    series : ndarray
        Shape (T,), T at least twice `min_segment`.
    min_segment : int
        Observations that either side has at least.

    Returns
    -------
    float
        At least 0.

    Examples
    --------
    >>> largest_gain(np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]), 2)
    1.5
    """
    length = len(series)
    sums = (series - series.mean()).cumsum()
    before = np.arange(min_segment, length - min_segment + 1)
    return float((sums[before - 1] ** 2 * length / (before * (length - before))).max())


def sup_f_p_value(statistic: float, trimming: float, df: float = math.inf) -> float:
    r"""Probability that the sup-F statistic exceeds a value where the mean is constant.

    In the limit the F statistic of a break at share :math:`\lambda` of the series is the square of
    :math:`U = (B(\lambda) - \lambda B(1)) / \sqrt{\lambda (1 - \lambda)}` (Andrews 1993). Over
    :math:`\log(\lambda / (1 - \lambda))`, U is a stationary Ornstein-Uhlenbeck process, and the probability
    that it stays within :math:`\pm\sqrt x` for a time L is a sum over the eigenvalues
    :math:`\mu_j` and eigenfunctions :math:`\psi_j` of its generator on that interval,

    .. math:: P(\sup U^2 < x) = \sum_j e^{-\mu_j L} \Big(\int \psi_j \sqrt{\varphi}\Big)^2,
              \qquad -\tfrac12 \psi'' + (u^2/8 - 1/4) \psi = \mu \psi, \quad \psi(\pm\sqrt x) = 0,

    solved here in a cosine basis. It rests on no table and no simulation (DeLong 1981 and Estrella 2003 sum
    the same series by special functions), but it is the limit for long series. In a short one the variance that
    F is divided by is itself uncertain, so that x is first replaced by the value that is as improbable for
    a squared normal as x is for F(1, df); the size at .05 then is .03-.04 for T = 20 to 200.

    Parameters
    ----------
    statistic : float
        x.
    trimming : float
        Share of the series at either end where no break was sought, in (0, .5]; at .5 one place is left.
    df : float
        Degrees of freedom of the error variance; infinite for the limit.

    Returns
    -------
    float
        In [0, 1]; accurate to about 1e-8.

    Examples
    --------
    >>> round(sup_f_p_value(8.862, 0.15), 4)
    0.05
    """
    if not statistic > 0:
        return 1.0
    end = _normal_score(math.sqrt(statistic), df)
    if end**2 > LARGE:
        return 0.0
    duration = 2 * math.log((1 - trimming) / trimming)
    if duration == 0:
        return math.erfc(end / math.sqrt(2))
    u, w = (end * part for part in _quadrature())
    frequency = (np.arange(BASIS) + 0.5) * math.pi / end
    basis = np.cos(frequency[:, None] * u) / math.sqrt(end)
    generator = np.diag(frequency**2 / 2) + (basis * (w * (u**2 / 8 - 0.25))) @ basis.T
    rates, vectors = np.linalg.eigh(generator)
    overlap = vectors.T @ (basis @ (w * np.exp(-(u**2) / 4))) / (2 * math.pi) ** 0.25
    stays = float((np.exp(-rates * duration) * overlap**2).sum())
    return min(max(1 - stays, 0.0), 1.0)


def _normal_score(t: float, df: float) -> float:
    """Point beyond which a normal variable is as improbable as Student's beyond t."""
    if math.isinf(df) or math.isinf(t):
        return t
    from scipy.special import ndtri, stdtr

    tail = float(stdtr(df, -t))
    return -float(ndtri(tail)) if tail > 0 else math.inf


@functools.cache
def _quadrature() -> tuple[Floats, Floats]:
    """Nodes and weights of Gauss and Legendre on [-1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return nodes, weights
