"""Figures of an update: stable rank, norm, channel and how it compares with given ones."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from geostat.diagnostics import stable_rank, top_k_energy, update_norm
from geostat.linalg import factored, subspace_similarity
from geostat.linalg.factored import Factored, Side

__all__ = ["SIDES", "Channels", "Figures", "figures"]

SIDES: tuple[Side, Side] = ("left", "right")
Channels = Mapping[Side, Tensor]
"""Per side the orthonormal columns that span it."""


@dataclass(frozen=True, eq=False)
class Figures:
    """What is reported of an update.

    Attributes
    ----------
    values : torch.Tensor
        One number for each of `names`, float64.
    names : tuple of str
        Quantity, with its side where it has one: ``"stored_similarity left"``.
    channels : mapping of str to torch.Tensor
        Leading singular vectors per side.
    """

    values: Tensor
    names: tuple[str, ...]
    channels: Channels


def figures(update: Tensor | Factored, compared: Mapping[str, Channels], *, K: int) -> Figures:
    """Stable rank, norm, energy in the channel, and similarities of the channel with others.

    Parameters
    ----------
    update : torch.Tensor
        Shape (m, n), float64.
    compared : mapping of str to mapping
        Name of a similarity, and the channels that it compares with.
    K : int
        Size of the channel.

    Returns
    -------
    Figures
        In a fixed order.
    """
    whole = factored(update)
    whole.wanted = max(whole.wanted, K)
    channels: Channels = {side: whole.channel(K, side) for side in SIDES}
    found = {
        "stable_rank": stable_rank(whole),
        "update_norm": update_norm(whole),
        "top_k_energy": top_k_energy(whole, K=K),
    }
    for name, other in compared.items():
        found |= {f"{name} {side}": subspace_similarity(channels[side], other[side]) for side in SIDES}
    return Figures(torch.tensor(list(found.values()), dtype=torch.float64), tuple(found), channels)
