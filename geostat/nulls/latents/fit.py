"""A stored pair fitted, drawn from, rehearsed, and turned into intervals."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geostat.linalg import subspace_similarity
from geostat.nulls.latents.chain import Draws, drawn
from geostat.nulls.latents.figures import SIDES, Channels, figures
from geostat.nulls.latents.interval import Interval, Rehearsal, interval, rehearsed, scaled
from geostat.nulls.latents.model import Latent
from geostat.nulls.latents.pair import StoredPair
from geostat.nulls.latents.rank import fitted, with_hidden_directions

__all__ = ["CERTAINTY", "Effort", "Fit", "fit", "intervals"]

BEFORE = 20
"""Sweeps thrown away at the start of a chain."""
CERTAINTY = "channel_certainty"


@dataclass(frozen=True)
class Effort:
    """How much is computed.

    Attributes
    ----------
    max_rank, draws, rehearsals : int
        Most directions, draws of each chain, and updates of known truth.
    """

    max_rank: int
    draws: int
    rehearsals: int


@dataclass(frozen=True, eq=False)
class Fit:
    """What was found of a stored pair.

    Attributes
    ----------
    rank : int
        Directions that stand out.
    noise : float
        Standard deviation of an entry beside them.
    chains : tuple of Draws
        Without and with directions that do not stand out.
    rehearsals : tuple of Rehearsal
        Updates drawn from the fit.
    channels : mapping of str to torch.Tensor
        Estimated channel per side.
    """

    rank: int
    noise: float
    chains: tuple[Draws, ...]
    rehearsals: tuple[Rehearsal, ...]
    channels: Channels


def fit(pair: StoredPair, compared: Mapping[str, Channels], effort: Effort, rng: np.random.Generator) -> Fit:
    """Fit, draw and rehearse.

    Parameters
    ----------
    pair : StoredPair
        What is stored.
    compared : mapping
        As `figures` takes it.
    effort : Effort
        How much is computed.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Fit
        What was found.
    """
    K, cells = pair.K, pair.cells
    most = min(effort.max_rank, max(1, min(pair.update.shape) // 4))
    found = fitted(cells, max_rank=most, rng=rng)
    chains = tuple(
        drawn(cells, start, compared, K=K, before=BEFORE, count=effort.draws, rng=rng)
        for start in (found, with_hidden_directions(cells, found, K))
    )
    truth: Latent = chains[0].last
    rehearsals = tuple(
        rehearsed(pair.initial, truth, compared, K=K, count=effort.draws // 2, rng=rng)
        for _ in range(effort.rehearsals)
    )
    channels = figures((chains[0].mean + chains[1].mean) / 2, {}, K=K).channels
    return Fit(found.rank, truth.noise, chains, rehearsals, channels)


def intervals(found: Fit, level: float) -> dict[str, Interval]:
    """Intervals of all figures, and the certainty of the estimated channel.

    Parameters
    ----------
    found : Fit
        Of a stored pair.
    level : float
        Of the intervals.

    Returns
    -------
    dict of str to Interval
        By figure, with its side where it has one.
    """
    told = {}
    for i, name in enumerate(found.chains[0].names):
        chains = [scaled(name, chain.values[:, i]) for chain in found.chains]
        errors = [_error(name, i, each) for each in found.rehearsals]
        told[name] = interval(name, chains, errors, level=level)
    certain = [chain.certainty(found.channels) for chain in found.chains]
    overconfident = [_overconfidence(each) for each in found.rehearsals]
    for i, side in enumerate(SIDES):
        errors = [error[i] for error in overconfident]
        told[f"{CERTAINTY} {side}"] = interval(CERTAINTY, [c[:, i] for c in certain], errors, level=level)
    return told


def _error(name: str, i: int, rehearsal: Rehearsal) -> float:
    estimate = scaled(name, rehearsal.draws.values[:, i]).mean()
    return float(estimate - scaled(name, rehearsal.truth.values[i]))


def _overconfidence(rehearsal: Rehearsal) -> list[float]:
    """Certainty of a rehearsal's channel, less its similarity with the true one."""
    true = rehearsal.truth.channels
    mine = figures(rehearsal.draws.mean, {}, K=true["left"].shape[1]).channels
    told = rehearsal.draws.certainty(mine).mean(dim=0)
    return [float(told[i]) - subspace_similarity(mine[side], true[side]) for i, side in enumerate(SIDES)]
