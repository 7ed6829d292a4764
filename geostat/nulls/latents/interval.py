"""Intervals for figures of the latent update: draws, their errors in rehearsals, and hidden directions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geostat.linalg.rounding import round_to_bf16
from geostat.linalg.rounding_cells import RoundingCells, rounding_cells
from geostat.nulls.latents.chain import Draws, drawn, predicted
from geostat.nulls.latents.figures import Channels, Figures, figures
from geostat.nulls.latents.model import Latent

__all__ = ["Interval", "Rehearsal", "interval", "rehearsed", "scaled", "stored_channels", "unscaled"]

POSITIVE = ("stable_rank", "update_norm")
"""Figures whose errors are taken on a log scale."""
SETTLING = 15
"""Sweeps thrown away at the start of a rehearsal, which starts at its truth."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its ends."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """An update of known truth, rounded and estimated in the same way.

    Attributes
    ----------
    draws : Draws
        What the chain says.
    truth : Figures
        The figures themselves.
    stored : torch.Tensor
        What storage left of it, shape (m, n).
    """

    draws: Draws
    truth: Figures
    stored: Tensor


def stored_channels(initial: Tensor, updated: Tensor, K: int) -> Channels:
    """Channels of the stored update.

    Parameters
    ----------
    initial, updated : torch.Tensor
        Shape (m, n).
    K : int
        Size.

    Returns
    -------
    mapping of str to torch.Tensor
        Per side.
    """
    return figures(updated.to(torch.float64) - initial.to(torch.float64), {}, K=K).channels


def rehearsed(
    initial: Tensor,
    latent: Latent,
    compared: Mapping[str, Channels],
    *,
    K: int,
    count: int,
    rng: np.random.Generator,
) -> Rehearsal:
    """Draw an update from the fit, store it on top of the same start, and estimate it.

    Parameters
    ----------
    initial : torch.Tensor
        Shape (m, n), 16 bits.
    latent : Latent
        The fit, taken as truth.
    compared : mapping
        As `figures` takes it; the channel of the stored update is that of the rehearsal.
    K, count
        As `drawn` takes them.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Rehearsal
        Its draws and its truth.
    """
    update = predicted(latent, rng)
    moved = initial.to(torch.float64) + update
    updated = round_to_bf16(moved) if initial.dtype is torch.bfloat16 else moved.to(initial.dtype)
    told = {**compared, "stored_similarity": stored_channels(initial, updated, K)}
    cells = RoundingCells(*rounding_cells(initial, updated))
    draws = drawn(cells, latent, told, K=K, before=SETTLING, count=count, rng=rng)
    return Rehearsal(draws, figures(update, told, K=K), updated.to(torch.float64) - initial.to(torch.float64))


def interval(name: str, chains: Sequence[Tensor], errors: Sequence[float], *, level: float) -> Interval:
    r"""Interval from draws, corrected by the errors that rehearsals made.

    With mean and standard deviation of a chain's draws and the mean error of R rehearsals,

    .. math:: \bar x - \bar e \pm \sqrt{t_{D - 1}^2 \, \hat\sigma^2 (1 + 1/R) + \bar e^2}

    (a correction is no surer than it is large) on a log scale for norms and ranks; the hull over chains, and its
    middle as the estimate.

    Parameters
    ----------
    name : str
        Figure.
    chains : sequence of torch.Tensor
        Draws on the scale of `scaled`.
    errors : sequence of float
        Estimate less truth, on the same scale.
    level : float
        Of the interval.

    Returns
    -------
    Interval
        In the figure's units.
    """
    from scipy import stats

    bias, spread = (float(np.mean(errors)), 1 + 1 / len(errors)) if errors else (0.0, 1.0)
    ends = []
    for chain in chains:
        quantile = float(stats.t.ppf((1 + level) / 2, len(chain) - 1))
        half = math.hypot(quantile * float(chain.std()) * math.sqrt(spread), bias)
        middle = float(chain.mean()) - bias
        ends.append((middle - half, middle + half))
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    return Interval(*(unscaled(name, value) for value in ((low + high) / 2, low, high)))


def scaled(name: str, values: Tensor) -> Tensor:
    """Put figures on the scale on which their errors are about normal."""
    return values.log() if name in POSITIVE else values


def unscaled(name: str, value: float) -> float:
    """Put a number back into the figure's units."""
    return math.exp(value) if name in POSITIVE else min(max(value, 0.0), 1.0)
