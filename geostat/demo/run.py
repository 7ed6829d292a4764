"""Train SFT, OPD and RLVR for several seeds, measure every checkpoint, and sum up."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr
from tqdm import tqdm

from geostat.demo.summary import Summary, summarise
from geostat.lab import DEMO, Branch, Progress, Scale, save_teacher, train_runs, train_teacher
from geostat.lab.measuring import measure_branches
from geostat.lab.study import plan_study
from geostat.nulls.null_result import NullResult
from geostat.nulls.walks.diffusion import diffusion_null
from geostat.report import panel
from geostat.trajectories import combine

__all__ = ["RECIPES", "Demo", "run_demo"]

RECIPES = ("sft", "opd", "rlvr")
FIGURE = (
    "update_sparsity",
    "mean_principal_angle",
    "normalized_spectral_shift",
    "stable_rank",
    "relative_update_norm",
    "forward_capture",
)
WALKS = 59
"""Random walks behind the curves of forward capture."""


@dataclass(frozen=True)
class Demo:
    """What a demonstration left behind.

    Attributes
    ----------
    runs : xarray.Dataset
        All runs, combined.
    summary : Summary
        Table, sentences, results.
    files : dict of str to Path
        What was written, by what it is.
    """

    runs: xr.Dataset
    summary: Summary
    files: dict[str, Path]


def run_demo(
    out: str | Path,
    *,
    seeds: int = 3,
    workers: int = 2,
    scale: Scale = DEMO,
    retrain_teacher: bool = False,
    progress: bool = True,
) -> Demo:
    """Train real runs, measure them through the public path, and sum up.

    Finished branches and stores are reused, so a second call takes seconds.

    Parameters
    ----------
    out : path
        Folder for checkpoints, stores, figure, tables.
    seeds : int
        Independent runs of each recipe; they share one pretrained base.
    workers : int
        Processes of one thread each.
    scale : Scale
        Settings of the laboratory; `DEMO` has fewer steps than `FULL`.
    retrain_teacher : bool
        Whether to train the teacher anew instead of taking the stored one.
    progress : bool
        Whether to show progress bars on standard error.

    Returns
    -------
    Demo
        The combined runs, their summary, and the files written.

    Raises
    ------
    StoreError
        If the folder holds something else, or cannot be written.
    """
    folder = Path(out)
    teacher = _new_teacher(folder, progress) if retrain_teacher else None
    branches = _train(folder / "runs", seeds, workers, scale, teacher, progress)
    stores = _measure(folder / "stores", branches, workers, progress)
    runs = combine(
        {(branch.recipe, branch.seed): stores[branch.directory.name] for branch in branches}
    ).load()
    summary = summarise(runs, branches, scale)
    return Demo(runs, summary, _write(folder, runs, summary))


def _new_teacher(folder: Path, show: bool) -> Path:
    path = folder / "teacher.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with _bar("training the teacher", 1600, show) as bar:
            save_teacher(train_teacher(on_step=lambda step: _advance(bar, step)), path)
    return path


def _advance(bar: "tqdm[Any]", step: int) -> None:
    bar.update(step - bar.n)


@contextmanager
def _bar(what: str, total: int, show: bool, unit: str = "step") -> "Iterator[tqdm[Any]]":
    with tqdm(total=total, desc=what, unit=unit, disable=not show, dynamic_ncols=True) as bar:
        yield bar


def _train(
    folder: Path, seeds: int, workers: int, scale: Scale, teacher: Path | None, show: bool
) -> tuple[Branch, ...]:
    tasks = plan_study(folder, range(seeds), RECIPES, scale=scale, teacher=teacher)
    waiting = [task for task in tasks if not (folder / task.name).exists()]
    done: dict[str, int] = {}
    with _bar(f"training {len(waiting)} runs", sum(t.recipe.training.steps for t in waiting), show) as bar:

        def follow(event: Progress) -> None:
            bar.update(event.step - done.get(event.branch, 0))
            done[event.branch] = event.step

        return train_runs(
            folder, seeds, RECIPES, scale=scale, workers=workers, teacher=teacher, progress=follow
        )


def _measure(folder: Path, branches: Sequence[Branch], workers: int, show: bool) -> dict[str, Path]:
    with _bar(f"measuring {len(branches)} runs", len(branches), show, unit="run") as bar:
        return measure_branches(branches, folder, workers=workers, on_done=bar.update)


def _write(folder: Path, runs: xr.Dataset, summary: Summary) -> dict[str, Path]:
    files = {
        "checkpoints": folder / "runs",
        "stores": folder / "stores",
        "figure": folder / "geometry.png",
        "table": folder / "table.tex",
        "summary": folder / "summary.txt",
        "results": folder / "results.json",
    }
    figure = panel(_drawn(runs), FIGURE, columns=3, x="progress", envelopes=_walks(runs))
    figure.savefig(files["figure"], dpi=150)
    files["table"].write_text(
        summary.table.to_latex(caption=summary.caption, label="tab:geometry", standalone=True)
    )
    files["summary"].write_text(f"{summary.table.to_text()}\n\n{summary.paragraph}\n")
    files["results"].write_text("[" + ",\n".join(result.to_json() for result in summary.results) + "]\n")
    return files


def _walks(runs: xr.Dataset) -> dict[str, NullResult]:
    """What random walks of the runs' norms capture of their own future."""
    found = diffusion_null(runs, statistics=["forward_capture"], storage="fp32", n=WALKS)
    return {name: found[name] for name in found.cells}


def _drawn(runs: xr.Dataset) -> xr.Dataset:
    """One curve a recipe: the right side of what has two."""
    return runs[list(FIGURE)].sel(side="right")
