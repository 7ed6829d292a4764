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
    early : torch.Tensor
        Mean of the first half of them.
    channels : mapping of str to list of torch.Tensor
        Per side the channel of each draw.
    noiseless : torch.Tensor or None
        As `values`, of the low-rank parts alone, where the noise is lost in their own uncertainty, or as small as
        a chain lets it be: then there may be none. None where some draws resolve it.
    last : Latent
        State of the chain at its end.
    """

    values: Tensor
    names: tuple[str, ...]
    mean: Tensor
    early: Tensor
    channels: Mapping[Side, list[Tensor]]
    noiseless: Tensor | None
    last: Latent

    def certainty(self, channels: Channels, *, start: int = 0) -> Tensor:
        """Similarity of given channels with those of the draws.

        Parameters
        ----------
        channels : mapping of str to torch.Tensor
            Per side.
        start : int
            First draw that is compared.

        Returns
        -------
        torch.Tensor
            Shape (draw, side).
        """
        found = [[subspace_similarity(channels[s], each) for each in self.channels[s][start:]] for s in SIDES]
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
    smooth: list[Tensor] = []
    total = early = torch.zeros_like(cells.low)
    channels: dict[Side, list[Tensor]] = {side: [] for side in SIDES}
    for state in _states(cells, latent, before, count, rng):
        mean = state.mean
        sd = state.sd
        update = mean + sd * draw_in_cells((cells.low - mean) / sd, (cells.high - mean) / sd, rng)
        found = figures(update, compared, K=K)
        values.append(found.values)
        names = found.names
        if len(smooth) == len(values) - 1 and _hides_noise(state):
            smooth.append(figures(mean, compared, K=K).values)
        total = total + update
        if len(values) == count // 2:
            early = total / len(values)
        for side in SIDES:
            channels[side].append(found.channels[side])
    noiseless = torch.stack(smooth) if len(smooth) == count else None
    return Draws(torch.stack(values), names, total / count, early, channels, noiseless, state)


def _hides_noise(latent: Latent) -> bool:
    slack = float(latent.left_slack.mean() + latent.right_slack.mean()) if latent.rank else 0.0
    return latent.least or float((latent.sd**2).mean()) < slack


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
    return mean + latent.sd * normal
