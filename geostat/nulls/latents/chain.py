"""Draws of the update before rounding, given the stored pair and a fit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geostat.linalg import subspace_similarity
from geostat.linalg.factored import Side
from geostat.linalg.rounding_cells import RoundingCells
from geostat.nulls.latents.figures import SIDES, Channels, figures
from geostat.nulls.latents.model import Latent, swept
from geostat.nulls.latents.moments import draw_in_cells

__all__ = ["Draws", "drawn", "predicted"]


@dataclass(frozen=True, eq=False)
class Draws:
    """What a chain of draws says.

    Attributes
    ----------
    values : torch.Tensor
        Shape (draw, figure).
    names : tuple of str
        Of the figures.
    mean : torch.Tensor
        Shape (m, n): mean of the drawn updates.
    channels : mapping of str to list of torch.Tensor
        Per side the channel of each draw.
    last : Latent
        State of the chain at its end.
    """

    values: Tensor
    names: tuple[str, ...]
    mean: Tensor
    channels: Mapping[Side, list[Tensor]]
    last: Latent

    def certainty(self, channels: Channels) -> Tensor:
        """Similarity of given channels with those of the draws.

        Parameters
        ----------
        channels : mapping of str to torch.Tensor
            Per side.

        Returns
        -------
        torch.Tensor
            Shape (draw, side).
        """
        found = [[subspace_similarity(channels[s], each) for each in self.channels[s]] for s in SIDES]
        return torch.tensor(found, dtype=torch.float64).mT


def drawn(
    cells: RoundingCells,
    latent: Latent,
    compared: Mapping[str, Channels],
    *,
    K: int,
    before: int,
    count: int,
    rng: np.random.Generator,
) -> Draws:
    """Run a chain of draws of all parameters and of the update in its cells.

    Parameters
    ----------
    cells : RoundingCells
        Where the update lies.
    latent : Latent
        Where the chain starts.
    compared : mapping
        As `figures` takes it.
    K : int
        Size of the channel.
    before, count : int
        Sweeps thrown away, and draws kept.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Draws
        `count` of them.
    """
    values: list[Tensor] = []
    names: tuple[str, ...] = ()
    total = torch.zeros_like(cells.low)
    channels: dict[Side, list[Tensor]] = {side: [] for side in SIDES}
    for state in _states(cells, latent, before, count, rng):
        mean = state.mean
        noise = draw_in_cells((cells.low - mean) / state.noise, (cells.high - mean) / state.noise, rng)
        update = mean + state.noise * noise
        found = figures(update, compared, K=K)
        values.append(found.values)
        names = found.names
        total += update
        for side in SIDES:
            channels[side].append(found.channels[side])
    return Draws(torch.stack(values), names, total / count, channels, state)


def _states(
    cells: RoundingCells, latent: Latent, before: int, count: int, rng: np.random.Generator
) -> Iterator[Latent]:
    for sweep in range(before + count):
        latent = swept(cells, latent, rng)
        if sweep >= before:
            yield latent


def predicted(latent: Latent, rng: np.random.Generator) -> Tensor:
    """Draw an update from the model, whatever the cells.

    Parameters
    ----------
    latent : Latent
        Parameters.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    torch.Tensor
        Shape (m, n).
    """
    mean = latent.mean
    normal = torch.from_numpy(rng.standard_normal(tuple(mean.shape))).to(mean.device)
    return mean + latent.noise * normal
