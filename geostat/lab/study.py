"""A study: one base, an anchor for every seed, and branches from that anchor."""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from geostat.errors import GeostatWarning, NonFiniteError, ProtocolError
from geostat.lab.branches import BASE, Branch, BranchTask, read_branch
from geostat.lab.callable_names import callable_name
from geostat.lab.checkpoints import DTYPES
from geostat.lab.recipes import DEMO, Recipe, Scale
from geostat.lab.study_folder import claimed
from geostat.lab.teacher import teacher_path
from geostat.lab.workers import Progress, run_tasks

__all__ = ["chosen_seeds", "plan_study", "refuse_nothing", "study_settings", "tell_lost", "train_runs"]

ANCHOR = "sft"
BASE_SEED = 0


def train_runs(
    out_dir: str | Path,
    seeds: int | Iterable[int],
    recipes: Sequence[str] = ("sft", "opd", "rlvr"),
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
        `out_dir` holds a study with other settings, or a worker died.
    ProtocolError
        `recipes` names one that the scale does not have, or there is no such device.

    Warns
    -----
    GeostatWarning
        If a branch diverged: it and those that start from it are missing from what is returned.

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
    out, recipes, chosen = Path(out_dir), tuple(dict.fromkeys(recipes)), chosen_seeds(seeds)
    teacher = None if teacher is None else Path(teacher)
    tasks = plan_study(
        out, chosen, recipes, scale=scale, dtypes=tuple(dtypes), teacher=teacher, device=device
    )
    settings = study_settings(scale, tuple(dtypes), teacher or teacher_path(), device)
    with claimed(out, settings):
        lost = run_tasks([task for task in tasks if read_branch(out / task.name) is None], workers, progress)
    branches = (read_branch(out / f"{recipe}-{seed}") for seed in chosen for recipe in recipes)
    tell_lost(lost)
    found = tuple(branch for branch in branches if branch is not None)
    refuse_nothing(found)
    return found


def refuse_nothing(found: Sequence[object]) -> None:
    """Raise where no run is left."""
    if not found:
        raise NonFiniteError(
            "no run was left: all of them diverged, as the warnings say. Lower the learning rate."
        )


def chosen_seeds(seeds: int | Iterable[int]) -> tuple[int, ...]:
    """Which seeds were asked for: so many, or these."""
    found = tuple(range(seeds)) if isinstance(seeds, int) else tuple(dict.fromkeys(seeds))
    if not found or not all(isinstance(seed, int) and seed >= 0 for seed in found):
        raise ProtocolError(f"seeds={seeds!r}: pass how many, at least 1, or which, none of them negative.")
    return found


def tell_lost(lost: Mapping[str, NonFiniteError]) -> None:
    """Warn of branches that diverged."""
    for name, error in lost.items():
        warnings.warn(f"{name} is missing, all else was trained: {error}", GeostatWarning, stacklevel=3)


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
    if not set(dtypes) <= set(DTYPES) or not dtypes:
        raise ProtocolError(f"dtypes={dtypes!r}: pass a sequence of {' and '.join(DTYPES)}.")

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
        "objective": callable_name(recipe.objective),
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
