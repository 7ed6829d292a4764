"""Independent random updates as storage shows them: what rounding onto one W_0 makes of Haar."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from geostat.linalg import Factored, factored, subspace_similarity
from geostat.linalg.factored import Side
from geostat.nulls.across_runs.agreement_density import scale_for_density, stored_update

__all__ = ["LatentSpectrum", "draw_channels", "haar_update", "latent_spectrum", "similarities"]

Floats = npt.NDArray[np.float64]
Channels = dict[Side, list[Tensor]]

ROUNDS = 4
"""Simulated updates from which the singular values before rounding are found."""
_LARGEST_CHANGE = 4.0


@dataclass(frozen=True, eq=False)
class LatentSpectrum:
    """Singular values that an update must have had, so that storage shows those that it shows.

    Attributes
    ----------
    values : torch.Tensor
        Shape (p,), descending.
    density : float
        Share of entries that a random update with these values changes visibly, as stored.
    """

    values: Tensor
    density: float


def haar_update(shape: tuple[int, int], values: Tensor, rng: np.random.Generator) -> Tensor:
    """Draw an update of given singular values whose singular vectors are uniformly distributed on both sides.

    Parameters
    ----------
    shape : tuple of int
        (m, n).
    values : torch.Tensor
        Shape (p,), p at most min(m, n).
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    torch.Tensor
        Shape (m, n), float64.
    """
    left, right = (_haar_frame(size, len(values), rng) for size in shape)
    return (left * values) @ right.mT


def _haar_frame(size: int, k: int, rng: np.random.Generator) -> Tensor:
    """Orthonormal columns, uniform: QR with the signs of the diagonal taken out."""
    q, r = torch.linalg.qr(torch.from_numpy(rng.standard_normal((size, k))))
    frame: Tensor = q * torch.sign(torch.diagonal(r))
    return frame


def latent_spectrum(initial: Tensor, update: Factored, rng: np.random.Generator) -> LatentSpectrum:
    """Singular values before rounding, by matching those after it.

    Storage adds the singular values of its errors to those of the update, so that rounding a random update with
    the *stored* singular values would round twice. Starting from them, at the scale at which as many entries change
    as in the run, each is multiplied by its ratio to what rounding made of it, a few times over.

    Parameters
    ----------
    initial : torch.Tensor
        Shape (m, n), bfloat16 or float16.
    update : Factored
        Shape (m, n): a run's stored update, not zero.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    LatentSpectrum
        The values, and the density at which they are visible.
    """
    shape = (update.rows, update.cols)
    stored = update.singular_values
    density = float((update.values != 0).to(torch.float64).mean())
    values = stored * scale_for_density(initial, haar_update(shape, stored, rng), density)
    for _ in range(ROUNDS):
        simulated = factored(stored_update(initial, haar_update(shape, values, rng))).singular_values
        ratio = stored / simulated.clamp(min=torch.finfo(torch.float64).tiny)
        values = (values * ratio.clamp(1 / _LARGEST_CHANGE, _LARGEST_CHANGE)).sort(descending=True).values
    seen = stored_update(initial, haar_update(shape, values, rng))
    return LatentSpectrum(values, float((seen != 0).to(torch.float64).mean()))


def draw_channels(
    initial: Tensor, values: Tensor, *, K: int, sides: Sequence[Side], n: int, rng: np.random.Generator
) -> Channels:
    """Leading directions of random updates after rounding.

    Parameters
    ----------
    initial : torch.Tensor
        Shape (rows, cols), bfloat16 or float16.
    values : torch.Tensor
        Singular values before rounding.
    K : int
        Directions.
    sides : sequence of {"left", "right"}
        Which.
    n : int
        How many updates.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    dict
        Side -> n bases.
    """
    rows, columns = initial.shape
    found: Channels = {side: [] for side in sides}
    for _ in range(n):
        drawn = Factored(stored_update(initial, haar_update((rows, columns), values, rng)), wanted=K)
        if not drawn.is_zero:
            for side in sides:
                found[side].append(drawn.channel(K, side))
    return found


def similarities(first: Sequence[Tensor], second: Sequence[Tensor]) -> Floats:
    """Similarity of every basis of one run to every one of another.

    Parameters
    ----------
    first, second : sequence of torch.Tensor
        Bases.

    Returns
    -------
    numpy.ndarray
        Shape (len(first), len(second)).
    """
    return np.array([[subspace_similarity(a, b) for b in second] for a in first])
