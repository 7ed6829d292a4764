"""Whether cost grows with checkpoints and matrices, and no faster; what a second worker gives."""

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from geostat.bench.bars import Bar, Measured
from geostat.bench.clock import cpu_seconds
from geostat.bench.pairs import write_run
from geostat.bench.settings import Found, Job, Settings
from geostat.bench.suite import measured_run
from geostat.trajectories.measuring import measure

__all__ = ["SCALING_JOBS"]

_NAMES = tuple(
    f"blocks.{layer}.attention.{module}.weight" for layer in range(8) for module in ("query", "key")
)
_SMALL, _MIDDLE, _LARGE = 512, 768, 1024

_ROUNDS = 2
"""Measurements of minutes, taken in turn, of which the least counts: a machine is faster one minute than the next."""

_STEPS = Bar("cost of a late checkpoint over that of an early one, less 1", "share", at_most=0.05)
_MATRICES = Bar("cost of a matrix among sixteen over that among eight, less 1", "share", at_most=0.05)
_WORKERS = Bar("efficiency of two workers, on an idle machine", "share", at_least=0.85)


def _steps(settings: Settings) -> Found:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_run(folder, {_NAMES[0]: (_MIDDLE, _MIDDLE)}, 10)
        measured_run(folder, 2)
        few, some, many = _least([partial(measured_run, folder, count) for count in (2, 6, 10)], settings)
    yield _STEPS, Measured((many - some) / (some - few) - 1, note="2, 6 and 10 checkpoints")


def _matrices(settings: Settings) -> Found:
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place) / str(count) for count in (4, 8, 16)]
        for folder, count in zip(folders, (4, 8, 16), strict=True):
            write_run(folder, dict.fromkeys(_NAMES[:count], (_SMALL, _SMALL)), 2)
        measured_run(folders[0], 2)
        four, eight, sixteen = _least([partial(measured_run, folder, 2) for folder in folders], settings)
    yield _MATRICES, Measured((sixteen - eight) / (2 * (eight - four)) - 1, note="4, 8 and 16 matrices")


def _least(works: Sequence[Callable[[], object]], settings: Settings) -> list[float]:
    """The least CPU time of some repetitions, taken in turn: what disturbs a clock only adds to it."""
    rounds = [[cpu_seconds(work) for work in works] for _ in range(settings.repeats + 2)]
    return [min(found) for found in zip(*rounds, strict=True)]


def _workers(settings: Settings) -> Found:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_run(folder, dict.fromkeys(_NAMES, (_LARGE, _LARGE)), 12)
        rounds = [(_elapsed(folder, "serial", n), _elapsed(folder, "processes", n)) for n in range(_ROUNDS)]
    one, two = (min(seconds) for seconds in zip(*rounds, strict=True))
    note = (
        "16 matrices, 12 checkpoints; by the clock on the wall, the start of the workers and the sealing included; "
        f"the least of {_ROUNDS} rounds in turn"
    )
    yield _WORKERS, Measured(one / (2 * two), one, two, note=note)


def _elapsed(folder: Path, engine: str, round_: int) -> float:
    """Seconds on the wall of a whole measurement, to a store of its own."""
    start = time.perf_counter()
    measure(
        str(folder / "base"),
        str(folder / "step-*"),
        store=folder / f"{engine}-{round_}.zarr",
        engine=engine,
        workers=2 if engine == "processes" else None,
        device="cpu",
        progress=False,
    )
    return time.perf_counter() - start


SCALING_JOBS = (
    Job("checkpoints", "cost against the number of checkpoints", (_STEPS,), _steps),
    Job("matrices", "cost against the number of matrices", (_MATRICES,), _matrices),
    Job("workers", "one worker against two", (_WORKERS,), _workers, nightly=True),
)
"""How cost grows."""
