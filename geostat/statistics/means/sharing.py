"""What is declared about the variance over seeds: each recipe's own, shared among recipes, or assumed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import xarray as xr

from geostat.errors import SampleError
from geostat.results.base import Scope
from geostat.statistics.means.sampling_error import (
    SamplingError,
    moderated_error,
    normal_error,
    own_error,
    pooled_error,
)
from geostat.statistics.means.scales import Scale
from geostat.statistics.runs.aggregation import RunValues, aggregate
from geostat.statistics.runs.arguments import Sample, Samples, Weighting, gather
from geostat.statistics.runs.groups import group_by_recipe
from geostat.statistics.runs.moments import Moments, moments

__all__ = ["SeedVariance", "VarianceName", "declare_variance", "refuse_paired_sharing"]

VarianceName = Literal["own", "pooled", "moderated"]

_DECLARED: dict[str, str] = {
    "pooled": "recipes share one seed variance at each cell: declared, not tested",
    "moderated": "recipes' seed variances are draws from one distribution, scaled inverse chi-squared: "
    "declared, not tested; coverage holds on average over recipes, and is less for one that varies more "
    "than the others",
}


@dataclass(frozen=True)
class SeedVariance:
    """The declaration of a call.

    Attributes
    ----------
    name : {"own", "pooled", "moderated"}
        Whose variance is used.
    recipes : tuple of str
        Recipes that share it; empty for ``"own"``.
    earlier : mapping of str to tuple of RunValues
        Per metric the earlier runs that share it too, recipe by recipe.
    assumed : mapping of str to float
        Per metric a standard deviation over seeds that is taken as known.
    """

    name: VarianceName
    recipes: tuple[str, ...] = ()
    earlier: Mapping[str, tuple[RunValues, ...]] = field(default_factory=dict)
    assumed: Mapping[str, float] = field(default_factory=dict)

    @property
    def shares(self) -> bool:
        """Whether a recipe's error rests on the runs of others."""
        return self.name != "own"

    @property
    def scope(self) -> Scope:
        """What an interval speaks about."""
        return "model-dependent" if self.assumed else "population of runs"

    def scope_of(self, cells: Mapping[str, xr.Dataset]) -> Scope:
        """What a contrast speaks about: without any interval, of the runs at hand alone."""
        answered = any(bool(own["low"].notnull().any()) for own in cells.values())
        return self.scope if answered else "descriptive"

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Sentences that a result adds to its own."""
        if self.assumed:
            return (
                "the standard deviation over seeds is the one that was passed; the data do not support it",
            )
        return (_DECLARED[self.name],) if self.shares else ()

    @property
    def words(self) -> str:
        """To follow the name of an interval; empty for own variances."""
        if self.assumed:
            told = ", ".join(f"{sd:g} ({metric})" for metric, sd in self.assumed.items())
            return f" with an assumed standard deviation over seeds of {told}"
        if not self.shares:
            return ""
        among = [*(self.recipes if len(self.recipes) <= 4 else [f"{len(self.recipes)} recipes"])]
        among += ["earlier runs"] if self.earlier else []
        how = "one seed variance pooled over" if self.name == "pooled" else "seed variances moderated over"
        return f" with {how} {', '.join(among)}"

    @property
    def settings(self) -> dict[str, Any]:
        """For the result."""
        told = {"variance": self.name, "variance_recipes": list(self.recipes), "earlier": bool(self.earlier)}
        return told | ({"assumed_seed_sd": dict(self.assumed)} if self.assumed else {})

    def interval_word(self, own: str) -> str:
        """Name the interval: the own variance's name, Student's, or the normal one.

        Parameters
        ----------
        own : str
            For example ``"Welch t-interval"``.

        Returns
        -------
        str
            Name for the method.
        """
        if self.assumed:
            return "normal interval"
        return "t-interval" if self.shares else own

    def error(
        self, parts: Sequence[Moments], others: Sequence[Moments], sample: Sample, scale: Scale
    ) -> SamplingError:
        """Error of a mean, or of a difference of two.

        Parameters
        ----------
        parts : sequence of Moments
            The group, or both.
        others : sequence of Moments
            Further recipes of the data.
        sample : Sample
            The metric.
        scale : Scale
            On which the moments were taken.

        Returns
        -------
        SamplingError
            NaN where none can be estimated.
        """
        if self.assumed:
            return normal_error(parts, self.assumed[sample.name])
        if not self.shares:
            return own_error(parts)
        like = parts[0].mean
        before = [
            _on_cells(moments(scale.forward(run.values), sample.sample_dim), like, sample)
            for run in self.earlier.get(sample.name, ())
        ]
        sharing = [*parts, *others, *before]
        return (
            pooled_error(parts, sharing)
            if self.name == "pooled"
            else moderated_error(range(len(parts)), sharing)
        )


def declare_variance(
    gathered: Samples,
    name: VarianceName,
    *,
    earlier: xr.DataArray | xr.Dataset | None = None,
    assumed_seed_sd: float | Mapping[str, float] | None = None,
    dim: str | None = None,
    sample_dim: str = "run",
    weighting: Weighting | None = None,
) -> SeedVariance:
    """Check what a call declares about the variance over seeds.

    Parameters
    ----------
    gathered : Samples
        The data of the call.
    name : {"own", "pooled", "moderated"}
        Argument ``variance``.
    earlier : xarray.DataArray or xarray.Dataset, optional
        Runs whose seed variance enters too, of the same metrics.
    assumed_seed_sd : float or mapping of str to float, optional
        Taken as known.
    dim, sample_dim, weighting
        As in the call.

    Returns
    -------
    SeedVariance
        For every metric of the call.

    Raises
    ------
    SampleError
        If the declaration contradicts itself, or nothing is there to share.
    """
    if name not in ("own", *_DECLARED):
        raise SampleError(f"variance={name!r} is not known. Pass 'own', 'pooled' or 'moderated'.")
    if assumed_seed_sd is not None:
        if name != "own" or earlier is not None:
            raise SampleError(
                "assumed_seed_sd takes the variance over seeds as known, so nothing is left to share. "
                "Leave out variance= and earlier=, or assumed_seed_sd=."
            )
        return SeedVariance(name, assumed=_assumed(gathered, assumed_seed_sd))
    if name == "own":
        if earlier is not None:
            raise SampleError(
                "earlier= lends seed variance to the recipes at hand, but variance='own' shares none. "
                "Pass variance='pooled' or variance='moderated'."
            )
        return SeedVariance(name)
    found = _recipes(gathered)
    runs = {} if earlier is None else _earlier(gathered, earlier, dim, sample_dim, weighting)
    if len(found) < 2 and not runs:
        raise SampleError(
            f"variance={name!r} shares the seed variance among recipes, but the data hold "
            f"{f'recipe {found[0]!r} alone' if found else 'no coordinate `recipe` along the runs'}. "
            "Pass the data of all recipes, or earlier runs with earlier=."
        )
    return SeedVariance(name, tuple(found), runs)


def refuse_paired_sharing(paired: bool, seeds: SeedVariance) -> None:
    """Refuse to lend the variance of runs to differences between runs.

    Parameters
    ----------
    paired : bool
        Argument of the call.
    seeds : SeedVariance
        What it declares.

    Raises
    ------
    SampleError
        If both are asked for.
    """
    if paired and (seeds.shares or seeds.assumed):
        raise SampleError(
            "paired=True takes the differences by seed as the sample, and their variance is not that of runs: "
            "it can be neither shared nor assumed from runs. Leave out paired=True, or the declaration."
        )


def _recipes(gathered: Samples) -> list[str]:
    groups = [group.recipe for sample in gathered.samples for group in group_by_recipe(sample)]
    return list(dict.fromkeys(recipe for recipe in groups if recipe is not None))


def _assumed(gathered: Samples, given: float | Mapping[str, float]) -> dict[str, float]:
    names = [sample.name for sample in gathered.samples]
    if not isinstance(given, Mapping) and len(names) > 1:
        raise SampleError(
            f"assumed_seed_sd={given!r} is one number for {len(names)} metrics ({', '.join(names)}), which "
            "have their own units. Pass {metric: standard deviation}."
        )
    each = dict(given) if isinstance(given, Mapping) else dict.fromkeys(names, given)
    if missing := [name for name in names if name not in each]:
        raise SampleError(f"assumed_seed_sd names no standard deviation for {', '.join(missing)}.")
    for name in names:
        if not (isinstance(each[name], int | float | np.number) and 0 < each[name] < math.inf):
            raise SampleError(
                f"assumed_seed_sd={each[name]!r} for {name} is no standard deviation: pass a positive number, "
                "on the scale of the interval."
            )
    return {name: float(each[name]) for name in names}


def _earlier(
    gathered: Samples,
    earlier: xr.DataArray | xr.Dataset,
    dim: str | None,
    sample_dim: str,
    weighting: Weighting | None,
) -> dict[str, tuple[RunValues, ...]]:
    found = gather(earlier, dim=dim, sample_dim=sample_dim, weighting=weighting)
    named = {sample.name: sample for sample in found.samples}
    if gathered.single and found.single:
        named = {gathered.samples[0].name: found.samples[0]}
    wanted = [sample.name for sample in gathered.samples]
    if missing := [name for name in wanted if name not in named]:
        raise SampleError(
            f"the earlier runs hold no {', '.join(missing)} (found {', '.join(named)}). "
            "Pass runs with the same metrics, or ask for those that both have."
        )
    return {
        name: tuple(aggregate(named[name], group.positions) for group in group_by_recipe(named[name]))
        for name in wanted
    }


def _on_cells(found: Moments, like: xr.DataArray, sample: Sample) -> Moments:
    """Bring earlier runs' moments onto the cells of the call; cells that they lack count no run."""
    beyond = [str(d) for d in found.n.dims if d not in like.dims]
    if beyond:
        raise SampleError(
            f"the earlier runs of {sample.name} have dimension {beyond[0]!r}, which the data at hand do not "
            f"have (found {[str(d) for d in like.dims]}). Select one {beyond[0]} of them first."
        )
    cells = {d: like.indexes[d] for d in found.n.dims if d in like.indexes and d in found.n.indexes}
    n = found.n.reindex(cells, fill_value=0)
    if not bool((n > 1).any()):
        raise SampleError(
            f"the earlier runs of {sample.name} have no cell with two runs among those of the data at hand: "
            "their steps or labels differ. Select common ones."
        )
    return Moments(
        n,
        found.mean.reindex(cells),
        found.variance.reindex(cells),
        found.identical.reindex(cells, fill_value=False),
        found.infinite.reindex(cells, fill_value=False),
    )
