"""Where a break may lie: the limiting law of its estimate, and the interval that follows from it."""

import math

__all__ = ["argmax_quantile", "argmax_tail", "break_interval"]


def argmax_tail(distance: float, ratio: float) -> float:
    r"""Probability that two-sided Brownian motion with drift is largest beyond a point on its right.

    The process falls by 1/2 per unit on either side of 0; its variance per unit is 1 on the right and `ratio`
    on the left. Its maximum M on the left is exponential with rate a = 1/ratio. On the right the level y is
    first reached after x, and is never passed again, with density :math:`P(x < \tau_y < \infty)` in y, so

    .. math:: P(\mathrm{argmax} > x) = \int_0^\infty (1 - e^{-a y})\, P(x < \tau_y < \infty)\, dy,
              \qquad P(x < \tau_y < \infty) = e^{-y} \Phi\!\left(\tfrac{y - x/2}{\sqrt x}\right)
              - \Phi\!\left(-\tfrac{y + x/2}{\sqrt x}\right).

    Integrated in closed form. It is the law of Bai (1997), Appendix B, and, for ratio 1, of Yao (1987).

    Parameters
    ----------
    distance : float
        x, from 0 on.
    ratio : float
        Variance on the left over that on the right, above 0.

    Returns
    -------
    float
        Falls from 1 / (1 + ratio) at 0 towards 0.

    Examples
    --------
    >>> argmax_tail(0.0, 1.0)
    0.5
    >>> round(argmax_tail(11.03, 1.0), 3)
    0.025
    """
    if distance <= 0:
        return 1 / (1 + ratio)
    from scipy.special import log_ndtr, ndtr

    root = math.sqrt(distance)
    beyond = float(ndtr(-root / 2))

    def reached_late(c: float) -> float:
        """Integral of exp(-c y) Phi((y - x/2) / sqrt(x)) over y > 0."""
        exponent = c * (c - 1) * distance / 2 + log_ndtr((0.5 - c) * root)
        return (beyond + math.exp(exponent)) / c

    def never_reached(c: float) -> float:
        """Integral of exp(-c y) Phi(-(y + x/2) / sqrt(x)) over y > 0."""
        if c == 0:
            return root * math.exp(-distance / 8) / math.sqrt(2 * math.pi) - distance / 2 * beyond
        exponent = c * (c + 1) * distance / 2 + log_ndtr(-(0.5 + c) * root)
        return (beyond - math.exp(exponent)) / c

    a = 1 / ratio
    tail = reached_late(1.0) - reached_late(1.0 + a) - never_reached(0.0) + never_reached(a)
    return min(max(tail, 0.0), 1.0)


def argmax_quantile(tail: float, ratio: float) -> float:
    """Point on the right that the largest value lies beyond with a given probability.

    Parameters
    ----------
    tail : float
        Probability in (0, 1).
    ratio : float
        As in `argmax_tail`.

    Returns
    -------
    float
        0 where the whole right side is less probable than that.

    Examples
    --------
    >>> round(argmax_quantile(0.025, 1.0), 2)
    11.03
    """
    if argmax_tail(0.0, ratio) <= tail:
        return 0.0
    from scipy.optimize import brentq

    upper = 1.0
    while argmax_tail(upper, ratio) > tail:
        upper *= 2
    return float(brentq(lambda x: argmax_tail(x, ratio) - tail, 0.0, upper, xtol=1e-10))


def break_interval(
    estimate: int, shift: float, before: float, after: float, level: float, length: int
) -> tuple[int, int]:
    r"""Interval for the last observation before a shift of the mean.

    With shift d and (long-run) error variances :math:`\omega_1, \omega_2` before and after it,
    :math:`(d^2 / \omega_2) (\hat k - k)` tends to the law of `argmax_tail` with ratio
    :math:`\omega_1 / \omega_2` to the right, and with the two exchanged to the left. Ends are rounded outward
    to whole observations (Bai 1997, section 4; Bai and Perron 1998, section 4.3).

    Parameters
    ----------
    estimate : int
        Estimated last observation before the shift, from 1.
    shift : float
        Difference of the means, not 0.
    before, after : float
        Variances, above 0.
    level : float
        In (0, 1).
    length : int
        Observations T.

    Returns
    -------
    tuple of int
        Within 1 and T - 1.

    Examples
    --------
    >>> break_interval(28, -247.78, 17573.1, 15352.9, 0.95, 100)
    (25, 32)
    """
    tail, unit = (1 - level) / 2, shift**2
    too_late = after / unit * argmax_quantile(tail, before / after)
    too_early = before / unit * argmax_quantile(tail, after / before)
    low = estimate - min(math.ceil(too_late), estimate - 1)
    return low, estimate + min(math.ceil(too_early), length - 1 - estimate)
