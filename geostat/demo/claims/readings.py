"""Figures of recorded runs: one number a run, means over seeds, and contrasts of recipes paired by seed."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import xarray as xr

from geostat.demo.claims.claim import Figure, Role
from geostat.statistics import compare, equivalence, mean_ci

__all__ = ["ALPHA", "contrast", "means", "of_runs", "only", "same", "spread"]

Data = TypeVar("Data", xr.DataArray, xr.Dataset)

ALPHA = 0.3
"""Of masks, as in the published table."""
WEIGHTED = "update_sparsity"
"""Over all entries of all matrices, as published; everything else is averaged over matrices."""


def of_runs(runs: xr.Dataset, metric: str, *, at: float = 1.0, side: str | None = None) -> xr.DataArray:
    """One number for each run.

    Parameters
    ----------
    runs : xarray.Dataset
        Combined.
    metric : str
        Of it.
    at : float
        Share of training: the first checkpoint from there on.
    side : str, optional
        Of what has two; their mean by default.

    Returns
    -------
    xarray.DataArray
        Dim run.
    """
    values = runs[metric]
    if "step" in values.dims:
        progress = runs["progress"].transpose("run", "step").values
        place = [int(np.flatnonzero(row >= at - 1e-9)[0]) for row in progress]
        values = values.isel(step=xr.DataArray(place, dims="run"))
    if "alpha" in values.dims:
        values = values.sel(alpha=ALPHA, drop=True)
    if "side" in values.dims:
        values = values.mean("side") if side is None else values.sel(side=side, drop=True)
    if "matrix" in values.dims:
        entries = runs["rows"] * runs["cols"] if metric == WEIGHTED else xr.ones_like(runs["rows"])
        values = values.weighted(entries).mean("matrix")
    return values.reset_coords(drop=True).rename(metric).assign_attrs(units="1").pipe(_labelled, runs)


def _labelled(values: xr.DataArray, runs: xr.Dataset) -> xr.DataArray:
    return values.assign_coords({name: ("run", runs[name].values) for name in ("run", "recipe", "seed")})


def means(values: xr.DataArray, recipes: Sequence[str], told: str) -> list[Figure]:
    """Mean over seeds of each recipe.

    Parameters
    ----------
    values : xarray.DataArray
        Dim run.
    recipes : sequence of str
        Which.
    told : str
        Words, to which the recipe is added.

    Returns
    -------
    list of Figure
        One for each recipe.
    """
    found = {row["recipe"]: row for row in mean_ci(only(values, recipes), dim=None, scale="identity").rows()}
    return [
        Figure(f"{told}: {recipe}", row["estimate"], row["low"], row["high"], row["n_runs"])
        for recipe in recipes
        for row in [found[recipe]]
    ]


def contrast(
    values: xr.DataArray, a: str, b: str, told: str, *, sign: int = 0, role: Role = "claim"
) -> Figure:
    """Difference of two recipes, paired by seed.

    Parameters
    ----------
    values : xarray.DataArray
        Dim run.
    a, b : str
        Recipes.
    told : str
        Words, to which the recipes are added.
    sign : int
        Which sign is claimed: 1, -1, or 0 for none.
    role : str
        See `Figure`.

    Returns
    -------
    Figure
        Mean difference.
    """
    (row,) = compare(only(values, (a, b)), a, b, dim=None, paired=True, scale="identity").rows()
    low, high = sorted((sign * row["low"], sign * row["high"])) if sign else (np.nan, np.nan)
    holds = True if low > 0 else False if high < 0 else None
    return Figure(f"{told}: {a} less {b}", row["estimate"], row["low"], row["high"], row["n_a"], role, holds)


def same(values: xr.DataArray, a: str, b: str, told: str, *, margin: float, role: Role = "claim") -> Figure:
    """Difference of two recipes that is claimed to be within a margin, paired by seed.

    Parameters
    ----------
    values, a, b, told, role
        As in `contrast`.
    margin : float
        Largest difference that does not matter.

    Returns
    -------
    Figure
        With the 90% interval that two one-sided tests at 5% rest on. It holds where they say so, and does not
        where the interval lies beyond the margin.
    """
    (row,) = equivalence(only(values, (a, b)), a, b, margin=margin, dim=None, paired=True).rows()
    outcome = {"equivalent": True, "different": False}.get(str(row["outcome"]))
    words = f"{told}: {a} less {b} (90% interval; margin {margin:g})"
    return Figure(words, row["estimate"], row["low"], row["high"], row["n_a"], role, outcome)


def spread(figure: Figure, low: float, high: float) -> Figure:
    """A figure that is claimed to lie between two values."""
    holds = True if low <= figure.low and figure.high <= high else None
    if figure.high < low or figure.low > high:
        holds = False
    return Figure(
        figure.what, figure.estimate, figure.low, figure.high, figure.n, "claim", holds, figure.published
    )


def only(values: Data, recipes: Sequence[str]) -> Data:
    """Runs of some recipes.

    Parameters
    ----------
    values : xarray.DataArray or xarray.Dataset
        With dim run.
    recipes : sequence of str
        Which.

    Returns
    -------
    xarray.DataArray or xarray.Dataset
        The same, of fewer runs.
    """
    return values.isel(run=[i for i, name in enumerate(values["recipe"].values) if str(name) in recipes])
