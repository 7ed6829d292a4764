"""Directions of each matrix of a model: of its update, of its inputs, or of nothing."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from geostat.errors import ProtocolError
from geostat.lab.arms import Arm
from geostat.lab.model import GPT
from geostat.lab.problems import TUNING_OPERATIONS, draw_problems
from geostat.lab.sampling import answer_logits
from geostat.linalg import factored
from geostat.linalg.factored import Side
from geostat.training.channels import Channel

__all__ = [
    "activation_directions",
    "block_matrices",
    "channel_noise",
    "channels_of_arm",
    "counting_inputs",
    "input_moments",
]

Weights = Mapping[str, Tensor]
_PROBLEMS = 512


def block_matrices(weights: Weights) -> tuple[str, ...]:
    """Names of the matrices of all blocks: neither embeddings nor the head.

    Parameters
    ----------
    weights : mapping of str to torch.Tensor
        State of a `GPT`.

    Returns
    -------
    tuple of str
        12 in two layers.
    """
    return tuple(name for name, each in weights.items() if name.startswith("blocks.") and each.ndim == 2)


def channels_of_arm(
    arm: Arm, start: Weights, now: Weights, activations: Weights, generator: torch.Generator
) -> dict[str, Channel]:
    """Channel of every matrix in one arm.

    Parameters
    ----------
    arm : Arm
        Not the free one.
    start, now : mapping of str to torch.Tensor
        Matrices, by name, at the start of the branch, and when the twins part.
    activations : mapping of str to torch.Tensor
        By matrix, (n, n) second moments of its inputs.
    generator : torch.Generator
        Source of random directions.

    Returns
    -------
    dict of str to Channel
        By name of the matrix. The complement's is the channel it is the complement of.

    Raises
    ------
    ProtocolError
        If an update has fewer directions than are asked for.
    """
    sides: tuple[Side, ...] = ("left", "right") if arm.side == "both" else (arm.side,)
    inputs = activation_directions(activations, arm.K) if arm.kind == "activations" else {}

    def directions(name: str, side: Side) -> Tensor:
        if arm.kind == "activations":
            return inputs[name]
        if arm.kind == "random":
            return _random(now[name].shape[side == "right"], arm.K, generator)
        return _leading(name, now[name] - start[name], arm.K, side)

    return {name: Channel(**{s: directions(name, s).float() for s in sides}) for name in now}


def _leading(name: str, update: Tensor, K: int, side: Side) -> Tensor:
    whole = factored(update.double().cpu())
    if whole.leading_rank(K) < K:
        raise ProtocolError(
            f"K={K} directions of '{name}' were asked for, whose update has {whole.leading_rank(K)}. Take a smaller K, "
            "or let the twins part later."
        )
    return whole.vectors(K, side)


def _random(size: int, K: int, generator: torch.Generator) -> Tensor:
    found: Tensor = torch.linalg.qr(torch.randn(size, K, generator=generator, dtype=torch.float64)).Q
    return found


def channel_noise(update: Tensor, channel: Channel, outside: bool, generator: torch.Generator) -> Tensor:
    """Gaussian noise inside a channel or outside it, of the norm of an update.

    Parameters
    ----------
    update : torch.Tensor
        Shape (m, n).
    channel : Channel
        Its directions.
    outside : bool
        Which of the two.
    generator : torch.Generator
        Source.

    Returns
    -------
    torch.Tensor
        Shape (m, n).
    """
    drawn = torch.randn(update.shape, generator=generator)
    inside = channel.inside(drawn)
    found = (drawn - inside if outside else inside).to(update.device)
    return found * float(torch.linalg.vector_norm(update) / torch.linalg.vector_norm(found))


def activation_directions(moments: Weights, K: int) -> dict[str, Tensor]:
    """Leading eigenvectors of the inputs' second moments.

    Parameters
    ----------
    moments : mapping of str to torch.Tensor
        By matrix, (n, n).
    K : int
        How many.

    Returns
    -------
    dict of str to torch.Tensor
        (n, K), orthonormal.
    """
    return {name: torch.linalg.eigh(each).eigenvectors[:, -K:].flip(1) for name, each in moments.items()}


@torch.no_grad()
def input_moments(model: GPT, *, problems: int = _PROBLEMS, seed: int = 0) -> dict[str, Tensor]:
    r"""Second moments of what each matrix of the blocks is applied to, :math:`E[x x^\top]`, not centred.

    A gradient is a sum of outer products of errors and inputs, so that the directions of an update on the input side
    are combinations of inputs. How much of a channel is this, and no more, is what it says.

    Parameters
    ----------
    model : GPT
        At the start of a branch.
    problems : int
        Right answers to so many problems of the tuning operations are read.
    seed : int
        Which problems.

    Returns
    -------
    dict of str to torch.Tensor
        By matrix, (n, n), float64.
    """
    drawn = draw_problems(TUNING_OPERATIONS, problems, torch.Generator().manual_seed(seed))
    found: dict[str, Tensor] = {}
    with ExitStack() as stack:
        for name, layer in model.named_modules():
            if name.startswith("blocks.") and isinstance(layer, nn.Linear):
                stack.callback(counting_inputs(layer, f"{name}.weight", found))
        answer_logits(model, drawn.prompts, drawn.answers)
    return found


def counting_inputs(layer: nn.Module, name: str, found: dict[str, Tensor]) -> Callable[[], None]:
    """Take the second moments of a layer's inputs whenever it is called.

    Parameters
    ----------
    layer : torch.nn.Module
        Applied to vectors along the last dim of its first argument.
    name : str
        Of its matrix.
    found : dict of str to torch.Tensor
        Where the moments of the latest call go, (n, n), float64.

    Returns
    -------
    callable
        Ends it.
    """

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        rows = inputs[0].detach().double().flatten(0, -2)
        found[name] = (rows.mT @ rows / len(rows)).cpu()

    return layer.register_forward_pre_hook(hook).remove
