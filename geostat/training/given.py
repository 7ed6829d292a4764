"""Channels as a user gives them: bases by name, or a measured run and a step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from geostat.errors import ProtocolError
from geostat.training.channels import Channel, ChannelSide
from geostat.trajectories.store import open_trajectory, vectors

__all__ = ["channels_of", "check_side", "given_channels", "stored_channels"]

USUAL_K = 16


def given_channels(
    channel: Mapping[str, Any] | Any, step: int | None, K: int | None, side: ChannelSide
) -> dict[str, Channel]:
    """Channels from bases by name, or from a store.

    Parameters
    ----------
    channel, step, K, side
        As in `geostat.training.SubspaceConstraint`.

    Returns
    -------
    dict of str to Channel
        By name.

    Raises
    ------
    ProtocolError
        If it is neither.
    """
    check_side(side)
    if isinstance(channel, xr.Dataset | xr.DataArray):
        raise ProtocolError(
            "an open dataset was passed as the channel, which holds no vectors. Pass the store's path."
        )
    if isinstance(channel, Mapping):
        if step is not None or K is not None:
            raise ProtocolError("step and K choose from a store, but the channel was passed as a mapping.")
        return channels_of(channel, side)
    if not isinstance(channel, str | Path):
        raise ProtocolError(
            f"the channel is a {type(channel).__name__}; a mapping from names of matrices to bases, or the path of a "
            "store, was expected."
        )
    if step is None:
        raise ProtocolError(f"the channel is taken from {channel}: pass step=, the step of its update.")
    return stored_channels(channel, step=step, K=USUAL_K if K is None else K, side=side)


def channels_of(given: Mapping[str, Any], side: ChannelSide) -> dict[str, Channel]:
    """Read channels from what a user passes.

    Parameters
    ----------
    given : mapping
        Name of a matrix -> `Channel`, or basis (an array of shape (m, K) or (n, K)) for one side, or (left, right)
        for both.
    side : {"right", "left", "both"}
        What bases mean.

    Returns
    -------
    dict of str to Channel
        By name.

    Raises
    ------
    ProtocolError
        If `side` is none of these, or the bases are not what it says.
    """
    check_side(side)
    if not given:
        raise ProtocolError("the channel is empty: it names no matrix, so nothing would be constrained.")
    return {name: _channel(name, basis, side) for name, basis in given.items()}


def check_side(side: object) -> None:
    """Refuse what is no side.

    Parameters
    ----------
    side : object
        What was asked for.

    Raises
    ------
    ProtocolError
        If it is none of the three.
    """
    if side not in ("left", "right", "both"):
        raise ProtocolError(f"side={side!r}. Choose 'right' (inputs), 'left' (outputs) or 'both'.")


def _channel(name: object, basis: Any, side: ChannelSide) -> Channel:
    if not isinstance(name, str):
        raise ProtocolError(
            f"the channel has a key of type {type(name).__name__}; names of matrices were expected, such as "
            "'blocks.0.attention.query'. See geostat.list_matrices, or named_parameters of the model."
        )
    if isinstance(basis, Channel):
        return basis
    if side != "both":
        return Channel(**{side: _tensor(name, basis)})
    if not isinstance(basis, tuple | list) or len(basis) != 2:
        raise ProtocolError(
            f"side='both' needs a pair (left, right) for '{name}', but found {type(basis).__name__}."
        )
    return Channel(_tensor(name, basis[0]), _tensor(name, basis[1]))


def _tensor(name: str, basis: Any) -> Tensor:
    try:
        found: Tensor = basis if isinstance(basis, Tensor) else torch.from_numpy(np.array(basis))
    except (TypeError, ValueError):
        raise ProtocolError(
            f"the basis of '{name}' is a {type(basis).__name__} that does not read as an array of numbers; a "
            "matrix of shape (n, K) was expected, and a pair (left, right) only with side='both'."
        ) from None
    return found.detach() if found.is_floating_point() or found.is_complex() else found.to(torch.float64)


def stored_channels(store: Any, *, step: int, K: int = 16, side: ChannelSide = "right") -> dict[str, Channel]:
    """Channels of a measured run: leading singular vectors of its updates at one step.

    Parameters
    ----------
    store : path
        A sealed store that holds vectors.
    step : int
        One of its steps.
    K : int
        Directions of each matrix.
    side : {"right", "left", "both"}
        Of inputs, of outputs, or both.

    Returns
    -------
    dict of str to Channel
        By name of the matrix.

    Raises
    ------
    ProtocolError
        If the store has no such step, or fewer directions.
    StoreError
        If it cannot be read, or holds no vectors.
    """
    dataset = open_trajectory(store)
    steps = dataset["step"].values.tolist()
    if step not in steps:
        raise ProtocolError(f"{store} has no step {step}. It has {', '.join(map(str, steps))}.")
    return {name: _stored(store, name, step, K, side) for name in map(str, dataset["matrix"].values)}


def _stored(store: Any, name: str, step: int, K: int, side: ChannelSide) -> Channel:
    found = vectors(store, name).sel(step=step)
    if not isinstance(K, int) or not 1 <= K <= found.sizes["component"]:
        raise ProtocolError(
            f"K={K!r}: {store} holds {found.sizes['component']} directions of '{name}'. Take a smaller K, or "
            "measure again with a protocol of larger K."
        )
    sides = ("left", "right") if side == "both" else (side,)
    return Channel(**{each: torch.from_numpy(found[each].values[:, :K].copy()) for each in sides})
