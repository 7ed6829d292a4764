"""Which parameter of a model holds which matrix of a channel."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from geostat.checkpoints import MatrixRef, list_matrices, strip_wrappers
from geostat.checkpoints.memory import MemoryCheckpoint
from geostat.errors import EmptyCheckpointError, NamingError, ProtocolError
from geostat.training.channels import Channel

__all__ = ["Constrained", "constrained_parameters"]


@dataclass(frozen=True, eq=False)
class Constrained:
    """A matrix, the parameter that holds it, and its channel."""

    ref: MatrixRef
    parameter: torch.nn.Parameter
    channel: Channel


def constrained_parameters(model: torch.nn.Module, channels: Mapping[str, Channel]) -> list[Constrained]:
    """Find the matrices of a channel in a model.

    Parameters
    ----------
    model : torch.nn.Module
        The model, wrapped or not.
    channels : mapping of str to Channel
        By name of a matrix, or of a parameter that is one matrix.

    Returns
    -------
    list of Constrained
        In the order of the channels.

    Raises
    ------
    NamingError
        If the model has no such matrix.
    ShapeError, NonFiniteError
        If a channel does not fit its matrix.
    ProtocolError
        If a parameter is frozen, tied or sharded.
    """
    if not isinstance(model, torch.nn.Module):
        raise ProtocolError(
            f"model is a {type(model).__name__}; the torch.nn.Module that trains was expected."
        )
    parameters = {strip_wrappers(name): each for name, each in model.named_parameters(remove_duplicate=False)}
    _refuse_sharded(parameters)
    refs = _refs(model, channels)
    found, names = [], dict[str, str]()
    for name, channel in channels.items():
        ref = _ref(name, refs, parameters)
        parameter = parameters[ref.tensor]
        _refuse(ref, parameter, parameters)
        channel.check(ref.name, (ref.rows, ref.cols))
        if ref.name in names:
            raise NamingError(
                f"the channel names one matrix twice, as '{names[ref.name]}' and as '{name}'. Leave one out."
            )
        names[ref.name] = name
        found.append(Constrained(ref, parameter, channel))
    return found


def _refs(model: torch.nn.Module, names: Iterable[str]) -> dict[str, MatrixRef]:
    """Matrices by name, and by name of the tensor where it holds no other."""
    wanted = {strip_wrappers(name) for name in names}
    try:
        listed = list_matrices(
            MemoryCheckpoint(model), lambda ref: ref.name in wanted or ref.tensor in wanted, strict=False
        )
    except EmptyCheckpointError:
        return {}
    by_tensor = {ref.tensor: ref for ref in listed if ref.layout.rows is None and ref.layout.index is None}
    return by_tensor | {ref.name: ref for ref in listed}


def _ref(name: str, refs: Mapping[str, MatrixRef], parameters: Mapping[str, torch.nn.Parameter]) -> MatrixRef:
    ref = refs.get(strip_wrappers(name))
    if name in parameters and parameters[name].ndim != 2 and ref is None:
        raise NamingError(
            f"the channel names '{name}', which has {parameters[name].ndim} dims and is not a matrix. Leave it out, or "
            "constrain its matrices by the names that geostat.list_matrices gives them."
        )
    if ref is None or ref.tensor not in parameters:
        matrices = [key for key, each in parameters.items() if each.ndim == 2]
        raise NamingError(
            f"the channel names '{name}', but the model has no such matrix; its parameters with two dims are "
            f"{', '.join(matrices[:4])}{' ...' if len(matrices) > 4 else ''} ({len(matrices)}). Check that the channel "
            "was computed from this model."
        )
    return ref


def _refuse(
    ref: MatrixRef, parameter: torch.nn.Parameter, parameters: Mapping[str, torch.nn.Parameter]
) -> None:
    if not parameter.requires_grad:
        raise ProtocolError(
            f"'{ref.tensor}' is frozen (requires_grad is False): it does not move, so a channel means nothing. "
            "Leave it out of the channel, or train it."
        )
    names = [name for name, each in parameters.items() if each is parameter]
    if len(names) > 1:
        raise ProtocolError(
            f"'{ref.tensor}' is one parameter under the names {', '.join(names)}: a channel of one would bind the "
            "other. Untie them, or leave it out of the channel."
        )


def _refuse_sharded(parameters: Mapping[str, torch.nn.Parameter]) -> None:
    sharded = [name for name, each in parameters.items() if hasattr(each, "placements")]
    if sharded or any(name.endswith("_flat_param") for name in parameters):
        raise ProtocolError(
            "parameters of this model are sharded over processes "
            f"({', '.join(sharded[:3]) or 'FSDP flat parameters'}): no rank holds a whole gradient to project. Train "
            "with replicated parameters (DDP), or on one device."
        )
