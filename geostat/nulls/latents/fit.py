"""A stored pair fitted, drawn from, rehearsed, and turned into intervals."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geostat.linalg import subspace_similarity
from geostat.linalg.factored import Side
from geostat.nulls.latents.chain import Draws, drawn
from geostat.nulls.latents.figures import SIDES, Channels, figures
from geostat.nulls.latents.interval import Interval, Rehearsal, interval, rehearsed, scaled
from geostat.nulls.latents.model import Latent, information
from geostat.nulls.latents.pair import StoredPair
from geostat.nulls.latents.rank import fitted, with_hidden_directions
from geostat.nulls.latents.undetected import lowered_rank, undetected

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
    compared : mapping
        What it was compared with.
    information : float
        Number of exactly known entries that would say as much.
    hidden : float
        Share of the update's energy that is noise, or directions too weak to stand out.
    undetected : float
        Singular value of the strongest direction that may be among them.
    """

    rank: int
    noise: float
    chains: tuple[Draws, ...]
    rehearsals: tuple[Rehearsal, ...]
    channels: Channels
    compared: Mapping[str, Channels]
    information: float
    hidden: float
    undetected: float

    @property
    def unresolved(self) -> bool:
        """Whether the noise cannot be told from none."""
        return self.chains[0].noiseless is not None

    @property
    def ranks(self) -> Tensor:
        """Stable rank of each draw."""
        return self._drawn("stable_rank")

    @property
    def ranks_with_undetected(self) -> Tensor:
        """Stable rank of each draw, if there were the strongest direction that may be there."""
        shape = tuple(self.chains[0].mean.shape)
        return lowered_rank(self.ranks, self._drawn("update_norm"), self.undetected, self.noise, shape)

    def _drawn(self, name: str) -> Tensor:
        return self.chains[0].values[:, self.chains[0].names.index(name)]


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
    most = min(effort.max_rank, max(1, min(pair.update.shape) // 2))
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
    return Fit(
        found.rank,
        truth.noise,
        chains,
        rehearsals,
        channels,
        compared,
        information(cells, truth),
        float((truth.sd**2).sum()) / float(torch.linalg.vector_norm(chains[0].mean)) ** 2,
        undetected(cells, found, rng),
    )


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
        chains = [
            draws[:, i]
            for chain in found.chains
            for draws in (chain.values, chain.noiseless)
            if draws is not None
        ]
        if name == "stable_rank":
            chains.append(found.ranks_with_undetected)
        errors = [_error(name, i, each) for each in found.rehearsals]
        told[name] = interval(name, [scaled(name, chain) for chain in chains], errors, level=level)
    certain = [chain.certainty(found.channels) for chain in found.chains]
    overconfident = [_overconfidence(each) for each in found.rehearsals]
    for i, side in enumerate(SIDES):
        errors = [error[i] for error in overconfident]
        told[f"{CERTAINTY} {side}"] = interval(CERTAINTY, [c[:, i] for c in certain], errors, level=level)
        for name in (each for each in found.compared if each != "stored_similarity"):
            full = [_unattenuated(found, name, side, c[:, i]) for c in certain]
            told[f"{name} {side}"] = _around(interval(name, full, (), level=level), told[f"{name} {side}"])
    return told


def _unattenuated(found: Fit, name: str, side: Side, certainty: Tensor) -> Tensor:
    """Similarity with a given channel, if what is hidden of the latent one is as similar to it as what is seen.

    Draws of what is hidden know nothing of the given channel and meet it by chance alone.
    """
    mine, given = found.channels[side], found.compared[name][side]
    chance = given.shape[1] / len(given)
    return (subspace_similarity(mine, given) - (1 - certainty) * chance) / certainty


def _around(full: Interval, attenuated: Interval) -> Interval:
    """Interval around the corrected similarity that reaches the uncorrected one, and as far to the other side."""
    reach = max(full.estimate - attenuated.low, full.high - full.estimate)
    return Interval(full.estimate, full.estimate - reach, full.estimate + reach)


def _error(name: str, i: int, rehearsal: Rehearsal) -> float:
    estimate = scaled(name, rehearsal.draws.values[:, i]).mean()
    return float(estimate - scaled(name, rehearsal.truth.values[i]))


def _overconfidence(rehearsal: Rehearsal) -> list[float]:
    """Certainty of a rehearsal's channel, less its similarity with the true one."""
    true = rehearsal.truth.channels
    draws = rehearsal.draws
    mine = figures(draws.early, {}, K=true["left"].shape[1]).channels
    told = draws.certainty(mine, start=len(draws.values) // 2).mean(dim=0)
    return [float(told[i]) - subspace_similarity(mine[side], true[side]) for i, side in enumerate(SIDES)]
