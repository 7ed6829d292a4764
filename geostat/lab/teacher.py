"""The shared teacher: three layers, trained on the tuning operations from fresh weights."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import torch
from safetensors.torch import save_file

from geostat.errors import EmptyCheckpointError
from geostat.lab.checkpoints import model_from_file
from geostat.lab.model import GPT, GPTConfig, build_model
from geostat.lab.recipes import TEACHER_TRAINING
from geostat.lab.training import one_thread, train

__all__ = ["TEACHER_CONFIG", "load_teacher", "save_teacher", "teacher_path", "train_teacher"]

TEACHER_CONFIG = GPTConfig(layers=3)
TEACHER_SEED = 0


def teacher_path() -> Path:
    """Where the stored teacher lies: in the installed package, else in the checkout's ``fixtures``.

    Raises
    ------
    EmptyCheckpointError
        It lies in neither place.
    """
    packaged = Path(str(resources.files("geostat.lab"))) / "data" / "teacher.safetensors"
    fixture = Path(__file__).parents[2] / "fixtures" / "teacher" / "teacher.safetensors"
    for path in (packaged, fixture):
        if path.is_file():
            return path
    raise EmptyCheckpointError(
        f"the stored teacher was looked for at {packaged} and {fixture}, and lies in neither place. "
        "Make it anew (about two minutes): geostat.lab.train_teacher(), or geostat demo --retrain-teacher."
    )


def load_teacher(path: Path | None = None) -> GPT:
    """Load the stored teacher (or the one in a file of `save_teacher`), frozen, in fp32."""
    return model_from_file(path or teacher_path(), TEACHER_CONFIG).requires_grad_(False)


def save_teacher(teacher: GPT, path: Path) -> None:
    """Write a teacher's weights in bf16 to one safetensors file, aside and renamed."""
    aside = path.with_name(f".{path.name}.partial")
    tensors = {name: tensor.to(torch.bfloat16) for name, tensor in teacher.state_dict().items()}
    save_file(tensors, aside, metadata={"format": "pt"})
    aside.rename(path)


def train_teacher(seed: int = TEACHER_SEED, *, on_step: Callable[[int], None] = lambda step: None) -> GPT:
    """Train the teacher anew and return it frozen: 1,600 steps, about two minutes on one thread.

    The same seed gives the same weights on one machine; another machine may differ in the last bits of each
    sum, and hence, after 1,600 steps, visibly.
    """
    generator = torch.Generator().manual_seed(seed)
    with one_thread():
        model = build_model(TEACHER_CONFIG, generator)
        settings = TEACHER_TRAINING.training
        train(
            model,
            lambda student: TEACHER_TRAINING.objective(student, student, settings.batch, generator),
            settings,
            on_step=on_step,
        )
    return model.requires_grad_(False)
