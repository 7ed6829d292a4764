"""Curves of runs, recipe by recipe, and what is wrong with them as a sample."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from geostat.errors import GeostatWarning
from geostat.statistics.locking.bands import Band
from geostat.statistics.locking.curves import RunCurves, infinite_values, run_curves
from geostat.statistics.runs.arguments import Sample, Samples
from geostat.statistics.runs.confounding import mixed
from geostat.statistics.runs.groups import Group, group_by_recipe
from geostat.statistics.runs.repeats import Repeats, repeated_runs, repeats_notices
from geostat.statistics.words.notices import Notice

__all__ = [
    "RecipeCurves",
    "average_in_words",
    "doubtful_curves",
    "gathered_curves",
    "joined",
    "per_recipe",
    "runs_of",
]


@dataclass(frozen=True)
class RecipeCurves:
    """Curves of one metric, and which runs belong to which recipe.

    Attributes
    ----------
    sample : Sample
        The metric.
    curves : RunCurves
        Of all runs.
    groups : tuple of Group
        Recipes in order of appearance.
    """

    sample: Sample
    curves: RunCurves
    groups: tuple[Group, ...]


def gathered_curves(
    gathered: Samples, training_steps: float | None
) -> tuple[dict[str, RecipeCurves], list[Notice]]:
    """Curves of every metric of a call, with all that was noticed about the data.

    Parameters
    ----------
    gathered : Samples
        What `gather` gave.
    training_steps : float or None
        Declared length of training.

    Returns
    -------
    tuple of dict and list of Notice
        Per metric its curves; notices on units, left-out matrices, mixed and repeated runs.
    """
    notices, repeats = list(gathered.notices), dict[str, list[Repeats]]()
    found = {}
    for sample in gathered.samples:
        curves, noticed = run_curves(sample, training_steps)
        groups = tuple(group_by_recipe(sample))
        notices += [*noticed, *mixed(sample, groups)]
        for group in groups:
            whose = f"recipe {group.recipe!r}: " if group.recipe else ""
            own = curves.values.isel({sample.sample_dim: list(group.positions)})
            repeats.setdefault(whose, []).append(repeated_runs(own, sample.sample_dim))
        found[sample.name] = RecipeCurves(sample, curves, groups)
    return found, list(dict.fromkeys([*notices, *repeats_notices(repeats)]))


def runs_of(curves: RunCurves, group: Group, sample_dim: str) -> RunCurves:
    """Curves of one recipe.

    Parameters
    ----------
    curves : RunCurves
        Of all runs.
    group : Group
        The recipe.
    sample_dim : str
        Dimension of runs.

    Returns
    -------
    RunCurves
        Of its runs.
    """
    chosen = {sample_dim: list(group.positions)}
    steps = tuple(curves.training_steps[i] for i in group.positions)
    own = curves.n_matrices.isel(chosen) if sample_dim in curves.n_matrices.dims else curves.n_matrices
    return RunCurves(curves.values.isel(chosen), own, steps)


def per_recipe(
    runs: xr.Dataset,
    groups: Sequence[Group],
    sample_dim: str,
    infer: Callable[[xr.Dataset, Group], xr.Dataset],
) -> xr.Dataset:
    """Infer from the runs of every recipe, and join what is found along ``recipe``.

    Parameters
    ----------
    runs : xarray.Dataset
        One value per run and cell.
    groups : sequence of Group
        The recipes.
    sample_dim : str
        Dimension of runs.
    infer : callable
        Takes the runs of a recipe and the recipe, gives arrays without runs.

    Returns
    -------
    xarray.Dataset
        With dim ``recipe`` where the data name recipes.
    """
    parts = [infer(runs.isel({sample_dim: list(group.positions)}), group) for group in groups]
    return joined(parts, groups)


def joined(parts: Sequence[xr.Dataset], groups: Sequence[Group]) -> xr.Dataset:
    """Join what was found for every recipe.

    Parameters
    ----------
    parts : sequence of xarray.Dataset
        One per recipe.
    groups : sequence of Group
        The recipes.

    Returns
    -------
    xarray.Dataset
        With dim ``recipe`` where the data name recipes.
    """
    if groups[0].recipe is None:
        return parts[0]
    names = np.array([group.recipe for group in groups], dtype=np.dtypes.StringDType())
    bare = [part.drop_vars("recipe", errors="ignore") for part in parts]
    whole = xr.concat(bare, dim="recipe", data_vars="all", coords="minimal", compat="override", join="exact")
    return whole.assign_coords(recipe=names)


def doubtful_curves(found: Mapping[str, RecipeCurves], band: Band) -> list[Notice]:
    """Notices about curves of which a band says less than it seems.

    Parameters
    ----------
    found : mapping of str to RecipeCurves
        Per metric its curves.
    band : Band
        The declared band; a threshold has no margin.

    Returns
    -------
    list of Notice
        Metrics with infinite values; metrics whose curves all lie in the band throughout, its margin
        exceeding their range.
    """
    infinite = [notice for name, own in found.items() for notice in infinite_values(name, own.curves)]
    return infinite + _wide_margins(found, band)


def _wide_margins(found: Mapping[str, RecipeCurves], band: Band) -> list[Notice]:
    if not band.margin:
        return []
    told = []
    for name, curves in found.items():
        values = curves.curves.values
        flat = (values.max("step") - values.min("step") <= band.margin) & (values.count("step") > 1)
        if isinstance(band.reference, float | int):
            flat &= (abs(values - band.reference) <= band.margin).any("step")
        if bool(flat.all()):
            text = (
                f"{name}: no curve varies by more than the margin {band.margin:g} over the whole run, so being in the "
                "band says nothing. Declare a smaller margin."
            )
            told.append(Notice(GeostatWarning, text))
    return told


def average_in_words(gathered: Samples) -> str:
    """Say what a run's curve is, per metric.

    Parameters
    ----------
    gathered : Samples
        What `gather` gave.

    Returns
    -------
    str
        ``"stable_rank: its unweighted mean over matrices"``.
    """
    return "; ".join(f"{sample.name}: {sample.average}" for sample in gathered.samples)
