"""Branches measured through the public path: one store each."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

import xarray as xr

from geostat.errors import SampleError, StoreError
from geostat.lab.baselines import activation_baselines, with_baselines
from geostat.lab.branches import Branch
from geostat.trajectories import combine, measure, open_trajectory

__all__ = ["measure_branches", "measured_runs", "no_run_left"]

Found = TypeVar("Found")


def measure_branches(
    branches: Sequence[Branch],
    folder: Path,
    *,
    dtype: str = "bf16",
    workers: int = 1,
    on_done: Callable[[], object] = lambda: None,
) -> dict[str, Path]:
    """Measure every linear matrix of every checkpoint of finished branches; what is measured is kept.

    Parameters
    ----------
    branches : sequence of Branch
        Finished.
    folder : Path
        Of the stores.
    dtype : str
        Which checkpoints: ``"bf16"``, as one would publish them, or ``"fp32"``, where they were kept.
    workers : int
        Processes; they are used where more than one store is missing.
    on_done : callable
        Called after each branch.

    Returns
    -------
    dict of str to Path
        Store by name of the branch.
    """
    stores = {branch.directory.name: folder / f"{branch.directory.name}.zarr" for branch in branches}
    jobs = [(each.base(dtype), each.checkpoints(dtype), stores[each.directory.name]) for each in branches]
    workers = min(workers, sum(not store.exists() for store in stores.values()))
    for _ in _done_by(workers, _measure, jobs):
        on_done()
    return stores


def measured_runs(
    branches: Sequence[Branch], folder: Path, *, dtype: str = "bf16", workers: int = 1
) -> xr.Dataset:
    """Measure branches, with the baselines of captures and similarities, and how their accuracies ended.

    Parameters
    ----------
    branches, folder, dtype, workers
        As in `measure_branches`.

    Returns
    -------
    xarray.Dataset
        Of `geostat.combine`, with what `activation_baselines` gives; and ``accuracy_before``, ``accuracy``,
        ``greedy_accuracy`` and ``gain`` of each run.

    Raises
    ------
    SampleError
        If there is no branch.
    """
    if not branches:
        raise SampleError(no_run_left(folder.parent))
    stores = measure_branches(branches, folder, dtype=dtype, workers=workers)
    jobs = [(each, stores[each.directory.name], dtype) for each in branches]
    single = dict(_done_by(workers, _with_baselines, jobs))
    runs = combine({(each.recipe, each.seed): single[each.directory.name] for each in branches})
    return _with_accuracies(runs, {f"{each.recipe}-{each.seed}": each for each in branches})


def no_run_left(folder: Path) -> str:
    """Say that nothing was left of a study, and what to do.

    Parameters
    ----------
    folder : Path
        Of the study.

    Returns
    -------
    str
        Three sentences.
    """
    return (
        f"no run was left in {folder}: all diverged. Lower the learning rate of their recipes, with a Scale of "
        "recipe.shortened(learning_rate=...). Train them into another folder, because this one keeps to its settings."
    )


def _with_accuracies(runs: xr.Dataset, branches: dict[str, Branch]) -> xr.Dataset:
    ordered = [branches[str(name)] for name in runs["run"].values]
    figures = {
        "accuracy_before": ([each.start.expected for each in ordered], "Expected accuracy at the start"),
        "accuracy": ([each.end.expected for each in ordered], "Expected accuracy at temperature 1"),
        "greedy_accuracy": ([each.end.greedy for each in ordered], "Greedy accuracy"),
        "gain": ([each.gain for each in ordered], "Gain in expected accuracy"),
    }
    return runs.assign(
        {
            name: ("run", values, {"units": "1", "long_name": label})
            for name, (values, label) in figures.items()
        }
    )


def _with_baselines(branch: Branch, store: Path, dtype: str) -> tuple[str, xr.Dataset]:
    measured = open_trajectory(store).load()
    found = activation_baselines(branch, dtype=dtype, horizon=int(measured.attrs["horizon"]))
    return branch.directory.name, with_baselines(measured, found)


def _done_by(workers: int, work: Callable[..., Found], jobs: Sequence[tuple[object, ...]]) -> Iterable[Found]:
    """Results in any order, by so many processes."""
    if workers <= 1 or len(jobs) < 2:
        yield from (work(*job) for job in jobs)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        yield from (done.result() for done in as_completed([pool.submit(work, *job) for job in jobs]))


def _measure(base: Path, checkpoints: tuple[Path, ...], store: Path) -> None:
    steps = [str(path) for path in checkpoints]
    try:
        measure(base, steps, store=store, matrices="linear", progress=False)
    except StoreError:  # a copied study: its files have other times, so they are measured anew
        measure(base, steps, store=store, matrices="linear", resume=False, progress=False)
