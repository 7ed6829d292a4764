"""One training run on disk: its checkpoints, its fp32 master and a record, written aside and renamed.

    opd-0/
        bf16/step-0 ... step-N      what is measured; step-0 is the start, exactly
        fp32/step-0 ... step-N      as an option
        master/                     the last state in fp32; later branches start from it rounded to bf16
        branch.json                 recipe, seed, settings, accuracies, seconds, versions

The base is a branch too; it keeps one checkpoint, ``step-0``: the pretrained weights. A directory with its
final name is finished: whatever a kill leaves behind starts with a dot and is thrown away by the next call.
"""

import json
import platform
import shutil
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from geostat.errors import StoreError
from geostat.lab.checkpoints import load_checkpoint, save_checkpoint
from geostat.lab.evaluation import Accuracy, evaluate
from geostat.lab.model import GPT, STUDENT, GPTConfig, build_model
from geostat.lab.problems import evaluation_problems
from geostat.lab.recipes import Recipe
from geostat.lab.teacher import load_teacher
from geostat.lab.training import TrainingSettings, train

__all__ = [
    "BASE",
    "Branch",
    "BranchTask",
    "checkpoint_steps",
    "read_branch",
    "starting_model",
    "train_branch",
]

BASE = "base"
RECORD = "branch.json"


@dataclass(frozen=True)
class BranchTask:
    """What is needed to train one branch, in this process or in another."""

    out: Path
    name: str
    recipe: Recipe
    seed: int
    start: str | None
    checkpoints: int
    problems: int
    dtypes: tuple[str, ...]
    teacher: Path | None
    model: GPTConfig = STUDENT
    device: str = "cpu"

    @property
    def steps(self) -> int:
        """How many training steps it takes."""
        return self.recipe.training.steps

    @property
    def done(self) -> bool:
        """Whether it is there."""
        return read_branch(self.out / self.name) is not None

    def run(self, on_step: Callable[[int], None]) -> None:
        """Train the branch, unless it is there."""
        train_branch(self, on_step)

    def generator(self) -> torch.Generator:
        """Seeded from the branch's name: it does not depend on which others were trained, when and where."""
        return torch.Generator().manual_seed(zlib.crc32(self.name.encode()))


@dataclass(frozen=True)
class Branch:
    """A finished branch: where it lies, how it was trained and what that did to its accuracy.

    `start` and `end` are exact accuracies on the fixed evaluation problems; `skipped` counts the steps that
    changed nothing because every group of samples had one reward; `seconds` is the time of training alone.
    """

    directory: Path
    recipe: str
    seed: int
    settings: TrainingSettings
    start: Accuracy
    end: Accuracy
    skipped: int
    seconds: float
    saved_steps: tuple[int, ...]
    dtypes: tuple[str, ...]
    versions: dict[str, str]

    @property
    def gain(self) -> float:
        """Expected accuracy at the end less that at the start: of this seed, without an interval."""
        return self.end.expected - self.start.expected

    def base(self, dtype: str = "bf16") -> Path:
        """Path of the stored W0: the start of the branch, in the same storage as its checkpoints."""
        return self.directory / dtype / "step-0"

    def checkpoints(self, dtype: str = "bf16") -> tuple[Path, ...]:
        """Paths of the checkpoints after the start, in order."""
        return tuple(self.directory / dtype / f"step-{step}" for step in self.saved_steps if step > 0)


def checkpoint_steps(steps: int, count: int) -> tuple[int, ...]:
    """`count` steps up to the last, as evenly as whole numbers allow.

    Examples
    --------
    >>> checkpoint_steps(200, 8)
    (25, 50, 75, 100, 125, 150, 175, 200)
    """
    count = min(count, steps)
    return tuple(round(steps * (i + 1) / count) for i in range(count))


def read_branch(directory: Path) -> Branch | None:
    """Read the finished branch in a directory; None if there is none.

    Raises
    ------
    StoreError
        Its record is damaged.
    """
    path = directory / RECORD
    if not path.is_file():
        return None
    try:
        return _branch(directory, json.loads(path.read_text()))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(
            f"{path} was expected to be the record of a branch, but does not read as one ({error}). Remove the folder "
            f"{directory}, and call again to train that branch anew."
        ) from error


def _branch(directory: Path, record: dict[str, Any]) -> Branch:
    settings = record["settings"]
    return Branch(
        directory=directory,
        recipe=record["recipe"],
        seed=record["seed"],
        settings=TrainingSettings(**{**settings, "betas": tuple(settings["betas"])}),
        start=Accuracy(**record["start"]),
        end=Accuracy(**record["end"]),
        skipped=record["skipped"],
        seconds=record["seconds"],
        saved_steps=tuple(record["saved_steps"]),
        dtypes=tuple(record["dtypes"]),
        versions=record["versions"],
    )


def train_branch(task: BranchTask, on_step: Callable[[int], None] = lambda step: None) -> Branch:
    """Train one branch from start to end, or return it if it is already there."""
    directory = task.out / task.name
    if (finished := read_branch(directory)) is not None:
        return finished
    aside = task.out / f".{task.name}.partial"
    shutil.rmtree(aside, ignore_errors=True)
    generator = task.generator()
    model = starting_model(task, generator)
    problems = evaluation_problems(task.problems)
    start = evaluate(model, problems)
    before = time.perf_counter()
    saved_steps, skipped = _train(task, model, generator, aside, on_step)
    seconds = time.perf_counter() - before
    save_checkpoint(model, aside / "master", "fp32")
    branch = Branch(
        directory=directory,
        recipe=task.recipe.name,
        seed=task.seed,
        settings=task.recipe.training,
        start=start,
        end=evaluate(model, problems),
        skipped=skipped,
        seconds=round(seconds, 2),
        saved_steps=saved_steps,
        dtypes=task.dtypes,
        versions={"torch": torch.__version__, "python": platform.python_version()},
    )
    record = {key: value for key, value in asdict(branch).items() if key != "directory"}
    (aside / RECORD).write_text(json.dumps(record, indent=2) + "\n")
    aside.rename(directory)
    return branch


def starting_model(task: BranchTask, generator: torch.Generator) -> GPT:
    """Where a branch starts: from fresh weights, or from the branch before it as its bf16 file holds it."""
    if task.start is None:
        return build_model(task.model, generator).to(task.device)
    return _as_stored(load_checkpoint(task.out / task.start / "master")).to(task.device)


@torch.no_grad()
def _as_stored(model: GPT) -> GPT:
    """Start where one starts who has the checkpoint alone: from weights rounded to bf16, exact from there on."""
    for parameter in model.parameters():
        parameter.copy_(parameter.to(torch.bfloat16))
    return model


def _train(
    task: BranchTask, model: GPT, generator: torch.Generator, aside: Path, on_step: Callable[[int], None]
) -> tuple[tuple[int, ...], int]:
    """Train and save; return the steps saved and the number of steps skipped."""
    recipe, teacher = task.recipe, load_teacher(task.teacher).to(task.device)
    is_base = task.start is None
    grid = () if is_base else checkpoint_steps(recipe.training.steps, task.checkpoints)

    def save(step: int) -> None:
        for dtype in task.dtypes:
            save_checkpoint(model, aside / dtype / f"step-{step}", dtype)

    def after_step(step: int) -> None:
        if step in grid:
            save(step)
        on_step(step)

    if not is_base:
        save(0)
    skipped = train(
        model,
        lambda student: recipe.objective(student, teacher, recipe.training.batch, generator),
        recipe.training,
        on_step=after_step,
    )
    if is_base:
        save(0)
    return (0, *grid), skipped
