"""Figures of the update before rounding, as `geostat.latent_update` estimates them from the bf16 files alone."""

from torch import Tensor

from geostat.demo.structures.figures import CHANNEL, SIDES, Figures, Row, recovered_name, similarity_name
from geostat.demo.structures.weights import Weights
from geostat.diagnostics import stable_rank, update_norm
from geostat.linalg import subspace_similarity
from geostat.nulls.latents.result import LatentUpdate
from geostat.nulls.latents.update import latent_update

__all__ = ["latent_figures"]

_WHOLE = {"stable_rank": stable_rank, "update_norm": update_norm}


def latent_figures(weights: Weights, *, rng: int) -> Figures:
    """Stable rank, norm and channel at the end, and similarity of the channel halfway with that one.

    Parameters
    ----------
    weights : Weights
        One matrix.
    rng : int
        Seed.

    Returns
    -------
    dict
        By figure.
    """
    found = latent_update(weights.initial, weights.stored, K=CHANNEL, rng=rng)
    return _end(weights, found) | _halfway(weights, found, rng)


def _end(weights: Weights, found: LatentUpdate) -> Figures:
    stored, trained = (each.minus(weights.initial) for each in (weights.stored, weights.trained))
    told: Figures = {
        name: {"observed": float(measured(stored)), "true": float(measured(trained))} | _estimate(found, name)
        for name, measured in _WHOLE.items()
    }
    for side in SIDES:
        truth = trained.vectors(CHANNEL, side)
        channel: Tensor | None = getattr(found, side)
        told[recovered_name(side)] = {
            "observed": subspace_similarity(stored.vectors(CHANNEL, side), truth),
            "latent": None if channel is None else subspace_similarity(channel, truth),
            "true": 1.0,
        }
    return told


def _halfway(weights: Weights, end: LatentUpdate, rng: int) -> Figures:
    """Of the estimated channels; that at the end is taken as known, where there is an interval for it."""
    if weights.stored_halfway is None:
        return {}
    unknown = str(end.cells["channel_certainty"].isel(side=0)["reason"].item())
    if unknown or end.left is None or end.right is None:
        return {similarity_name(side): {"reason": f"at the end: {unknown}"} for side in SIDES}
    found = latent_update(
        weights.initial, weights.stored_halfway, K=CHANNEL, other=end.left @ end.right.mT, rng=rng
    )
    return {similarity_name(side): _estimate(found, "other_similarity", side=side) for side in SIDES}


def _estimate(found: LatentUpdate, name: str, **place: str) -> Row:
    cell = found.cells[name].sel(place)
    ends = {"latent": cell["estimate"], "low": cell["low"], "high": cell["high"]}
    return {key: float(each) for key, each in ends.items()} | {"reason": str(cell["reason"].item())}
