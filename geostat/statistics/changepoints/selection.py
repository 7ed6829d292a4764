"""How many breaks a series has: information criteria, or one test after another."""

import itertools
import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from geostat.statistics.changepoints.long_run import long_run_variance
from geostat.statistics.changepoints.segments import Partitions, residuals_of
from geostat.statistics.changepoints.sup_f import largest_gain, sup_f_p_value

__all__ = ["Errors", "Rule", "error_variance", "number_by_criterion", "number_by_tests"]

Floats = npt.NDArray[np.float64]
Errors = Literal["iid", "hac"]
Rule = Literal["bic", "lwz", "sequential"]


def number_by_criterion(rss: Floats, length: int, rule: Literal["bic", "lwz"]) -> int:
    r"""Number of breaks m at which an information criterion is least; 0 means no change.

    With p = 2 m + 1 parameters (means and dates) and residual sum of squares S:

    .. math:: \mathrm{BIC}(m) = \log(S_m / T) + p \log(T) / T, \qquad
              \mathrm{LWZ}(m) = \log(S_m / (T - p)) + 0.299\, p\, (\log T)^{2.1} / T

    (Yao 1988; Liu, Wu and Zidek 1997, with their constants). Both take errors for independent: with
    autocorrelated errors they report changes where there are none.

    Parameters
    ----------
    rss : ndarray
        S for m = 0, 1, ..., above 0.
    length : int
        Observations T.
    rule : {"bic", "lwz"}
        Which.

    Returns
    -------
    int
        The smaller number where two are equally good.

    Examples
    --------
    >>> number_by_criterion(np.array([2835157.0, 1597457.0, 1552924.0]), 100, "bic")
    1
    """
    p = 2 * np.arange(len(rss)) + 1
    if rule == "bic":
        return int((np.log(rss / length) + p * math.log(length) / length).argmin())
    penalty = 0.299 * p / length * math.log(length) ** 2.1
    return int(np.where(p < length, np.log(rss / np.maximum(length - p, 1)) + penalty, np.inf).argmin())


def error_variance(series: Floats, breaks: npt.NDArray[np.int64], errors: Errors) -> float:
    """Variance that F statistics divide by: of single errors, or in the long run.

    Parameters
    ----------
    series : ndarray
        Shape (T,).
    breaks : ndarray of int
        Shape (m,).
    errors : {"iid", "hac"}
        Which.

    Returns
    -------
    float
        RSS / (T - m - 1), or the long-run variance of the residuals.
    """
    residuals = residuals_of(series[None], breaks[None])[0]
    if errors == "hac":
        return long_run_variance(residuals, 2 * len(breaks) + 1)
    return float((residuals**2).sum()) / (len(series) - len(breaks) - 1)


def number_by_tests(
    series: Floats, partitions: Partitions, min_segment: int, errors: Errors, alpha: float
) -> int:
    r"""Add breaks while the next one is significant.

    Given the best l breaks, each segment that can be split is tested for one more; the largest F
    statistic x has probability :math:`1 - \prod_i P(\sup F_i < x)` of being exceeded where there are no
    more (Bai and Perron 1998, section 5.2, with the trimming of every segment by its own length).

    Parameters
    ----------
    series : ndarray
        Shape (T,).
    partitions : Partitions
        Of this series, up to the largest number allowed.
    min_segment : int
        Observations that a segment has at least.
    errors : {"iid", "hac"}
        Which variance the statistics are divided by: that of one break more.
    alpha : float
        Level of each test.

    Returns
    -------
    int
        0 where the first test finds no change.
    """
    most = len(partitions.breaks) - 1
    for found in range(most):
        ends = [0, *partitions.breaks[found].tolist(), len(series)]
        parts = [series[a:b] for a, b in itertools.pairwise(ends) if b - a >= 2 * min_segment]
        variance = error_variance(series, partitions.breaks[found + 1], errors)
        if not parts or variance == 0:
            return found
        statistic = max(largest_gain(part, min_segment) for part in parts) / variance
        df = len(series) - found - 2
        stays = [1 - sup_f_p_value(statistic, min_segment / len(part), df) for part in parts]
        if 1 - math.prod(stays) > alpha:
            return found
    return most
