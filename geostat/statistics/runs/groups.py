"""Runs grouped by recipe, and the coordinates that survive the grouping."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from geostat.errors import SampleError
from geostat.statistics.runs.aggregation import RunValues
from geostat.statistics.runs.arguments import Sample
from geostat.statistics.words.notices import Notice, matrices_left_out

__all__ = ["Group", "group_by_recipe", "joined_recipes", "left_out_of", "recipe_group", "with_progress"]


@dataclass(frozen=True)
class Group:
    """Runs of one recipe.

    Attributes
    ----------
    recipe : str or None
        None when the data do not say.
    positions : tuple of int
        Along the sample dimension.
    """

    recipe: str | None
    positions: tuple[int, ...]


def group_by_recipe(sample: Sample) -> list[Group]:
    """Split the runs of a sample by coordinate ``recipe``, in order of appearance.

    Parameters
    ----------
    sample : Sample
        One metric.

    Returns
    -------
    list of Group
        One group of all runs when there is no such coordinate along the runs.
    """
    count = sample.values.sizes[sample.sample_dim]
    recipes = sample.values.coords.get("recipe")
    if recipes is None or recipes.dims != (sample.sample_dim,):
        return [Group(None, tuple(range(count)))]
    found: dict[str, list[int]] = {}
    for position, recipe in enumerate(recipes.values.tolist()):
        found.setdefault(str(recipe), []).append(position)
    return [Group(recipe, tuple(positions)) for recipe, positions in found.items()]


def recipe_group(sample: Sample, recipe: str) -> Group:
    """Find the runs of one recipe.

    Parameters
    ----------
    sample : Sample
        One metric.
    recipe : str
        Its name.

    Returns
    -------
    Group
        Its runs.

    Raises
    ------
    SampleError
        If there is no such recipe.
    """
    if not isinstance(recipe, str):
        raise SampleError(f"recipe {recipe!r} is a {type(recipe).__name__}. Pass its name as text.")
    groups = {group.recipe: group for group in group_by_recipe(sample) if group.recipe is not None}
    if not groups:
        alone = sample.values.coords.get("recipe")
        if alone is not None and not alone.dims:
            raise SampleError(
                f"recipe {recipe!r} was to be compared with another, but recipe {str(alone.item())!r} alone was "
                "selected from the data before. Pass the data of both recipes."
            )
        raise SampleError(
            f"recipe {recipe!r} was asked for, but {sample.name} has no coordinate `recipe` along "
            f"{sample.sample_dim!r}. Combine the runs with geostat.combine({{('opd', 0): store, ...}})."
        )
    if recipe not in groups:
        raise SampleError(f"recipe {recipe!r} is not among {sorted(map(str, groups))}. Pass one of these.")
    return groups[recipe]


def joined_recipes(parts: Sequence[xr.Dataset], groups: Sequence[Group]) -> xr.Dataset:
    """Put the cells of recipes side by side.

    Parameters
    ----------
    parts : sequence of xarray.Dataset
        Cells of each recipe.
    groups : sequence of Group
        The recipes, in that order.

    Returns
    -------
    xarray.Dataset
        Along ``recipe``, unless the data do not say recipes.
    """
    if groups[0].recipe is None:
        return parts[0]
    names = np.array([group.recipe for group in groups], dtype=np.dtypes.StringDType())
    bare = [part.drop_vars("recipe", errors="ignore") for part in parts]
    joined = xr.concat(bare, dim="recipe", data_vars="all", coords="minimal", compat="override", join="exact")
    return joined.assign_coords(recipe=names)


def left_out_of(sample: Sample, group: Group, run: RunValues) -> list[Notice]:
    """Say which matrices the averages of a recipe's runs leave out.

    Parameters
    ----------
    sample : Sample
        One metric.
    group : Group
        The recipe.
    run : RunValues
        Its averages.

    Returns
    -------
    list of Notice
        Empty where none is left out.
    """
    if not run.undefined:
        return []
    what = f"{sample.name} of recipe {group.recipe!r}" if group.recipe else sample.name
    cells = int((run.n_undefined > 0).sum())
    why = f"in some run at {cells} of {run.n_undefined.size} cells and are left out of all runs there"
    return [matrices_left_out(what, run.undefined, sample.n_matrices, why)]


def with_progress(cells: xr.Dataset, sample: Sample, groups: Sequence[Group]) -> xr.Dataset:
    """Attach `progress` again where all runs of a recipe agree on it.

    Parameters
    ----------
    cells : xarray.Dataset
        Arrays over recipe, step and others.
    sample : Sample
        Where they come from.
    groups : sequence of Group
        The recipes, in the order of the cells.

    Returns
    -------
    xarray.Dataset
        With `progress` along step, or along (recipe, step), or without it.
    """
    progress = sample.values.coords.get("progress")
    bare = cells.drop_vars("progress", errors="ignore")
    if progress is None or "step" not in bare.dims or "step" not in progress.dims:
        return bare
    if sample.sample_dim not in progress.dims:
        return bare.assign_coords(progress=progress.drop_vars(_others(progress)))
    shared = {group: _shared(progress, sample.sample_dim, group) for group in groups}
    if any(value is None for value in shared.values()):
        return bare
    return bare.assign_coords(progress=_stacked(shared))


def _others(array: xr.DataArray) -> list[str]:
    return [str(name) for name in array.coords if name not in array.dims]


def _shared(progress: xr.DataArray, sample_dim: str, group: Group) -> np.ndarray | None:
    values = progress.isel({sample_dim: list(group.positions)}).transpose(sample_dim, "step").values
    first = np.array([next((v for v in column if not np.isnan(v)), np.nan) for column in values.T])
    agree = np.isclose(values, first, rtol=1e-9, atol=1e-12) | np.isnan(values)
    return first if agree.all() else None


def _stacked(shared: Mapping[Group, np.ndarray | None]) -> tuple[tuple[str, ...], np.ndarray]:
    rows = [row for row in shared.values() if row is not None]
    if next(iter(shared)).recipe is None or np.allclose(rows, rows[0], rtol=1e-9, equal_nan=True):
        return ("step",), rows[0]
    return ("recipe", "step"), np.stack(rows)
