"""One curve per run: what every onset procedure works on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import SampleError
from geostat.statistics.runs.aggregation import RunValues, aggregate
from geostat.statistics.runs.arguments import Sample
from geostat.statistics.words.notices import Notice, matrices_left_out

__all__ = ["RunCurves", "run_curves"]


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
    count = sample.values.sizes[sample.sample_dim]
    runs = [_curve(sample, i) for i in range(count)]
    curves = _stacked([run.values for run in runs], sample).transpose(sample.sample_dim, ..., "step")
    matrices = _stacked([run.n_matrices.expand_dims(sample.sample_dim) for run in runs], sample)
    most = matrices.max("step") if "step" in matrices.dims else matrices
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
        if not declared > 0:
            raise SampleError(
                f"training_steps={declared!r} is no length of training. Pass a positive number."
            )
        return float(declared)
    progress = sample.values.coords.get("progress")
    if progress is None or "step" not in progress.dims:
        return math.nan
    own = progress.isel({sample.sample_dim: position}) if sample.sample_dim in progress.dims else progress
    share = np.asarray(own.values, dtype=np.float64)
    steps = np.asarray(sample.values["step"].values, dtype=np.float64)
    usable = np.isfinite(share) & (share > 0) & (steps > 0)
    return float(np.median(steps[usable] / share[usable])) if usable.any() else math.nan
