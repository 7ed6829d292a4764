"""Figures of masks beside an update that ignores W_0."""

from geostat.demo.structures.figures import Figures, Row
from geostat.demo.structures.weights import Weights
from geostat.diagnostics import update_sparsity
from geostat.nulls.gates.gate import gate_null
from geostat.nulls.gates.law import ANY_LAW
from geostat.nulls.gates.request import GateStatistic

__all__ = ["gate_figures"]

ALPHA = 0.3
_OVERLAPS: tuple[GateStatistic, ...] = ("low_magnitude_mask_overlap", "principal_mask_overlap")
_PERMUTATIONS = 99


def gate_figures(weights: Weights, *, rng: int) -> Figures:
    """Unchanged fraction and overlaps at the end of a run.

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
    return {"update_sparsity": _sparsity(weights)} | {
        name: _overlap(weights, name, rng) for name in _OVERLAPS
    }


def _sparsity(weights: Weights) -> Row:
    null = gate_null(weights.initial, weights.stored, statistic="update_sparsity", method="law")
    return {
        "observed": update_sparsity(weights.initial, weights.stored),
        "null": float(null.null_mean.sel(law=ANY_LAW)),
        "p_value": float(null.p_value.sel(law=ANY_LAW)),
        "true": update_sparsity(weights.initial, weights.trained, space="raw"),
    }


def _overlap(weights: Weights, name: GateStatistic, rng: int) -> Row:
    null = gate_null(weights.initial, weights.stored, statistic=name, alpha=ALPHA, rng=rng)
    masters = gate_null(
        weights.initial,
        weights.trained,
        statistic=name,
        alpha=ALPHA,
        method="permutation",
        n=_PERMUTATIONS,
        rng=rng,
    )
    return {
        "observed": float(null.observed),
        "null": float(null.null_mean),
        "p_value": float(null.p_value),
        "true_excess": float(masters.excess),
    }
