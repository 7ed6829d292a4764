"""The exact suite with files, journal and reading: CPU time of one more checkpoint."""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
from geostat.trajectories.measuring import measure

__all__ = ["SUITE_JOBS", "measured_run"]

Shapes = dict[str, tuple[int, int]]

FEW, MANY = 2, 4
"""Checkpoints of the two measurements whose difference gives the cost of one."""

PUBLISHED = (
    "update_sparsity",
    "mean_principal_angle",
    "max_principal_angle",
    "normalized_spectral_shift",
    "stable_rank",
    "hill_tail_exponent",
    "similarity_to_end",
    "principal_mask_overlap",
    "low_magnitude_mask_overlap",
)
"""What `naive_suite` computes as well."""


def measured_run(folder: Path, steps: int, diagnostics: Sequence[str] | None = None) -> xr.Dataset:
    """Measure the first checkpoints of a run into a new store, journal and all.

    Parameters
    ----------
    folder : Path
        Written by `write_run`.
    steps : int
        How many checkpoints.
    diagnostics : sequence of str, optional
        Which; those of the defaults otherwise.

    Returns
    -------
    xarray.Dataset
        The store.
    """
    paths = {step: str(folder / f"step-{step}") for step in range(1, steps + 1)}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        store = Path(place) / "run.zarr"
        return measure(
            str(folder / "base"), paths, store=store, diagnostics=diagnostics, device="cpu", progress=False
        ).load()


def _one_checkpoint(folder: Path, diagnostics: Sequence[str] | None) -> tuple[float, xr.Dataset]:
    """CPU time of a checkpoint once W_0 is factored, and the longer measurement."""
    kept: list[xr.Dataset] = []
    few = cpu_seconds(lambda: measured_run(folder, FEW, diagnostics))
    many = cpu_seconds(lambda: kept.append(measured_run(folder, MANY, diagnostics)))
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


@dataclass
class _Seconds:
    """CPU time of one checkpoint in each repetition, and the largest difference of figures."""

    naive: list[float] = field(default_factory=list)
    fast: list[float] = field(default_factory=list)
    error: float = 0.0

    def add(self, naive: float, fast: float, error: float) -> None:
        self.naive.append(naive)
        self.fast.append(fast)
        self.error = max(self.error, error)

    def measured(self, note: str) -> Measured:
        ratio = statistics.median(slow / quick for slow, quick in zip(self.naive, self.fast, strict=True))
        return Measured(ratio, statistics.median(self.naive), statistics.median(self.fast), self.error, note)


def _run(bars: tuple[Bar, Bar], shapes: Shapes, settings: Settings) -> Found:
    same, everything = _Seconds(), _Seconds()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_run(folder, shapes, MANY)
        measured_run(folder, 1)  # what is imported and compiled at the first call
        for _ in range(settings.repeats):
            naive, figures = _naive_checkpoint(folder)
            for seconds, diagnostics in ((same, PUBLISHED), (everything, None)):
                fast, store = _one_checkpoint(folder, diagnostics)
                seconds.add(naive, fast, _difference(figures, store))
    yield bars[0], same.measured("the same quantities, and an audit of each checkpoint")
    yield (
        bars[1],
        everything.measured("also increments, captures, what remains, other ranks: not in the protocol"),
    )


def _job(name: str, title: str, bars: tuple[float, float], shapes: Shapes, *, nightly: bool = False) -> Job:
    same = Bar(f"exact suite, {title}", "ratio", at_least=bars[0], goal=bars[1], error_bar=1e-10)
    everything = Bar(f"all default diagnostics, {title}", "ratio")
    run: Callable[[Settings], Found] = partial(_run, (same, everything), shapes)
    says = "one more checkpoint, files and journal included: the protocol's figures, and all of the defaults"
    return Job(name, says, (same, everything), run, nightly)


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
