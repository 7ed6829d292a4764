"""Somebody's own run, halted and continued from there more than once."""

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from geostat.checkpoints import MatrixRef, Selection, list_matrices, strip_wrappers
from geostat.checkpoints.memory import MemoryCheckpoint
from geostat.errors import NonFiniteError, ProtocolError
from geostat.lab.arms import Arm
from geostat.lab.directions import channel_noise, channels_of_arm, counting_inputs
from geostat.lab.halting import source_of
from geostat.lab.random_numbers import random_numbers, restore_numbers, seed_all
from geostat.training.channels import Channel
from geostat.training.constraint import SubspaceConstraint
from geostat.training.parameters import constrained_parameters

__all__ = ["OwnRun", "Parted", "continued", "part"]

Start = Callable[[int], tuple[torch.nn.Module, torch.optim.Optimizer]]
Train = Callable[[torch.nn.Module, torch.optim.Optimizer, range, int], object]
Evaluate = Callable[[torch.nn.Module], float]


@dataclass(frozen=True)
class OwnRun:
    """How a run begins, trains and is judged.

    Attributes
    ----------
    recipe : str
        Name.
    seed : int
        Of the run.
    start, train, evaluate : callable
        As in `geostat.lab.sufficiency_of`.
    matrices : Selection
        Which are held.
    """

    recipe: str
    seed: int
    start: Start
    train: Train
    evaluate: Evaluate
    matrices: Selection

    @property
    def name(self) -> str:
        """Label of the run."""
        return f"{self.recipe}-{self.seed}"

    def judge(self, model: torch.nn.Module) -> float:
        """Evaluate, and refuse what is no share."""
        with torch.no_grad():
            found = float(self.evaluate(model))
        if math.isnan(found):
            raise NonFiniteError(f"evaluate gave NaN for {self.name}: its training has diverged.")
        if not 0 <= found <= 1:
            raise ProtocolError(
                f"evaluate gave {found:g} for {self.name}; a share in [0, 1] was expected, such as accuracy. Of a loss "
                "in nats per token, return exp(-loss)."
            )
        return found


@dataclass(frozen=True, eq=False)
class Parted:
    """A run where its twins part; `model` and `optimizer` are set back to here for each of them.

    Attributes
    ----------
    run : OwnRun
        Which.
    model, optimizer
        In use.
    refs : sequence of MatrixRef
        Matrices that are held.
    begun, now : dict of str to torch.Tensor
        They, at the start and here.
    activations : dict of str to torch.Tensor
        By matrix, second moments of its inputs while the start was evaluated; for layers that apply one matrix.
    state : tuple
        Of the model, of the optimizer, and of the global random numbers.
    before, parted : float
        Evaluations.
    """

    run: OwnRun
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    refs: Sequence[MatrixRef]
    begun: dict[str, Tensor]
    now: dict[str, Tensor]
    activations: dict[str, Tensor]
    state: tuple[Any, Any, Any]
    before: float
    parted: float

    def set_back(self) -> None:
        """Be here again, to the bit."""
        weights, moments, numbers = self.state
        self.model.load_state_dict(weights)
        self.optimizer.load_state_dict(copy.deepcopy(moments))
        self.model.zero_grad(set_to_none=True)
        restore_numbers(numbers)

    def channels(self, arm: Arm) -> dict[str, Channel]:
        """Channel of every matrix in an arm that is not free."""
        if arm.kind == "activations" and (
            blind := [name for name in self.now if name not in self.activations]
        ):
            raise ProtocolError(
                f"{arm.name} needs the inputs of every matrix, but while the start was evaluated no layer with one "
                f"matrix as its weight was called for {', '.join(blind[:3])}. Leave this arm out, or these matrices."
            )
        return channels_of_arm(arm, self.begun, self.now, self.activations, source_of(self.run.name, arm))

    @torch.no_grad()
    def disturb(self, arm: Arm) -> None:
        """Add noise as large as the update so far, inside the channel or outside it."""
        source, parameters = source_of(self.run.name, arm), _parameters(self.model)
        for ref in self.refs:
            update = self.now[ref.name] - self.begun[ref.name]
            noise = channel_noise(update, self.channels(arm)[ref.name], arm.outside, source)
            whole = parameters[ref.tensor]
            ref.layout.put(whole, ref.layout.take(whole) + noise.to(whole))


def part(run: OwnRun, step: int, arms: Sequence[Arm]) -> Parted:
    """Begin a run, and train it up to a step.

    Parameters
    ----------
    run : OwnRun
        Which.
    step : int
        Where its twins part.
    arms : sequence of Arm
        That will be asked for: too large ones are refused before anything is trained.

    Returns
    -------
    Parted
        There.
    """
    seed_all(run.seed)
    model, optimizer = run.start(run.seed)
    refs = _trained(model, run.matrices)
    _check_sizes(refs, arms)
    with ExitStack() as stack:
        activations = _watched(model, refs, stack)
        before = run.judge(model)
    begun = _taken(model, refs)
    run.train(model, optimizer, range(step), run.seed)
    weights, moments = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    state = (weights, moments, random_numbers())
    return Parted(
        run, model, optimizer, refs, begun, _taken(model, refs), activations, state, before, run.judge(model)
    )


def continued(here: Parted, arm: Arm, steps: range) -> tuple[float, xr.Dataset | None]:
    """Train a twin to the end, its matrices held in an arm's directions.

    Parameters
    ----------
    here : Parted
        Where it begins.
    arm : Arm
        Where it may move.
    steps : range
        What is left of training.

    Returns
    -------
    float, xarray.Dataset or None
        Evaluation at the end, and the constraint's report; None where there was none.
    """
    here.set_back()
    if arm.noise:
        here.disturb(arm)
    held = arm.kind != "free" and not arm.noise
    middle = steps[len(steps) // 2] if arm.kind == "reopened" else steps.stop
    with _constraint(here, arm) if held else nullcontext() as constraint:
        here.run.train(here.model, here.optimizer, range(steps.start, middle), here.run.seed)
    report = None if constraint is None else constraint.report()
    if middle < steps.stop:
        here.run.train(here.model, here.optimizer, range(middle, steps.stop), here.run.seed)
    return here.run.judge(here.model), report


def _constraint(here: Parted, arm: Arm) -> SubspaceConstraint:
    settings: dict[str, Any] = {"project": arm.project, "side": arm.side, "complement": arm.outside}
    return SubspaceConstraint(here.model, here.channels(arm), optimizer=here.optimizer, **settings)


def _trained(model: torch.nn.Module, matrices: Selection) -> Sequence[MatrixRef]:
    """Matrices that training moves; what a constraint would refuse is refused here, before training."""
    listed = list_matrices(MemoryCheckpoint(model), matrices, strict=False)
    parameters = _parameters(model)
    found = [ref for ref in listed if ref.tensor in parameters and parameters[ref.tensor].requires_grad]
    if not found:
        raise ProtocolError(
            f"all {len(listed)} matrices of matrices={matrices!r} are frozen. Choose some that train."
        )
    constrained_parameters(model, {ref.name: Channel(right=torch.eye(ref.cols, 1)) for ref in found})
    return found


def _check_sizes(refs: Sequence[MatrixRef], arms: Sequence[Arm]) -> None:
    least = min(refs, key=lambda ref: min(ref.rows, ref.cols))
    if too_large := [arm.name for arm in arms if min(least.rows, least.cols) < arm.K]:
        raise ProtocolError(
            f"{', '.join(too_large)}: '{least.name}' is {least.rows} x {least.cols} and has no so many directions. Ask "
            "for a smaller K, or leave small matrices out with matrices=."
        )


def _parameters(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {strip_wrappers(name): each for name, each in model.named_parameters()}


def _taken(model: torch.nn.Module, refs: Sequence[MatrixRef]) -> dict[str, Tensor]:
    parameters = _parameters(model)
    return {
        ref.name: ref.layout.take(parameters[ref.tensor].detach()).to("cpu", torch.float32, copy=True)
        for ref in refs
    }


def _watched(model: torch.nn.Module, refs: Sequence[MatrixRef], stack: ExitStack) -> dict[str, Tensor]:
    """Second moments of the inputs of every layer whose weight is one matrix, from here to the end of the stack."""
    found: dict[str, Tensor] = {}
    single = {ref.tensor: ref.name for ref in refs if ref.layout.rows is None and ref.layout.index is None}
    for name, layer in model.named_modules():
        if (tensor := strip_wrappers(f"{name}.weight")) in single and not isinstance(
            layer, torch.nn.Embedding
        ):
            stack.callback(counting_inputs(layer, single[tensor], found))
    return found
