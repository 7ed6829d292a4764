"""Coverage, width, size and power of a cell, each with its Monte Carlo standard error."""

import math

import numpy as np

from geostat.statistics.calibration.answers import Array, Scores

__all__ = ["QUANTITIES", "figures", "median_with_error", "share_with_error"]

QUANTITIES = {
    "coverage": "Share of intervals that contain the truth",
    "width_median": "Median width of the intervals",
    "width_mean": "Mean width of the intervals",
    "answered": "Share of questions that were answered with an interval",
    "declared": "Share of studies in which the claim was declared",
    "size": "Share of false declarations where there is nothing to declare",
    "power": "Share of declarations where the claim is true",
}
"""What a calibration holds, and what each means."""


def figures(scores: Scores, null: bool | None) -> dict[str, float]:
    """All quantities of a cell and their errors.

    Parameters
    ----------
    scores : Scores
        Per replicate.
    null : bool or None
        Whether every declaration is an error; None where that is not known.

    Returns
    -------
    dict
        Quantity and quantity + ``_error``; NaN where it does not apply.
    """
    declared = share_with_error(scores.declared)
    nothing = (math.nan, math.nan)
    found = {
        "coverage": share_with_error(scores.covered),
        "width_median": median_with_error(scores.width),
        "width_mean": _mean_with_error(scores.width),
        "answered": share_with_error(scores.answered),
        "declared": declared,
        "size": declared if null is True else nothing,
        "power": declared if null is False else nothing,
    }
    return {name: value for name, (value, _) in found.items()} | {
        f"{name}_error": error for name, (_, error) in found.items()
    }


def share_with_error(hits: Array) -> tuple[float, float]:
    """Mean of shares in [0, 1], with its Monte Carlo standard error.

    Where all or none hit, the error is that of half a hit, so that it is never 0.

    Parameters
    ----------
    hits : ndarray
        One share per replicate; NaN is left out.

    Returns
    -------
    tuple of float
        NaN where there is none.
    """
    known = hits[~np.isnan(hits)]
    if not known.size:
        return math.nan, math.nan
    least = 0.5 / known.size
    floor = math.sqrt(least * (1 - least) / known.size)
    return float(known.mean()), max(float(known.std()) / math.sqrt(known.size), floor)


def _mean_with_error(values: Array) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not known.size:
        return math.nan, math.nan
    if np.isinf(known).any():
        return math.inf, math.nan
    error = float(known.std(ddof=1)) / math.sqrt(known.size) if known.size > 1 else math.nan
    return float(known.mean()), error


def median_with_error(values: Array) -> tuple[float, float]:
    """Median, with half the distance of the order statistics one standard error of rank away.

    Parameters
    ----------
    values : ndarray
        One per replicate; NaN is left out.

    Returns
    -------
    tuple of float
        The error is NaN where one of these order statistics is infinite.
    """
    known = np.sort(values[~np.isnan(values)])
    if not known.size:
        return math.nan, math.nan
    reach = math.sqrt(known.size) / 2
    last = known.size - 1
    below, above = (known[int(np.clip(round(last / 2 + sign * reach), 0, last))] for sign in (-1, 1))
    middle = float(np.median(known)) if np.isfinite(known).all() else float(known[math.ceil(last / 2)])
    return middle, float(above - below) / 2 if math.isfinite(above) and math.isfinite(below) else math.nan
