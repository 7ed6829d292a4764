"""Figures of a random walk from pairs of Gaussian matrices: the same laws as whole walks, at a few decompositions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from geostat.linalg.products import gram, product
from geostat.nulls.walks.covariance import InputCovariance
from geostat.nulls.walks.leading import ahead_of, leading
from geostat.nulls.walks.paths import SIDES, Draws, WalkShape

__all__ = ["PairLaw", "draws_of", "pair_law"]

GRID = 16
"""Correlations at which similarities are simulated where a walk, or many matrices, have more."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PairLaw:
    r"""Draws of what a walk's figures at one checkpoint are functions of.

    Of Gaussian increments the past A and the next increment B are independent, whatever came before, and the
    figures blind to scale; so stable rank, capture and past-next similarity have one law at every checkpoint. A
    similarity between two checkpoints depends on the share of variance that they have in common alone:

    .. math:: \Delta W_t \propto A, \qquad \Delta W_u \propto \rho A + \sqrt{1 - \rho^2}\, B, \qquad
        \rho = \|\Delta W_t\| / \|\Delta W_u\|

    Attributes
    ----------
    angles : numpy.ndarray
        Shape (angles,), ascending: arccos of the correlations that were simulated.
    similarity : numpy.ndarray
        Shape (draws, sides, angles).
    constant : mapping of str to numpy.ndarray
        ``stable_rank`` (draws, 1), ``forward_capture`` and ``past_next_similarity`` (draws, sides).
    """

    angles: Floats
    similarity: Floats
    constant: dict[str, Floats]

    def similarities(self, correlations: Floats) -> Floats:
        """Similarities at given correlations, linear in the angle between simulated ones.

        Parameters
        ----------
        correlations : numpy.ndarray
            Shape (checkpoints,), in [0, 1]; NaN where a checkpoint has no partner.

        Returns
        -------
        numpy.ndarray
            Shape (draws, sides, checkpoints).
        """
        wanted = np.arccos(np.clip(correlations, 0.0, 1.0))
        flat = self.similarity.reshape(-1, len(self.angles))
        found = np.array([np.interp(wanted, self.angles, curve) for curve in flat])
        shaped = found.reshape(*self.similarity.shape[:2], len(correlations))
        return np.where(np.isnan(correlations), np.nan, shaped)


def correlations(shape: WalkShape, statistic: str) -> Floats:
    """Root of the share of a later checkpoint's variance that the walk has at each checkpoint.

    Parameters
    ----------
    shape : WalkShape
        Variances.
    statistic : {"similarity_to_end", "lagged_similarity"}
        Which later checkpoint.

    Returns
    -------
    numpy.ndarray
        Shape (checkpoints,); NaN where there is no later one, or the walk has not moved.
    """
    here, later = shape.variances, np.asarray(shape.later)
    there = np.full_like(here, here[-1])
    if statistic == "lagged_similarity":
        there = np.where(later > np.arange(len(here)), here[later], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt(np.where(here > 0, here / there, np.nan)))


def draws_of(law: PairLaw, shape: WalkShape, statistics: Sequence[str]) -> Draws:
    """Draws of a walk's figures at all its checkpoints.

    Draws at different checkpoints share their Gaussian matrices: each checkpoint has the law of a walk, all of
    them together have not.

    Parameters
    ----------
    law : PairLaw
        Of the walk's shape and covariance.
    shape : WalkShape
        Variances and horizon.
    statistics : sequence of str
        Which figures.

    Returns
    -------
    Draws
        By statistic, shape (draws, sides, checkpoints).
    """
    found: Draws = {}
    moved = shape.variances > 0
    ahead = np.asarray(shape.later) > np.arange(len(moved))
    for name in statistics:
        if name in law.constant:
            where = moved if name == "stable_rank" else moved & ahead
            found[name] = np.where(where, law.constant[name][..., None], np.nan)
        else:
            found[name] = law.similarities(correlations(shape, name))
    return found


def pair_law(
    shapes: Sequence[WalkShape], statistics: Sequence[str], n: int, rng: np.random.Generator
) -> PairLaw:
    """Simulate the pairs that walks of one shape and covariance need.

    Parameters
    ----------
    shapes : sequence of WalkShape
        Of equal rows, cols, covariance and K.
    statistics : sequence of str
        Which figures will be asked for.
    n : int
        Draws.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    PairLaw
        With the correlations of these walks, or `GRID` that span them.
    """
    first = shapes[0]
    similar = [name for name in ("similarity_to_end", "lagged_similarity") if name in statistics]
    asked = [np.arccos(correlations(shape, name).clip(0, 1)) for shape in shapes for name in similar]
    angles = _grid(np.concatenate(asked)) if asked else np.zeros(1)
    ahead = bool({"forward_capture", "past_next_similarity"} & set(statistics))
    draws = [_draw(first.rows, first.cols, first.covariance, first.K, angles, ahead, rng) for _ in range(n)]
    similarity = np.stack([similarity for similarity, _ in draws])
    return PairLaw(
        angles, similarity, {name: np.stack([each[name] for _, each in draws]) for name in draws[0][1]}
    )


def _grid(angles: Floats) -> Floats:
    known = np.unique(np.round(angles[~np.isnan(angles)], 9))
    if not known.size:
        return np.zeros(1)
    return known if known.size <= GRID else np.quantile(known, np.linspace(0, 1, GRID))


def _draw(
    rows: int,
    cols: int,
    covariance: InputCovariance,
    K: int,
    angles: Floats,
    ahead: bool,
    rng: np.random.Generator,
) -> tuple[Floats, dict[str, Floats]]:
    """Similarities (sides, angles), and the figures that are the same at every checkpoint."""
    turned = rows > cols
    past, following = (_gaussian(rows, cols, covariance, rng) for _ in range(2))
    if turned:
        past, following = past.mT.contiguous(), following.mT.contiguous()
    squares = gram(past)
    start = leading(past, squares, K)
    constant = {"stable_rank": np.array([1.0 / float(start.values[0]) ** 2])}
    similarity = np.ones((len(SIDES), len(angles)))
    if ahead or bool((angles > 0).any()):
        other = gram(following)
        crossed = product(past, following.mT)
        for i, angle in enumerate(angles):
            if angle > 0:
                c, s = float(np.cos(angle)), float(np.sin(angle))
                mixed = c * c * squares + s * s * other + c * s * (crossed + crossed.mT)
                similarity[:, i] = start.similarity(leading(c * past + s * following, mixed, K))
        if ahead:
            constant |= ahead_of(start, following, leading(following, other, K), K)
    order = slice(None, None, -1) if turned else slice(None)
    sided = {name: values if name == "stable_rank" else values[order] for name, values in constant.items()}
    return similarity[order], sided


def _gaussian(rows: int, cols: int, covariance: InputCovariance, rng: np.random.Generator) -> Tensor:
    noise = covariance.coloured(torch.from_numpy(rng.standard_normal((rows, cols))))
    scaled: Tensor = noise / torch.linalg.vector_norm(noise)
    return scaled
