"""One recipe, its boundaries, and the readings of its runs: everything that a verdict is computed from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import xarray as xr

from geostat.errors import UndefinedWarning
from geostat.statistics.means.scales import Scale, choose_scale
from geostat.statistics.regimes.boundaries import Boundaries, MetricCuts
from geostat.statistics.regimes.matching import at_displacement, common_displacement
from geostat.statistics.runs.aggregation import aggregate
from geostat.statistics.runs.arguments import Sample
from geostat.statistics.words.notices import Notice, matrices_left_out

__all__ = ["Curves", "Question", "Readings", "curves_of", "read"]


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of every recipe.

    Attributes
    ----------
    samples : mapping of str to Sample
        The declared metrics that can be compared.
    distance : Sample or None
        Displacement at which runs are matched; None to read every run at its end.
    boundaries : Boundaries
        Of a file; with own references only its scales, directions and default set count.
    references : mapping of str to str
        Regime -> recipe, in the order of the regimes; empty with published boundaries.
    level : float
        Confidence level.
    assumed : mapping of str to float
        Standard deviation over seeds that is taken as known, per metric, on its scale.
    sample_dim : str
        Runs.
    """

    samples: Mapping[str, Sample]
    distance: Sample | None
    boundaries: Boundaries
    references: Mapping[str, str]
    level: float
    assumed: Mapping[str, float]
    sample_dim: str

    @property
    def regimes(self) -> tuple[str, ...]:
        """Regimes between which the verdict chooses, in order."""
        return tuple(self.references) or self.boundaries.regimes

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that the verdict rests on."""
        return tuple(self.samples)

    def facts(self, name: str) -> MetricCuts:
        """What the file says of a metric; nothing where it does not know it."""
        return self.boundaries.metrics.get(name) or MetricCuts(name=name)

    def without_metric(self, name: str) -> Self:
        """The same question without one metric."""
        return replace(self, samples={key: s for key, s in self.samples.items() if key != name})

    def without_checkpoint(self, name: str) -> Self:
        """The same question with boundaries refitted without one published checkpoint."""
        metrics = self.boundaries.metrics.items()
        refitted = {key: cuts.without(name, self.boundaries.regimes) for key, cuts in metrics}
        return replace(self, boundaries=replace(self.boundaries, metrics=refitted))


@dataclass(frozen=True, eq=False)
class Curves:
    """Runs of a recipe and of its references, averaged over the same matrices.

    Attributes
    ----------
    values : mapping of str to xarray.DataArray
        Per metric, over runs, steps and others.
    distance : xarray.DataArray or None
        Displacement.
    own : tuple of int
        Places of the recipe's runs along the sample dimension of these arrays.
    references : tuple of tuple of int
        Places of the runs of each reference.
    notices : tuple of Notice
        Matrices left out.
    """

    values: Mapping[str, xr.DataArray]
    distance: xr.DataArray | None
    own: tuple[int, ...]
    references: tuple[tuple[int, ...], ...]
    notices: tuple[Notice, ...] = ()

    def without_run(self, place: int) -> Self:
        """The same runs but one of a reference."""
        left = tuple(tuple(i for i in runs if i != place) for runs in self.references)
        return replace(self, references=left)

    @property
    def places(self) -> list[int]:
        """Places of all runs that count."""
        return [*self.own, *(i for runs in self.references for i in runs)]


def curves_of(
    question: Question, own: Sequence[int], references: Sequence[Sequence[int]], whose: str
) -> Curves:
    """Average the runs of a recipe and of its references over matrices.

    Parameters
    ----------
    question : Question
        With the metrics.
    own, references : sequence of int
        Positions of runs in the data.
    whose : str
        The recipe, for messages.

    Returns
    -------
    Curves
        In memory.
    """
    positions = [*own, *(i for runs in references for i in runs)]
    found = {name: aggregate(sample, positions) for name, sample in question.samples.items()}
    why = "in some run that is compared and are left out there"
    notices = [
        matrices_left_out(f"{name}{whose}", run.undefined, question.samples[name].n_matrices, why)
        for name, run in found.items()
        if run.undefined
    ]
    distance = None if question.distance is None else aggregate(question.distance, positions).values
    ends = np.cumsum([len(own), *(len(runs) for runs in references)])
    places = [tuple(range(a, b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    values = {name: run.values for name, run in found.items()}
    return Curves(values, distance, places[0], tuple(places[1:]), tuple(notices))


@dataclass(frozen=True, eq=False)
class Readings:
    """One value per run and metric.

    Attributes
    ----------
    values : xarray.DataArray
        Dims metric, runs and whatever any metric has left; on the metrics' scales.
    dims : mapping of str to tuple of str
        Dimensions that a metric itself has left.
    scales : mapping of str to Scale
        Scales used.
    displacement : xarray.DataArray
        At which the runs were read; NaN where each was read at its end.
    notices : tuple of Notice
        From matching and scales.
    """

    values: xr.DataArray
    dims: Mapping[str, tuple[str, ...]]
    scales: Mapping[str, Scale]
    displacement: xr.DataArray
    notices: tuple[Notice, ...]

    @property
    def cell(self) -> xr.DataArray:
        """Template of what is left: one value per verdict."""
        (_, sample_dim, *_) = self.values.dims
        return self.values.isel({"metric": 0, sample_dim: 0}, drop=True)


def read(question: Question, curves: Curves) -> Readings:
    """Read every metric of every run where runs are compared.

    Parameters
    ----------
    question : Question
        With one metric or more.
    curves : Curves
        The runs.

    Returns
    -------
    Readings
        On the metrics' scales.
    """
    target, natural, notices = _natural(question, curves)
    scales, told, found = {}, [], {}
    for name in question.metrics:
        scales[name], fallback = choose_scale(question.facts(name).scale, [natural[name]], name)
        told += [Notice(UndefinedWarning, fallback)] if fallback else []
        with np.errstate(divide="ignore"):
            found[name] = scales[name].forward(natural[name])
    dims = {
        name: tuple(str(d) for d in array.dims if d != question.sample_dim) for name, array in found.items()
    }
    table = xr.concat(xr.broadcast(*found.values()), dim="metric", coords="minimal", compat="override")
    ordered = table.transpose("metric", question.sample_dim, ...).rename(None).drop_attrs()
    return Readings(ordered, dims, scales, target, (*notices, *told))


def _natural(
    question: Question, curves: Curves
) -> tuple[xr.DataArray, dict[str, xr.DataArray], list[Notice]]:
    if curves.distance is None:
        return xr.DataArray(np.nan), {name: _bare(at_end(curve)) for name, curve in curves.values.items()}, []
    counted = curves.distance.isel({question.sample_dim: curves.places})
    target = _bare(common_displacement(counted, question.sample_dim))
    distance = _only_steps(curves.distance)
    found = {
        name: at_displacement(_only_steps(curve), distance, target, question.facts(name).scale, name)
        for name, curve in curves.values.items()
    }
    notices = [notice for each in found.values() for notice in each.notices]
    return target, {name: _bare(each.values) for name, each in found.items()}, notices


def at_end(curve: xr.DataArray) -> xr.DataArray:
    """Take each run at its last checkpoint that has a value.

    Parameters
    ----------
    curve : xarray.DataArray
        Over runs, perhaps steps, and others.

    Returns
    -------
    xarray.DataArray
        Without dim ``step``.
    """
    if "step" not in curve.dims:
        return curve
    ordered = curve.transpose(..., "step")
    values = ordered.values
    last = values.shape[-1] - 1 - np.isfinite(values)[..., ::-1].argmax(-1)
    taken = np.take_along_axis(values, last[..., None], axis=-1)[..., 0]
    return ordered.isel(step=0, drop=True).copy(data=taken)


def _bare(array: xr.DataArray) -> xr.DataArray:
    """Only labels of what is left besides runs describe a verdict."""
    kept = [name for name in array.dims if name in array.indexes]
    return array.drop_vars([c for c in array.coords if c not in kept or c in ("run", "recipe", "seed")])


def _only_steps(array: xr.DataArray) -> xr.DataArray:
    return array.drop_vars([c for c in array.coords if c not in array.dims])
