"""One training loop for every recipe."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from geostat.errors import NonFiniteError
from geostat.lab.model import GPT

__all__ = ["TrainingSettings", "learning_rate_at", "new_optimizer", "one_thread", "train"]


@dataclass(frozen=True)
class TrainingSettings:
    """How long, how much at once and how fast; AdamW's constants are those of every run of the laboratory."""

    steps: int
    batch: int
    learning_rate: float
    schedule: Literal["constant", "cosine"] = "constant"
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-15
    weight_decay: float = 0.0
    gradient_norm: float = 1.0


def learning_rate_at(step: int, settings: TrainingSettings) -> float:
    """Learning rate of the update that leads from `step` to `step + 1`; no warm-up.

    Examples
    --------
    >>> settings = TrainingSettings(steps=100, batch=1, learning_rate=1.0, schedule="cosine")
    >>> [round(learning_rate_at(step, settings), 3) for step in (0, 50, 99)]
    [1.0, 0.5, 0.0]
    """
    if settings.schedule == "constant":
        return settings.learning_rate
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / settings.steps))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside: sums are then taken in one order, so that a seed gives one result."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def new_optimizer(model: GPT, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW as every run of the laboratory has it, with empty moments."""
    return torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        betas=settings.betas,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def train(
    model: GPT,
    loss_of: Callable[[GPT], Tensor | None],
    settings: TrainingSettings,
    *,
    optimizer: torch.optim.AdamW | None = None,
    first: int = 0,
    last: int | None = None,
    on_step: Callable[[int], None] = lambda step: None,
) -> int:
    """Train `model` in place and return how many steps were skipped for want of anything to learn.

    Parameters
    ----------
    model
        The fp32 weights: masters and model are one.
    loss_of
        Draws a batch and returns its loss, or None: then the weights and Adam's moments stay as they are.
    settings
        Steps, learning rate and schedule. The batch size is the business of `loss_of`.
    optimizer
        With the moments of earlier steps; a new one by default.
    first, last
        Steps that are done already, and at which to halt: by default none, and the last of the settings.
    on_step
        Called with the number of steps done, after each one.

    Raises
    ------
    NonFiniteError
        The gradient's norm is not finite.
    """
    optimizer = new_optimizer(model, settings) if optimizer is None else optimizer
    skipped = 0
    for step in range(first, settings.steps if last is None else last):
        optimizer.param_groups[0]["lr"] = learning_rate_at(step, settings)
        loss = loss_of(model)
        if loss is None:
            skipped += 1
        else:
            _update(model, loss, optimizer, settings.gradient_norm, step)
        on_step(step + 1)
    return skipped


def _update(
    model: GPT, loss: Tensor, optimizer: torch.optim.Optimizer, gradient_norm: float, step: int
) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), gradient_norm)
    if not norm.isfinite():
        raise NonFiniteError(
            f"the gradient at step {step} has the norm {norm.item()} (loss {loss.item()}). "
            "The run has diverged: lower learning_rate."
        )
    optimizer.step()
