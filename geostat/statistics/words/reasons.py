"""Why a cell has no interval, in words that say what to do."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from geostat.statistics.runs.moments import Moments

__all__ = [
    "IDENTICAL",
    "NO_COMMON_MATRIX",
    "NO_VALUE",
    "comparison_reasons",
    "mean_reasons",
    "one_run",
    "text_array",
]

NO_VALUE = "no run has a value here"
NO_COMMON_MATRIX = (
    "no matrix has a value in every run here: compare fewer runs or look at the matrices one by one"
)
INFINITE = "a run's value is infinite: leave the matrix out with data.where(np.isfinite(data))"
IDENTICAL = "the runs hold identical values, so variation between seeds cannot be estimated"

Reasons = list[tuple[xr.DataArray, str]]
"""Conditions and their texts; the first that holds is told."""


def one_run(n_all: int, whose: str = "") -> str:
    """Why one run has no interval.

    Parameters
    ----------
    n_all : int
        Runs of the recipe, of which one has a value at the cell.
    whose : str
        `` of recipe 'opd'`` or nothing.

    Returns
    -------
    str
        The reason and the remedy.
    """
    found = f"one run{whose}" if n_all == 1 else f"only one of {n_all} runs{whose} has a value here"
    return (
        f"{found}: variation from seed to seed cannot be estimated, so there is no interval; "
        "add runs with other seeds (three or more)"
    )


def mean_reasons(found: Moments, n_undefined: xr.DataArray, n_all: int, *, assumed: bool = False) -> Reasons:
    """Reasons for the cells of a mean.

    Parameters
    ----------
    found : Moments
        Over runs.
    n_undefined : xarray.DataArray
        Matrices left out per cell.
    n_all : int
        Runs of the recipe.
    assumed : bool
        Whether the standard deviation over seeds was passed, so that none need be estimated.

    Returns
    -------
    list of tuple
        Conditions and texts.
    """
    without_value = [
        ((found.n == 0) & (n_undefined > 0), NO_COMMON_MATRIX),
        (found.n == 0, NO_VALUE),
        (found.infinite, INFINITE),
    ]
    unknown = [(found.n == 1, one_run(n_all)), (found.identical, IDENTICAL)]
    return without_value if assumed else without_value + unknown


def text_array(like: xr.DataArray, reasons: Reasons) -> xr.DataArray:
    """Array of texts: the first reason that holds, or an empty text.

    Parameters
    ----------
    like : xarray.DataArray
        Gives shape and coordinates.
    reasons : list of tuple
        Conditions and texts.

    Returns
    -------
    xarray.DataArray
        Variable-length strings.
    """
    texts = np.full(like.shape, "", dtype=object)
    for condition, text in reversed(reasons):
        texts[condition.broadcast_like(like).transpose(*like.dims).values] = text
    texts = texts.astype(np.dtypes.StringDType())
    return like.copy(data=texts).drop_attrs(deep=False).rename(None)


def comparison_reasons(
    sides: Sequence[Moments],
    identical: xr.DataArray,
    n_undefined: xr.DataArray,
    recipes: Sequence[str],
    n_all: Sequence[int],
    *,
    assumed: bool = False,
) -> Reasons:
    """Reasons for the cells of a comparison.

    Parameters
    ----------
    sides : sequence of Moments
        Over the runs of a and of b.
    identical : xarray.DataArray
        Whether variation cannot be estimated.
    n_undefined : xarray.DataArray
        Matrices left out per cell.
    recipes : sequence of str
        Names of a and b.
    n_all : sequence of int
        Runs of a and b.
    assumed : bool
        Whether the standard deviation over seeds was passed, so that none need be estimated.

    Returns
    -------
    list of tuple
        Conditions and texts.
    """
    nothing = (sides[0].n == 0) & (sides[1].n == 0)
    pairs = list(zip(sides, recipes, n_all, strict=True))
    without_value = [
        (nothing & (n_undefined > 0), NO_COMMON_MATRIX),
        *((side.n == 0, f"no run of recipe {recipe!r} has a value here") for side, recipe, _ in pairs),
        (sides[0].infinite | sides[1].infinite, INFINITE),
    ]
    unknown = [
        *((side.n == 1, one_run(count, f" of recipe {recipe!r}")) for side, recipe, count in pairs),
        (identical, IDENTICAL),
    ]
    return without_value if assumed else without_value + unknown
