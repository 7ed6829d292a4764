"""Monotone fit of means over ordered doses."""

from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Direction", "monotone_fit"]

Direction = Literal["increasing", "decreasing", "both"]
Array = npt.NDArray[np.float64]


def monotone_fit(means: Array, weights: Array, direction: Direction) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Weighted least-squares fit of a monotone curve, by pooling adjacent violators.

    Parameters
    ----------
    means : ndarray
        Cells by doses, in order of the dose; NaN where a dose has no run, which then takes no part.
    weights : ndarray
        Runs per dose, in the same shape.
    direction : {"increasing", "decreasing", "both"}
        Of the metric with the dose; with ``"both"`` the one that leaves the smaller sum of squares.

    Returns
    -------
    tuple of ndarray
        The fit, NaN where the means are, and whether it is the increasing one.

    References
    ----------
    :cite:t:`barlow1972`.
    """
    fits = np.full(means.shape, np.nan)
    rising = np.zeros(len(means), dtype=np.bool_)
    for cell, (row, weight) in enumerate(zip(means, weights, strict=True)):
        known = np.isfinite(row) & (weight > 0)
        if known.any():
            fits[cell, known], rising[cell] = _of_cell(row[known], weight[known], direction)
    return fits, rising


def _of_cell(means: Array, weights: Array, direction: Direction) -> tuple[Array, bool]:
    from scipy import optimize

    ways = {"increasing": (True,), "decreasing": (False,), "both": (True, False)}[direction]
    fits = {way: optimize.isotonic_regression(means, weights=weights, increasing=way).x for way in ways}
    best = min(fits, key=lambda way: float((weights * (means - fits[way]) ** 2).sum()))
    return fits[best], best
