"""Perturbed distillation on real training: trained, measured, labelled by what was changed."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from geostat.lab.asked import asked_dtypes
from geostat.lab.laboratory import LABORATORY
from geostat.lab.measuring import measured_runs
from geostat.lab.perturbations import PERTURBATIONS, PerturbedDistillation
from geostat.lab.recipes import Scale
from geostat.lab.study import train_runs
from geostat.lab.workers import Progress

__all__ = ["UNPERTURBED", "labelled", "perturbation_study"]

UNPERTURBED = "opd_sampled"


def perturbation_study(
    names: str | Sequence[str] = (UNPERTURBED, *PERTURBATIONS),
    *,
    out: str | Path,
    seeds: int | Iterable[int] = 5,
    scale: Scale = LABORATORY,
    dtypes: Sequence[str] = ("bf16", "fp32"),
    workers: int = 1,
    teacher: str | Path | None = None,
    device: str = "cpu",
    progress: Callable[[Progress], None] = lambda event: None,
) -> xr.Dataset:
    """Train and measure distillation by policy gradient with one thing changed at a time.

    Two recipes with the same seed start from the same anchor. Whether a change preserves a figure is a question of
    equivalence (`geostat.equivalence`, ``paired=True``); how much of an objective may be mixed in before it does not,
    one of doses (`geostat.dose_response` over ``opd_share``).

    Parameters
    ----------
    names : sequence of str
        Recipes, by default ``"opd_sampled"`` and all of `PERTURBATIONS`.
    out : path
        A study's folder, as in `geostat.lab.train_runs`; stores go to its ``stores-bf16``.
    seeds : int or iterable of int
        How many, or which.
    scale, dtypes, workers, teacher, device, progress
        As in `geostat.lab.train_runs`; fp32 masters are kept beside the bf16 checkpoints.

    Returns
    -------
    xarray.Dataset
        The combined measurements with baselines (`geostat.lab.activation_baselines`), ``accuracy`` and ``gain``
        (expected, at the end) of each run and, along the runs, ``opd_share`` (alpha of the mixture), ``tokens_kept``,
        ``tokens_chosen`` and ``rollouts``. ``opd_share`` is NaN but for mixtures.

    Raises
    ------
    StoreError, ProtocolError
        As in `geostat.lab.train_runs`.
    SampleError
        If every run diverged.

    References
    ----------
    P1 (section 5, appendix G).
    """
    branches = train_runs(
        out,
        seeds,
        names,
        scale=scale,
        dtypes=asked_dtypes(dtypes, needed="bf16"),
        workers=workers,
        teacher=teacher,
        device=device,
        progress=progress,
    )
    runs = measured_runs(branches, Path(out) / "stores-bf16", workers=workers)
    return labelled(runs, scale)


def labelled(runs: xr.Dataset, scale: Scale = LABORATORY) -> xr.Dataset:
    """Say along the runs what was changed in each.

    Parameters
    ----------
    runs : xarray.Dataset
        Of `geostat.lab.measuring.measured_runs`.
    scale : Scale
        Of the study.

    Returns
    -------
    xarray.Dataset
        With the coordinates of `perturbation_study`.
    """
    changes = [_change(str(name), scale) for name in runs["recipe"].values]
    text = np.dtypes.StringDType()
    told = {
        "opd_share": [each.alpha if each.samples > 1 else np.nan for each in changes],
        "tokens_kept": [each.keep for each in changes],
        "tokens_chosen": np.array([each.choose for each in changes], dtype=text),
        "rollouts": np.array([each.rollouts for each in changes], dtype=text),
    }
    return runs.assign_coords({name: ("run", values) for name, values in told.items()})


def _change(recipe: str, scale: Scale) -> PerturbedDistillation:
    objective = scale.recipe(recipe).objective
    return objective if isinstance(objective, PerturbedDistillation) else PerturbedDistillation()
