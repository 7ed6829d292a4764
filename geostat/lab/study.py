"""A study: one base, an anchor for every seed, and branches from that anchor."""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from geostat.errors import GeostatWarning, NonFiniteError, ProtocolError, StoreError
from geostat.lab.asked import asked_dtypes, asked_folder, asked_recipes, asked_seeds, asked_workers
from geostat.lab.branches import BASE, Branch, BranchTask, read_branch
from geostat.lab.objective_names import objective_name
from geostat.lab.recipes import DEMO, Recipe, Scale
from geostat.lab.study_lock import training_alone
from geostat.lab.teacher import teacher_path
from geostat.lab.workers import Progress, Task, run_tasks

__all__ = ["claim", "plan_study", "run_study", "study_settings", "tell_lost", "train_runs"]

ANCHOR = "sft"
BASE_SEED = 0
STUDY = "study.json"


def train_runs(
    out_dir: str | Path,
    seeds: int | Iterable[int],
    recipes: str | Sequence[str] = ("sft", "opd", "rlvr"),
    *,
    scale: Scale = DEMO,
    workers: int = 1,
    dtypes: Sequence[str] = ("bf16",),
    teacher: str | Path | None = None,
    device: str = "cpu",
    progress: Callable[[Progress], None] = lambda event: None,
) -> tuple[Branch, ...]:
    """Train every recipe for every seed, and leave the checkpoints on disk.

    One base is pretrained for all seeds; each seed has its own anchor (the end of its SFT), from which its
    other branches start. What is finished is reused; an interrupted call goes on at the branch it was in. The
    seeds are runs to sample from; that they share a base is a condition of every interval over them.

    Parameters
    ----------
    out_dir
        A directory: ``base``, ``sft-0``, ``opd-0``, ... and ``study.json`` with the settings.
    seeds
        How many (0, 1, ...), or which.
    recipes
        Names from `RECIPES`. The anchor is trained in any case.
    scale
        `DEMO` or `FULL`, or settings of one's own.
    workers
        Processes of one thread each; 1 trains in this process. More need an importable ``__main__`` (a script
        with ``if __name__ == "__main__":``). The weights do not depend on it.
    dtypes
        Storage of the checkpoints: ``"bf16"``, ``"fp32"`` or both.
    teacher
        A file of `save_teacher`; by default the stored teacher.
    device
        Where models are trained, such as ``"cuda"``. Problems and samples are drawn on the CPU all the same, so that
        runs on another device differ in rounding alone, until they part.
    progress
        Called after every training step.

    Returns
    -------
    tuple of Branch
        The branches asked for, seed by seed.

    Raises
    ------
    StoreError
        `out_dir` is a file, holds a study with other settings or a damaged record, a study is running there, or a
        worker died.
    ProtocolError
        `recipes` names one that the scale does not have, there is no such device or storage, or a setting means
        nothing.

    Warns
    -----
    GeostatWarning
        If a branch diverged: it and those that start from it are missing from what is returned.

    Notes
    -----
    An objective of one's own is known by its source, its defaults and what it encloses: a folder that was trained with
    another is refused. What it calls in turn is not looked at.

    Examples
    --------
    A study of two steps, to show what it leaves behind:

    >>> import tempfile
    >>> from geostat.lab.recipes import PRETRAINING, RECIPES, Scale
    >>> recipes = tuple(recipe.shortened(steps=2, batch=4) for recipe in RECIPES.values())
    >>> short = Scale("short", PRETRAINING.shortened(steps=2), recipes, checkpoints=2, problems=16)
    >>> with tempfile.TemporaryDirectory() as out:
    ...     for branch in train_runs(out, seeds=1, recipes=("sft", "opd"), scale=short):
    ...         print(branch.directory.name, [path.name for path in branch.checkpoints()])
    sft-0 ['step-1', 'step-2']
    opd-0 ['step-1', 'step-2']
    """
    out, names, chosen = asked_folder(out_dir), asked_recipes(recipes), asked_seeds(seeds)
    storage, teacher = asked_dtypes(dtypes), None if teacher is None else Path(teacher)
    tasks = plan_study(out, chosen, names, scale=scale, dtypes=storage, teacher=teacher, device=device)
    settings = study_settings(scale, storage, teacher or teacher_path(), device)
    lost = run_study(out, settings, tasks, asked_workers(workers), progress)
    branches = (read_branch(out / f"{recipe}-{seed}") for seed in chosen for recipe in names)
    tell_lost(lost)
    return tuple(branch for branch in branches if branch is not None)


def run_study(
    out: Path,
    settings: dict[str, Any],
    tasks: Sequence[Task],
    workers: int,
    progress: Callable[[Progress], None],
) -> dict[str, NonFiniteError]:
    """Train what is not there yet in a folder that is a study's of these settings, and nobody else's meanwhile."""
    out.mkdir(parents=True, exist_ok=True)
    missing = [task for task in tasks if not task.done]
    with training_alone(out) if missing else nullcontext():
        claim(out / STUDY, settings)
        return run_tasks(missing, workers, progress)


def tell_lost(lost: Mapping[str, NonFiniteError]) -> None:
    """Warn of branches that diverged."""
    for name, error in lost.items():
        warnings.warn(f"{name} is missing: {error}", GeostatWarning, stacklevel=3)


def plan_study(
    out: Path,
    seeds: Sequence[int],
    recipes: Sequence[str],
    *,
    scale: Scale,
    dtypes: tuple[str, ...] = ("bf16",),
    teacher: Path | None = None,
    device: str = "cpu",
) -> tuple[BranchTask, ...]:
    """Every branch of a study, in an order in which each comes after the one it starts from."""
    _check_device(device)

    def task(name: str, recipe: Recipe, seed: int) -> BranchTask:
        start = f"{ANCHOR}-{seed}" if recipe.start == "anchor" else recipe.start
        count, problems, model = scale.checkpoints, scale.problems, scale.model
        return BranchTask(out, name, recipe, seed, start, count, problems, dtypes, teacher, model, device)

    anchors = [task(f"{ANCHOR}-{seed}", scale.recipe(ANCHOR), seed) for seed in seeds]
    branches = [
        task(f"{name}-{seed}", scale.recipe(name), seed)
        for seed in seeds
        for name in recipes
        if name != ANCHOR
    ]
    return (task(BASE, scale.pretraining, BASE_SEED), *anchors, *branches)


def _recipe_settings(recipe: Recipe) -> dict[str, Any]:
    return {
        "start": recipe.start,
        "objective": objective_name(recipe.objective),
        "training": asdict(recipe.training),
    }


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ProtocolError(
            f"device={device!r} was asked for, and torch cannot use it here: {str(error).splitlines()[0]} Pass 'cpu'."
        ) from error


def study_settings(
    scale: Scale, dtypes: tuple[str, ...], teacher: Path, device: str = "cpu"
) -> dict[str, Any]:
    """All that fixes a study's results but its seeds, as JSON gives it back."""
    settings = {
        "scale": scale.name,
        "checkpoints": scale.checkpoints,
        "problems": scale.problems,
        "model": asdict(scale.model),
        "device": device,
        "dtypes": dtypes,
        "base_seed": BASE_SEED,
        "teacher_sha256": hashlib.sha256(teacher.read_bytes()).hexdigest(),
        "recipes": {recipe.name: _recipe_settings(recipe) for recipe in (scale.pretraining, *scale.recipes)},
    }
    return dict(json.loads(json.dumps(settings)))


def claim(path: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a new study, or make sure that an old one has the same; recipes may be added."""
    found = _read_settings(path) if path.is_file() else settings
    known = found["recipes"]
    differing = [key for key in {*found, *settings} - {"recipes"} if found.get(key) != settings.get(key)]
    differing += [
        f"{name}: {' and '.join(key for key in each if known[name].get(key) != each[key])}"
        for name, each in settings["recipes"].items()
        if known.get(name, each) != each
    ]
    if differing:
        raise StoreError(
            f"{path.parent} holds a study with other settings ({', '.join(sorted(differing))} differ; its scale is "
            f"{found.get('scale')!r}, {settings['scale']!r} was asked for). Pass another directory, "
            "or the settings that are in study.json."
        )
    if not path.is_file() or set(settings["recipes"]) - set(known):
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_text(
            json.dumps({**settings, "recipes": {**known, **settings["recipes"]}}, indent=2) + "\n"
        )
        aside.rename(path)


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
        if isinstance(found["recipes"], dict):
            return dict(found)
    except (ValueError, KeyError, TypeError):
        pass
    raise StoreError(
        f"{path} was expected to hold the settings of a study, but does not read so. Pass another directory."
    )
