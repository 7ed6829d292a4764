"""Runs compared where they are equally far from their start, not at equal steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from geostat.errors import GeostatWarning, SampleError, UndefinedWarning
from geostat.statistics.means.scales import SCALES, Scale, ScaleName, choose_scale
from geostat.statistics.regimes.interpolation import at_first_passage
from geostat.statistics.runs.aggregation import aggregate
from geostat.statistics.runs.arguments import Sample, Samples, Weighting, gather
from geostat.statistics.runs.groups import recipe_group
from geostat.statistics.words.notices import Notice, give

__all__ = ["DISPLACEMENT", "Matched", "at_displacement", "common_displacement", "displacement_matched"]

DISPLACEMENT = "relative_update_norm"
"""Identifier of how far a run is from its start."""


def displacement_matched(
    data: xr.Dataset,
    *recipes: str | Sequence[str],
    at: float | None = None,
    displacement: str = DISPLACEMENT,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    weighting: Weighting | None = None,
    scale: Mapping[str, ScaleName] | None = None,
) -> xr.Dataset:
    r"""Metrics of every run at one common displacement from its start.

    Runs of different recipes move at different speed, and most metrics are first of all functions of how
    far a run has come. Each run's metrics are read where its relative update norm first reaches d,
    interpolated between checkpoints linearly in :math:`\log d`; nothing is extrapolated. By default d is
    the largest displacement that all runs reach. It is not a comparison at equal steps, equal compute or
    equal performance.

    Parameters
    ----------
    data : xarray.Dataset
        Metrics with dim ``step``, the displacement among them.
    *recipes : str or sequence of str
        Recipes to match, as ``displacement_matched(data, "opd", "rlvr")`` or in one sequence; all runs by default.
    at : float, optional
        Displacement, in units of the displacement metric.
    displacement : str
        Identifier of the metric that measures it.
    dim, sample_dim, weighting
        As in `mean_ci`: runs are averaged over matrices first.
    scale : mapping of str to {"identity", "log", "logit"}, optional
        Scale on which a metric is interpolated; identity by default.

    Returns
    -------
    xarray.Dataset
        One value per run, without matrices and steps; NaN where a run does not pass d. Coordinates
        ``displacement`` and ``matched_step`` say where it was read. Pass it on with ``dim=None``.

    Raises
    ------
    SampleError
        If there are no steps or no displacement, or no run passes d.

    Warns
    -----
    UndefinedWarning
        If a run does not reach d, or starts beyond it.
    GeostatWarning
        If a displacement, or a metric as a function of it, is not monotone.

    Examples
    --------
    >>> import xarray as xr
    >>> run = {"recipe": ("run", ["sft", "rlvr"]), "step": [10, 100]}
    >>> data = xr.Dataset(
    ...     {
    ...         "relative_update_norm": (("run", "step"), [[0.1, 1.0], [0.01, 0.1]], {"units": "1"}),
    ...         "stable_rank": (("run", "step"), [[10.0, 60.0], [40.0, 20.0]], {"units": "1"}),
    ...     },
    ...     coords=run,
    ... )
    >>> matched = displacement_matched(data, dim=None)
    >>> float(matched["displacement"]), matched["stable_rank"].values.tolist()
    (0.1, [10.0, 20.0])
    """
    gathered = gather(data, dim=dim, sample_dim=sample_dim, weighting=weighting)
    by_name = {sample.name: sample for sample in gathered.samples}
    runs = _positions(by_name, displacement, _named(recipes))
    distance = run_curve(by_name.pop(displacement), runs)
    target = common_displacement(distance, sample_dim) if at is None else _declared(distance, at)
    if not by_name:
        raise SampleError(
            f"the dataset holds {displacement} alone. Pass the metrics to be matched beside it."
        )
    chosen = scale or {}
    found = {
        name: at_displacement(run_curve(sample, runs), distance, target, chosen.get(name, "identity"), name)
        for name, sample in by_name.items()
    }
    if all(bool(each.values.isnull().all()) for each in found.values()):
        raise SampleError(
            f"no run passes the displacement {_range(target)}: they lie at {_range(distance)}. "
            "Pass `at=` between a run's first and last checkpoint."
        )
    give(dict.fromkeys(notice for each in found.values() for notice in each.notices))
    return _dataset(found, target, data, gathered)


def _named(recipes: Sequence[str | Sequence[str]]) -> list[str]:
    return [name for each in recipes for name in ([each] if isinstance(each, str) else each)]


def _positions(samples: Mapping[str, Sample], displacement: str, recipes: Sequence[str]) -> tuple[int, ...]:
    if displacement not in samples:
        raise SampleError(
            f"the data hold no {displacement!r}, which says how far a run is from its start "
            f"(found {', '.join(samples)}). Measure it too, or name another metric with displacement=."
        )
    sample = samples[displacement]
    if "step" not in sample.values.dims:
        raise SampleError(
            f"{displacement} has no dimension step: runs cannot be followed to a common displacement."
        )
    if not recipes:
        return tuple(range(sample.values.sizes[sample.sample_dim]))
    return tuple(i for recipe in recipes for i in recipe_group(sample, recipe).positions)


def _declared(distance: xr.DataArray, at: float) -> xr.DataArray:
    if not (np.isfinite(at) and at > 0):
        raise SampleError(f"at={at!r} is no displacement. Pass a positive number.")
    return xr.DataArray(float(at))


def _range(values: xr.DataArray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def run_curve(sample: Sample, runs: Sequence[int]) -> xr.DataArray:
    """Average these runs over matrices, keeping their steps.

    Parameters
    ----------
    sample : Sample
        One metric.
    runs : sequence of int
        Positions.

    Returns
    -------
    xarray.DataArray
        In memory.
    """
    return aggregate(sample, runs).values


def common_displacement(distance: xr.DataArray, sample_dim: str) -> xr.DataArray:
    """Largest displacement that all runs reach.

    Parameters
    ----------
    distance : xarray.DataArray
        Over runs and steps.
    sample_dim : str
        Runs.

    Returns
    -------
    xarray.DataArray
        Over what is left.
    """
    return distance.max("step").min(sample_dim)


@dataclass(frozen=True, eq=False)
class Matched:
    """One metric of every run at its displacement.

    Attributes
    ----------
    values, step : xarray.DataArray
        Without dimension ``step``.
    notices : tuple of Notice
        Runs that do not pass, and curves that turn.
    """

    values: xr.DataArray
    step: xr.DataArray
    notices: tuple[Notice, ...]


def at_displacement(
    curve: xr.DataArray, distance: xr.DataArray, target: xr.DataArray, scale_name: ScaleName, name: str
) -> Matched:
    """Read one metric where each run first reaches the displacement.

    Parameters
    ----------
    curve : xarray.DataArray
        Over runs, steps and others.
    distance, target : xarray.DataArray
        Displacement of the runs at their steps, and the one that is asked for.
    scale_name : str
        Scale of the interpolation.
    name : str
        Of the metric, for messages.

    Returns
    -------
    Matched
        In the metric's units.
    """
    scale, fallback = choose_scale(scale_name, [curve], name)
    if "step" not in curve.dims:
        notice = Notice(GeostatWarning, f"{name} has no dimension step: its values are taken as they are.")
        return Matched(curve, curve.copy(data=np.full(curve.shape, np.nan)), (notice,))
    known = scale if scale.name == scale_name else SCALES["identity"]
    y, d, t = xr.broadcast(known.forward(curve), distance, target)
    y, d, t = (each.transpose(..., "step") for each in (y, d, t))
    steps = np.asarray(curve["step"].values, dtype=np.float64)
    found = at_first_passage(d.values, y.values, steps, t.isel(step=0).values)
    cell = y.isel(step=0, drop=True)
    values = known.inverse(cell.copy(data=found.value))
    notices = _noticed(name, cell.copy(data=found.value), cell.copy(data=found.starts_beyond), y, d, known)
    told = (Notice(UndefinedWarning, fallback),) if fallback else ()
    return Matched(values, cell.copy(data=found.step), (*told, *notices))


def _noticed(
    name: str, values: xr.DataArray, beyond: xr.DataArray, y: xr.DataArray, d: xr.DataArray, scale: Scale
) -> list[Notice]:
    notices = []
    missing = values.isnull() & y.notnull().any("step")
    if bool((missing & beyond).any()):
        notices.append(
            Notice(
                UndefinedWarning,
                f"{name}: {_runs(missing & beyond)} beyond the common displacement at the first checkpoint already. "
                "Nothing is extrapolated: save earlier checkpoints or leave the run out.",
            )
        )
    if bool((missing & ~beyond).any()):
        short = (
            f"{name}: {_runs(missing & ~beyond)} short of the common displacement. Nothing is extrapolated."
        )
        notices.append(Notice(UndefinedWarning, short))
    return notices + _turning(name, y, d)


def _turning(name: str, y: xr.DataArray, d: xr.DataArray) -> list[Notice]:
    """Notices about curves that have no single value at a displacement."""
    notices = []
    if _directions(d)[1].any():
        text = (
            "the displacement of some run falls between checkpoints: each run is read where it first passes."
        )
        notices.append(Notice(GeostatWarning, text))
    turns = np.logical_and(*_directions(y))
    if turns.any():
        notices.append(
            Notice(
                GeostatWarning,
                f"{name} is not monotone in displacement in {int(turns.sum())} of {turns.size} curves: "
                "between two checkpoints its value is a guess.",
            )
        )
    return notices


def _directions(curve: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Whether a curve rises anywhere along its last axis, and whether it falls, missing values skipped."""
    values = curve.values
    place = np.where(np.isfinite(values), np.arange(values.shape[-1]), 0)
    filled = np.take_along_axis(values, np.maximum.accumulate(place, axis=-1), axis=-1)
    with np.errstate(invalid="ignore"):
        change = np.diff(filled, axis=-1)
    return np.asarray((change > 0).any(-1)), np.asarray((change < 0).any(-1))


def _runs(where: xr.DataArray) -> str:
    count = int(where.sum())
    return f"{count} run{'s lie' if count != 1 else ' lies'}"


def _dataset(
    found: Mapping[str, Matched], target: xr.DataArray, data: xr.Dataset, gathered: Samples
) -> xr.Dataset:
    arrays = {name: each.values.assign_attrs(data[name].attrs) for name, each in found.items()}
    bare = {name: array.drop_vars(["progress", "step"], errors="ignore") for name, array in arrays.items()}
    first = next(iter(found.values()))
    step = first.step.drop_vars([c for c in first.step.coords if c not in first.step.dims])
    places = {"displacement": target.drop_vars(list(target.coords)), "matched_step": step}
    return xr.Dataset(bare, attrs=data.attrs).assign_coords(places)
