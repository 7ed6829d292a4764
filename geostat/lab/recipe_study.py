"""Recipes side by side on real training, at several learning rates, with the baselines of their channels."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import xarray as xr

from geostat.lab.asked import asked_dtypes
from geostat.lab.laboratory import LABORATORY, RATED
from geostat.lab.measuring import measured_runs
from geostat.lab.perturbation_study import UNPERTURBED
from geostat.lab.recipes import Scale
from geostat.lab.study import train_runs
from geostat.lab.workers import Progress

__all__ = ["ALL", "recipe_study"]

ALL = ("sft", UNPERTURBED, *(recipe.name for each in RATED.values() for recipe in each))


def recipe_study(
    names: str | Sequence[str] = ALL,
    *,
    out: str | Path,
    seeds: int | Iterable[int] = 5,
    scale: Scale = LABORATORY,
    dtype: str = "bf16",
    workers: int = 1,
    teacher: str | Path | None = None,
    device: str = "cpu",
    progress: Callable[[Progress], None] = lambda event: None,
) -> xr.Dataset:
    """Train and measure recipes, with what the inputs hold beside every capture and similarity.

    Parameters
    ----------
    names : sequence of str
        Recipes at this scale; by default SFT, sampled-token OPD, and OPD, RLVR and continued SFT at three rates.
    out : path
        A study's folder, as in `geostat.lab.train_runs`; stores go to its ``stores-bf16`` or ``stores-fp32``.
    seeds : int or iterable of int
        How many, or which.
    dtype : {"bf16", "fp32"}
        Which checkpoints are measured; both are kept.
    scale, workers, teacher, device, progress
        As in `geostat.lab.train_runs`.

    Returns
    -------
    xarray.Dataset
        Of `geostat.lab.measuring.measured_runs`.

    Raises
    ------
    StoreError, ProtocolError
        As in `geostat.lab.train_runs`.
    SampleError
        If every run diverged.

    References
    ----------
    P1 (section 3), without its differences of start and rate between recipes from the anchor.
    """
    (dtype,) = asked_dtypes((dtype,))
    branches = train_runs(
        out,
        seeds,
        names,
        scale=scale,
        dtypes=("bf16", "fp32"),
        workers=workers,
        teacher=teacher,
        device=device,
        progress=progress,
    )
    return measured_runs(branches, Path(out) / f"stores-{dtype}", dtype=dtype, workers=workers)
