"""One curve per run: what every onset procedure works on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import GeostatWarning, SampleError
from geostat.statistics.locking.bands import is_number
from geostat.statistics.runs.aggregation import RunValues, aggregate
from geostat.statistics.runs.arguments import Sample
from geostat.statistics.words.notices import Notice, matrices_left_out

__all__ = ["RunCurves", "infinite_values", "run_curves"]


@dataclass(frozen=True)
class RunCurves:
    """Curves of all runs of a metric, in memory.

    Attributes
    ----------
    values : xarray.DataArray
        Runs first, steps last and ascending; NaN where a run has no checkpoint.
    n_matrices : xarray.DataArray
        Matrices that each run was averaged over.
    training_steps : tuple of float
        Length of training per run; NaN means its last checkpoint.
    """

    values: xr.DataArray
    n_matrices: xr.DataArray
    training_steps: tuple[float, ...]


def run_curves(sample: Sample, training_steps: float | None) -> tuple[RunCurves, list[Notice]]:
    """Average every run over the matrices that have a value at all of its checkpoints.

    Parameters
    ----------
    sample : Sample
        One metric.
    training_steps : float or None
        Declared length of training.

    Returns
    -------
    tuple of RunCurves and list of Notice
        The curves, and what was noticed on the way.

    Raises
    ------
    SampleError
        If there are no steps, or they were to be averaged.
    """
    _check_steps(sample)
    _check_length(training_steps)
    count = sample.values.sizes[sample.sample_dim]
    runs = [_curve(sample, i) for i in range(count)]
    curves = _stacked([run.values for run in runs], sample).transpose(sample.sample_dim, ..., "step")
    matrices = _stacked([run.n_matrices.expand_dims(sample.sample_dim) for run in runs], sample)
    most = matrices.max("step") if "step" in matrices.dims else matrices
    if training_steps is not None:
        _check_end(curves, training_steps, sample.name)
    horizon = tuple(_training_steps(sample, i, training_steps) for i in range(count))
    return RunCurves(curves, most, horizon), _noticed(sample, runs)


def _check_steps(sample: Sample) -> None:
    if "step" not in sample.values.dims:
        raise SampleError(
            f"{sample.name} has no dimension step (found {list(sample.values.dims)}). "
            "An onset needs several checkpoints of a run."
        )
    if sample.dim == "step":
        raise SampleError(
            f"dim='step' would average {sample.name} over the checkpoints between which the onset is sought. "
            "Pass dim='matrix', or dim=None to treat every matrix by itself."
        )
    steps = sample.values["step"]
    if "step" in sample.values.coords and not _are_numbers(steps.values):
        raise SampleError(
            f"{sample.name}: step holds {steps.dtype}, not numbers throughout. Pass training steps as "
            "numbers, for example data.assign_coords(step=range(data.sizes['step']))."
        )


def _are_numbers(steps: npt.NDArray[Any]) -> bool:
    return steps.dtype.kind in "iuf" and bool(np.isfinite(steps).all())


def _check_length(training_steps: float | None) -> None:
    if training_steps is not None and not (is_number(training_steps) and training_steps > 0):
        raise SampleError(
            f"training_steps={training_steps!r} is no length of training. Pass a positive number."
        )


def _check_end(curves: xr.DataArray, training_steps: float, name: str) -> None:
    here = curves.notnull().any([dim for dim in curves.dims if dim != "step"])
    last = float(curves["step"].values[here.values].max(initial=0))
    if last > training_steps:
        raise SampleError(
            f"training_steps={training_steps!r}, but {name} has a value at step {last:g}. Pass the length of the whole "
            "training in the units of step, or leave it out."
        )


def infinite_values(name: str, curves: RunCurves) -> list[Notice]:
    """Notice about infinite values, which lie in no band.

    Parameters
    ----------
    name : str
        The metric.
    curves : RunCurves
        Of all runs.

    Returns
    -------
    list of Notice
        Empty where every value is finite or missing.
    """
    infinite = curves.values.copy(data=np.isinf(curves.values.values))
    if not bool(infinite.any()):
        return []
    where = infinite.any([dim for dim in infinite.dims if dim != "step"])
    count = int(infinite.sum())
    steps = ", ".join(f"{step:g}" for step in where["step"].values[where.values][:3])
    text = (
        f"{name}: {count} value{'s are' if count > 1 else ' is'} infinite (at step {steps}): infinite is never inside "
        "the band. If it is no measurement, leave it out with data.where(np.isfinite(data))."
    )
    return [Notice(GeostatWarning, text)]


def _stacked(parts: Sequence[xr.DataArray], sample: Sample) -> xr.DataArray:
    bare = [part.drop_vars([c for c in part.coords if c not in part.dims]) for part in parts]
    joined = xr.concat(bare, dim=sample.sample_dim, coords="minimal", compat="override", join="exact")
    return joined.assign_coords(_run_coords(sample))


def _curve(sample: Sample, position: int) -> RunValues:
    if sample.dim is None:
        return aggregate(sample, [position])
    defined = sample.values.isel({sample.sample_dim: position}).notnull()
    checkpoint = defined.any(sample.dim)
    return aggregate(sample, [position], (defined | ~checkpoint).all("step") & checkpoint.any("step"))


def _noticed(sample: Sample, runs: Sequence[RunValues]) -> list[Notice]:
    names = sorted({name for run in runs for name in run.undefined})
    if not names:
        return []
    why = "at some checkpoint of a run and are left out of that run's curve"
    return [matrices_left_out(sample.name, names, sample.n_matrices, why)]


def _run_coords(sample: Sample) -> dict[str, Any]:
    """Labels of runs, and scalar labels, which reductions have dropped."""
    coords = sample.values.coords
    wanted = (sample.sample_dim, "recipe", "seed", "alpha", "eta", "k", "side", "energy_k", "rank", "matrix")
    return {
        name: coords[name].variable
        for name in wanted
        if name in coords and coords[name].dims in ((), (sample.sample_dim,))
    }


def _training_steps(sample: Sample, position: int, declared: float | None) -> float:
    """Length of training: as declared, from progress, or NaN for a run's last checkpoint."""
    if declared is not None:
        return float(declared)
    progress = sample.values.coords.get("progress")
    if progress is None or "step" not in progress.dims:
        return math.nan
    own = progress.isel({sample.sample_dim: position}) if sample.sample_dim in progress.dims else progress
    share = np.asarray(own.values, dtype=np.float64)
    steps = np.asarray(sample.values["step"].values, dtype=np.float64)
    usable = np.isfinite(share) & (share > 0) & (steps > 0)
    return float(np.median(steps[usable] / share[usable])) if usable.any() else math.nan
