"""A run halted between two steps, and continued from exactly there more than once."""

import copy
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from geostat.lab.arms import FREE, Arm
from geostat.lab.branches import BranchTask, starting_model
from geostat.lab.directions import block_matrices, channel_noise, channels_of_arm, input_moments
from geostat.lab.model import GPT
from geostat.lab.teacher import load_teacher
from geostat.lab.training import new_optimizer, train
from geostat.training.channels import Channel
from geostat.training.constraint import SubspaceConstraint

__all__ = ["Halted", "continued", "halted", "source_of"]

OnStep = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Halted:
    """All that the continuation of a run depends on.

    Attributes
    ----------
    branch : BranchTask
        The run.
    step : int
        Steps done.
    start : GPT
        As the branch began.
    model : GPT
        As it is now.
    optimizer : dict
        State with Adam's moments.
    generator : torch.Tensor
        State of the source of batches and samples.
    activations : dict of str to torch.Tensor
        By matrix, second moments of its inputs at the start.
    """

    branch: BranchTask
    step: int
    start: GPT
    model: GPT
    optimizer: dict[str, Any]
    generator: Tensor
    activations: dict[str, Tensor]

    def channels(self, arm: Arm) -> dict[str, Channel]:
        """Channel of every matrix in an arm; random ones are the same in every call.

        Parameters
        ----------
        arm : Arm
            Not the free one.

        Returns
        -------
        dict of str to Channel
            By name of the matrix.
        """
        start, now = (_matrices(each.state_dict()) for each in (self.start, self.model))
        return channels_of_arm(arm, start, now, self.activations, self._source(arm))

    @torch.no_grad()
    def disturb(self, model: GPT, arm: Arm) -> None:
        """Add noise to every matrix, as large as its update so far, inside or outside the channel.

        Parameters
        ----------
        model : GPT
            As it is now; changed in place.
        arm : Arm
            Of noise; the same noise in every call.
        """
        start, weights, generator = self.start.state_dict(), model.state_dict(), self._source(arm)
        for name, channel in self.channels(arm).items():
            noise = channel_noise(weights[name] - start[name], channel, arm.outside, generator)
            weights[name].add_(noise)

    def _source(self, arm: Arm) -> torch.Generator:
        return source_of(self.branch.name, arm)


def source_of(run: str, arm: Arm) -> torch.Generator:
    """Random numbers of an arm, which are not those of the batches."""
    return torch.Generator().manual_seed(zlib.crc32(f"{run} {arm.kind}".encode()))


def _matrices(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: weights[name] for name in block_matrices(weights)}


def halted(branch: BranchTask, step: int, on_step: OnStep = lambda step: None) -> Halted:
    """Train a branch up to a step.

    Parameters
    ----------
    branch : BranchTask
        Whose predecessor is there.
    step : int
        At which it halts.
    on_step : callable
        Called with the number of steps done.

    Returns
    -------
    Halted
        The state that the branch itself has at that step, to the bit.
    """
    generator = branch.generator()
    model = starting_model(branch, generator)
    start, activations = copy.deepcopy(model), input_moments(model)
    optimizer = new_optimizer(model, branch.recipe.training)
    _train(branch, model, optimizer, generator, 0, step, on_step=on_step)
    state = copy.deepcopy(optimizer.state_dict())
    return Halted(branch, step, start, model, state, generator.get_state(), activations)


def continued(state: Halted, arm: Arm, on_step: OnStep = lambda step: None) -> tuple[GPT, xr.Dataset | None]:
    """Train a halted run to its end, its matrices held in an arm's directions.

    Parameters
    ----------
    state : Halted
        Stays as it is.
    arm : Arm
        Where it may move.
    on_step : callable
        Called with the number of steps done.

    Returns
    -------
    GPT, xarray.Dataset or None
        The model at the end, and the constraint's report (until it is released); None where there was none.
    """
    branch, model, generator = state.branch, copy.deepcopy(state.model), torch.Generator()
    optimizer = new_optimizer(model, branch.recipe.training)
    optimizer.load_state_dict(copy.deepcopy(state.optimizer))
    generator.set_state(state.generator)
    on = partial(_train, branch, model, optimizer, generator, on_step=on_step)
    if arm.noise:
        state.disturb(model, arm)
    if arm.noise or arm == FREE:
        on(state.step, branch.steps)
        return model, None
    released = (state.step + branch.steps) // 2 if arm.kind == "reopened" else branch.steps
    with SubspaceConstraint(
        model,
        state.channels(arm),
        project=arm.project,
        side=arm.side,
        complement=arm.outside,
        optimizer=optimizer,
    ) as constraint:
        on(state.step, released)
    report = constraint.report()
    on(released, branch.steps)
    return model, report


def _train(
    branch: BranchTask,
    model: GPT,
    optimizer: torch.optim.AdamW,
    generator: torch.Generator,
    first: int,
    last: int,
    *,
    on_step: OnStep,
) -> None:
    recipe, teacher = branch.recipe, load_teacher(branch.teacher).to(branch.device)
    train(
        model,
        lambda student: recipe.objective(student, teacher, recipe.training.batch, generator),
        recipe.training,
        optimizer=optimizer,
        first=first,
        last=last,
        on_step=on_step,
    )
