"""Two recipes set against each other, or one against a number: the difference on a scale and its error."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from geostat.errors import SampleError, UndefinedWarning
from geostat.statistics.means.sampling_error import SamplingError
from geostat.statistics.means.scales import SCALES, Scale, choose_scale
from geostat.statistics.means.sharing import SeedVariance
from geostat.statistics.runs.aggregation import RunValues, aggregate
from geostat.statistics.runs.arguments import Sample
from geostat.statistics.runs.confounding import confounding, mixed
from geostat.statistics.runs.groups import Group, group_by_recipe, recipe_group
from geostat.statistics.runs.moments import Moments, moments
from geostat.statistics.runs.repeats import Repeats, repeated_runs
from geostat.statistics.words.notices import Notice, matrices_left_out

__all__ = ["Contrast", "Noticed", "against_number", "bare", "between_recipes"]


@dataclass
class Noticed:
    """What is noticed while the metrics of a call are worked through.

    Attributes
    ----------
    notices : list of Notice
        In order.
    repeats : dict of str to list of Repeats
        Runs that agree, per recipe.
    """

    notices: list[Notice] = field(default_factory=list)
    repeats: dict[str, list[Repeats]] = field(default_factory=dict)


@dataclass(frozen=True)
class Contrast:
    """A difference on the scale and its error.

    Attributes
    ----------
    estimate : xarray.DataArray
        On the scale.
    error : SamplingError
        Of the estimate.
    sides : tuple of Moments
        Over the runs of each side; one side against a number.
    identical : xarray.DataArray
        Whether variation over seeds cannot be estimated because runs agree.
    run : RunValues
        One value per run, all sides.
    scale : Scale
        Used.
    n_all : tuple of int
        Runs of each side.
    """

    estimate: xr.DataArray
    error: SamplingError
    sides: tuple[Moments, ...]
    identical: xr.DataArray
    run: RunValues
    scale: Scale
    n_all: tuple[int, ...]


def between_recipes(
    sample: Sample,
    recipes: tuple[str, str],
    paired: bool,
    scale_name: str,
    seeds: SeedVariance,
    noticed: Noticed,
) -> Contrast:
    """Difference of two recipes.

    Parameters
    ----------
    sample : Sample
        One metric.
    recipes : tuple of str
        The first minus the second.
    paired : bool
        Whether runs with one seed belong together.
    scale_name : str
        As `choose_scale` takes it.
    seeds : SeedVariance
        What is declared.
    noticed : Noticed
        Added to.

    Returns
    -------
    Contrast
        With NaN error where there is none.

    Raises
    ------
    SampleError
        If a recipe is missing, or seeds do not match.
    """
    groups = [recipe_group(sample, recipe) for recipe in recipes]
    noticed.notices.extend([*confounding(sample, groups), *mixed(sample, groups)])
    order = [_by_seed(sample, group) for group in groups] if paired else [g.positions for g in groups]
    if paired:
        _check_seeds(sample, order, recipes)
    run = aggregate(sample, [*order[0], *order[1]])
    parts = [{sample.sample_dim: part} for part in (slice(0, len(order[0])), slice(len(order[0]), None))]
    for recipe, part in zip(recipes, parts, strict=True):
        own = repeated_runs(run.values.isel(part), sample.sample_dim)
        noticed.repeats.setdefault(f"recipe {recipe!r}: ", []).append(own)
    others = _others(sample, recipes) if seeds.shares else []
    scale = _scale(scale_name, sample, [run, *others], seeds, noticed)
    on_scale = _on_scale(run, scale, sample)
    sides = [on_scale.isel(part) for part in parts]
    noticed.notices.extend(_left_out(sample, recipes, run))
    counts = (len(order[0]), len(order[1]))
    if paired:
        return _paired(sides, run, scale, sample, seeds, counts)
    first, second = (moments(side, sample.sample_dim) for side in sides)
    further = [moments(_on_scale(other, scale, sample), sample.sample_dim) for other in others]
    with np.errstate(invalid="ignore"):
        difference = first.mean - second.mean
    error = seeds.error([first, second], further, sample, scale)
    identical = first.identical | second.identical
    return Contrast(difference, error, (first, second), identical, run, scale, counts)


def against_number(
    sample: Sample,
    recipe: str | None,
    reference: float,
    scale_name: str,
    seeds: SeedVariance,
    noticed: Noticed,
) -> Contrast:
    """Difference of a recipe and a number.

    Parameters
    ----------
    sample : Sample
        One metric.
    recipe : str or None
        None takes all runs, where the data do not say recipes or hold one.
    reference : float
        In the metric's units.
    scale_name : str
        As `choose_scale` takes it.
    seeds : SeedVariance
        What is declared.
    noticed : Noticed
        Added to.

    Returns
    -------
    Contrast
        With one side.

    Raises
    ------
    SampleError
        If the recipe is missing, was not said, or the reference does not lie on the scale.
    """
    group = _only_group(sample) if recipe is None else recipe_group(sample, recipe)
    noticed.notices.extend(mixed(sample, [group]))
    run = aggregate(sample, group.positions)
    whose = f"recipe {group.recipe!r}: " if group.recipe else ""
    noticed.repeats.setdefault(whose, []).append(repeated_runs(run.values, sample.sample_dim))
    others = _others(sample, (str(group.recipe),)) if seeds.shares else []
    scale = _scale(scale_name, sample, [run, *others], seeds, noticed)
    noticed.notices.extend(_left_out(sample, (group.recipe,) if group.recipe else (), run))
    own = moments(_on_scale(run, scale, sample), sample.sample_dim)
    further = [moments(_on_scale(other, scale, sample), sample.sample_dim) for other in others]
    error = seeds.error([own], further, sample, scale)
    difference = own.mean - _placed(reference, scale, sample)
    return Contrast(difference, error, (own,), own.identical, run, scale, (len(group.positions),))


def bare(array: xr.DataArray) -> xr.DataArray:
    """Drop coordinates of single runs: they do not describe a contrast.

    Parameters
    ----------
    array : xarray.DataArray
        Per cell.

    Returns
    -------
    xarray.DataArray
        Without them.
    """
    return array.drop_vars(["recipe", "seed", "run", "progress"], errors="ignore")


def _paired(
    sides: Sequence[xr.DataArray],
    run: RunValues,
    scale: Scale,
    sample: Sample,
    seeds: SeedVariance,
    counts: tuple[int, int],
) -> Contrast:
    both = sides[0].notnull() & sides[1].notnull()
    kept = [side.where(both) for side in sides]
    with np.errstate(invalid="ignore"):
        found = moments(kept[0] - kept[1], sample.sample_dim)
    first, second = (moments(side, sample.sample_dim) for side in kept)
    error = seeds.error([found], [], sample, scale)
    return Contrast(found.mean, error, (first, second), found.identical, run, scale, counts)


def _on_scale(run: RunValues, scale: Scale, sample: Sample) -> xr.DataArray:
    with np.errstate(invalid="ignore"):
        return bare(scale.forward(run.values)).drop_vars(sample.sample_dim, errors="ignore")


def _scale(
    name: str, sample: Sample, runs: Sequence[RunValues], seeds: SeedVariance, noticed: Noticed
) -> Scale:
    if name == "auto" and seeds.assumed:
        return SCALES["identity"]
    values = [run.values for run in [*runs, *seeds.earlier.get(sample.name, ())]]
    scale, fallback = choose_scale(name, values, sample.name, sample.variable)
    noticed.notices.extend([Notice(UndefinedWarning, fallback)] if fallback else [])
    return scale


def _others(sample: Sample, recipes: Sequence[str]) -> list[RunValues]:
    """Further recipes of the data, each averaged over its own matrices."""
    groups = [group for group in group_by_recipe(sample) if str(group.recipe) not in recipes]
    return [aggregate(sample, group.positions) for group in groups]


def _only_group(sample: Sample) -> Group:
    groups = group_by_recipe(sample)
    if len(groups) > 1:
        raise SampleError(
            f"the data hold {len(groups)} recipes ({', '.join(str(g.recipe) for g in groups)}), and none was "
            "named to be set against the reference. Name one: equivalence(data, 'opd', reference=...)."
        )
    return groups[0]


def _placed(reference: float, scale: Scale, sample: Sample) -> float:
    with np.errstate(invalid="ignore", divide="ignore"):
        placed = float(scale.forward(np.float64(reference)))
    if not np.isfinite(placed):
        raise SampleError(
            f"reference={reference!r} for {sample.name} has no place on the {scale.name} scale. "
            "Pass a reference inside the metric's range, or scale='identity'."
        )
    return placed


def _by_seed(sample: Sample, group: Group) -> tuple[int, ...]:
    seeds = sample.values.coords.get("seed")
    if seeds is None or seeds.dims != (sample.sample_dim,):
        raise SampleError(
            f"paired=True, but the data have no coordinate `seed` along {sample.sample_dim!r}. "
            "Attach it with data.assign_coords(seed=(...)), or compare unpaired."
        )
    return tuple(sorted(group.positions, key=lambda position: seeds.values[position]))


def _check_seeds(sample: Sample, order: Sequence[Sequence[int]], recipes: tuple[str, str]) -> None:
    seeds = [sample.values["seed"].values[list(positions)].tolist() for positions in order]
    if seeds[0] != seeds[1] or len(set(seeds[0])) != len(seeds[0]):
        raise SampleError(
            f"paired=True, but recipe {recipes[0]!r} has seeds {seeds[0]} and {recipes[1]!r} has {seeds[1]}. "
            "Each seed must occur once in both: select common seeds, or compare unpaired."
        )


def _left_out(sample: Sample, recipes: Sequence[str | None], run: RunValues) -> list[Notice]:
    if not run.undefined:
        return []
    whose = f" of {' or '.join(map(repr, recipes))}" if recipes else ""
    everywhere = "both" if len(recipes) > 1 else "all"
    why = f"in some run{whose} and are left out of {everywhere} there"
    return [matrices_left_out(sample.name, run.undefined, sample.n_matrices, why)]
