"""The exact suite with files, journal and reading: CPU time of one more checkpoint."""

import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import xarray as xr

from geostat.bench.bars import Bar, Measured
from geostat.bench.clock import cpu_seconds
from geostat.bench.naive import naive_suite
from geostat.bench.pairs import write_run
from geostat.bench.settings import Found, Job, Settings
from geostat.checkpoints import open_checkpoint
from geostat.trajectories.measure import measure

__all__ = ["SUITE_JOBS", "measured_run"]

Shapes = dict[str, tuple[int, int]]

FEW, MANY = 2, 4
"""Checkpoints of the two measurements whose difference gives the cost of one."""


def measured_run(folder: Path, steps: int) -> xr.Dataset:
    """Measure the first checkpoints of a run into a new store, journal and all.

    Parameters
    ----------
    folder : Path
        Written by `write_run`.
    steps : int
        How many checkpoints.

    Returns
    -------
    xarray.Dataset
        The store.
    """
    paths = {step: str(folder / f"step-{step}") for step in range(1, steps + 1)}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        store = Path(place) / "run.zarr"
        return measure(str(folder / "base"), paths, store=store, device="cpu", progress=False).load()


def _one_checkpoint(folder: Path) -> tuple[float, xr.Dataset]:
    """CPU time of a checkpoint once W_0 is factored, and the longer measurement."""
    kept: list[xr.Dataset] = []
    few = cpu_seconds(lambda: measured_run(folder, FEW))
    many = cpu_seconds(lambda: kept.append(measured_run(folder, MANY)))
    return (many - few) / (MANY - FEW), kept[0]


def _weights(folder: Path, step: str) -> dict[str, torch.Tensor]:
    opened = open_checkpoint(str(folder / step))
    try:
        return {name: opened[name].clone() for name in opened}
    finally:
        opened.close()


def _naive_checkpoint(folder: Path) -> tuple[float, dict[str, dict[str, float]]]:
    """CPU time of the published protocol for one checkpoint of every matrix; reading is not counted."""
    before, after = _weights(folder, "base"), _weights(folder, f"step-{MANY}")
    ends = {name: torch.eye(w.shape[1], 16, dtype=torch.float64) for name, w in before.items()}
    found: dict[str, dict[str, float]] = {}

    def work() -> None:
        found.update({name: naive_suite(before[name], after[name], ends[name]) for name in before})

    return cpu_seconds(work), found


def _difference(naive: dict[str, dict[str, float]], store: xr.Dataset) -> float:
    """Largest relative difference of scalars that both report of the last checkpoint."""
    last = store.isel(step=-1)
    names = {"sparsity": "update_sparsity", "stable rank": "stable_rank", "hill": "hill_tail_exponent"}
    return max(
        abs(figures[name] / float(last[ours].sel(matrix=matrix.removesuffix(".weight"))) - 1)
        for matrix, figures in naive.items()
        for name, ours in names.items()
    )


def _run(bar: Bar, shapes: Shapes, settings: Settings) -> Found:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_run(folder, shapes, MANY)
        measured_run(folder, 1)  # what is imported and compiled at the first call
        naive, fast, ratios = [], [], []
        for _ in range(settings.repeats):
            slow, figures = _naive_checkpoint(folder)
            quick, store = _one_checkpoint(folder)
            naive.append(slow)
            fast.append(quick)
            ratios.append(slow / quick)
    ratio, slow, quick = (statistics.median(values) for values in (ratios, naive, fast))
    note = "ours computes more: both sides, increments and what remains, captures, audits"
    yield bar, Measured(ratio, slow, quick, _difference(figures, store), note)


def _job(name: str, title: str, bars: tuple[float, float], shapes: Shapes, *, nightly: bool = False) -> Job:
    bar = Bar(f"exact suite, {title}", "ratio", at_least=bars[0], goal=bars[1], error_bar=1e-10)
    run: Callable[[Settings], Found] = partial(_run, bar, shapes)
    return Job(
        name, "the exact suite of one more checkpoint, files and journal included", (bar,), run, nightly
    )


_QUERY = "blocks.0.attention.query.weight"
_ATTENTION = {
    _QUERY: (2048, 1024),
    "blocks.0.attention.key.weight": (1024, 1024),
    "blocks.0.attention.value.weight": (1024, 1024),
    "blocks.0.attention.output.weight": (1024, 2048),
}
SUITE_JOBS = (
    _job("suite-1024", "1024 x 1024", (2.5, 3), {_QUERY: (1024, 1024)}),
    _job("suite-1024-2048", "1024 x 2048", (4, 6), {_QUERY: (1024, 2048)}),
    _job("suite-attention", "a layer's attention of Qwen3-0.6B", (4, 5), _ATTENTION),
    _job("suite-4096", "4096 x 4096", (6, 8), {_QUERY: (4096, 4096)}, nightly=True),
)
"""The suite on every shape of the table."""
