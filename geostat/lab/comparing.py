"""Recipes compared by seed where some of their runs were lost."""

import numpy as np
import xarray as xr

from geostat.errors import SampleError

__all__ = ["common_seeds"]


def common_seeds(values: xr.DataArray, a: str, b: str) -> tuple[xr.DataArray, dict[str, list[int]]]:
    """Keep of two recipes the runs of seeds that both have.

    Parameters
    ----------
    values : xarray.DataArray
        Dim run, with coordinates recipe and seed.
    a, b : str
        Recipes.

    Returns
    -------
    xarray.DataArray
        Without the runs of these two that have no partner.
    dict of str to list of int
        Seeds that were left out, by recipe.

    Raises
    ------
    SampleError
        If a recipe has no run, or they have no seed in common.

    Examples
    --------
    >>> labels = {"recipe": ("run", ["a", "a", "b"]), "seed": ("run", [0, 1, 1])}
    >>> kept, left_out = common_seeds(xr.DataArray([1.0, 2.0, 3.0], dims="run", coords=labels), "a", "b")
    >>> kept.values.tolist(), left_out
    ([2.0, 3.0], {'a': [0]})
    """
    recipes, seeds = map(str, values["recipe"].values), map(int, values["seed"].values)
    runs = list(zip(recipes, seeds, strict=True))
    of = {name: {seed for recipe, seed in runs if recipe == name} for name in (a, b)}
    if lost := [name for name, found in of.items() if not found]:
        raise SampleError(
            f"no run of {' or '.join(lost)} was left. Lower its learning rate, or leave it out."
        )
    if not of[a] & of[b]:
        raise SampleError(f"{a} and {b} have no seed in common. Train more seeds.")
    left_out = {name: sorted(found - (of[a] & of[b])) for name, found in of.items()}
    kept = [recipe not in of or seed not in left_out[recipe] for recipe, seed in runs]
    return values.isel(run=np.flatnonzero(kept)), {name: each for name, each in left_out.items() if each}
