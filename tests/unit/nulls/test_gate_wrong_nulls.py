"""Nulls that look right and are not: each fails as predicted, and the right one beside it does not."""

import numpy as np
import pytest
import torch

import geostat as gs
from geostat.linalg.rounding import round_to_bf16
from geostat.nulls.gates.gate import gate_null
from geostat.nulls.gates.permutation import dead_zones, permuted_figures
from geostat.nulls.published.weights import heavy_tailed_weight

_LOW = "low_magnitude_mask_overlap"


def _stored(start, update):
    return round_to_bf16(start.double() + torch.from_numpy(update))


def _unchanged(start, update):
    return gs.update_sparsity(start, _stored(start, update))


def test_permuting_the_stored_update_finds_ten_points_of_sparsity_that_are_not_there():
    """Rounding has censored the stored update already; moved elsewhere it is censored once more."""
    rng = np.random.default_rng(0)
    start = heavy_tailed_weight(384, 384, rng)
    update = 5e-5 * rng.standard_normal(start.shape)
    stored = _stored(start, update).double().numpy() - start.double().numpy()
    seen = _unchanged(start, update)
    assert 0.4 < seen < 0.65

    def moved(values):
        order, across = rng.permutation(384), rng.permutation(384)
        return _unchanged(start, values[order][:, across])

    false_excess = np.mean([moved(stored) for _ in range(5)]) - seen
    assert 0.08 < false_excess < 0.20
    assert abs(np.mean([moved(update) for _ in range(5)]) - seen) < 0.01


def test_permuting_single_entries_of_a_low_rank_update_rejects_too_often():
    rng = np.random.default_rng(1)
    n_rep, n, size = 200, 39, 48
    rejected = {"entries": 0, "rows and columns": 0}
    for _ in range(n_rep):
        initial = 0.02 * rng.standard_normal((size, size)) * _scales(size, rng)
        change = 5e-5 * rng.standard_normal((size, 1)) @ rng.standard_normal((1, size))
        before, update = torch.from_numpy(initial), torch.from_numpy(change)
        seen, right = permuted_figures(
            before, before + update, "update_sparsity", None, (np.nan,), n=n, generator=rng
        )
        moved = (torch.from_numpy(rng.permutation(change.ravel()).reshape(size, size)) for _ in range(n))
        zones = dead_zones(before)
        wrong = np.array([1 - float(zones.visible(each).double().mean()) for each in moved])
        rejected["rows and columns"] += _p_value(seen[0], right[:, 0]) <= 0.05
        rejected["entries"] += _p_value(seen[0], wrong) <= 0.05
    allowed = 3 * np.sqrt(0.05 * 0.95 / n_rep)
    assert rejected["entries"] / n_rep > 0.05 + allowed
    assert rejected["rows and columns"] / n_rep < 0.05 + allowed


def _scales(size, rng):
    return np.exp(rng.standard_normal((size, 1)) + rng.standard_normal((1, size)))


def _p_value(seen, draws):
    centre = np.append(draws, seen).mean()
    return (1 + np.sum(np.abs(draws - centre) >= abs(seen - centre))) / (1 + len(draws))


def test_magnitude_strata_find_no_selectivity_for_small_weights_that_is_there():
    rng = np.random.default_rng(2)
    start = heavy_tailed_weight(384, 384, rng)
    weight = start.double().abs().numpy()
    planted = 1e-4 * rng.standard_normal(start.shape) * (np.maximum(weight, 1e-6) / weight.mean()) ** -0.3
    end = _stored(start, planted)
    visible = (start != end).numpy().ravel()
    magnitude = (start.view(torch.int16) & 0x7FFF).numpy().ravel()
    order = np.argsort(magnitude + rng.random(magnitude.size) / 2)
    drawn = np.empty_like(visible)
    within = np.argsort(magnitude[order] + rng.random(magnitude.size) / 2)
    drawn[order] = visible[order][within]
    small = magnitude <= np.quantile(magnitude, 0.3)
    seen, strata = (visible & small).sum() / visible.sum(), (drawn & small).sum() / drawn.sum()
    assert abs(seen - strata) < 1e-3
    assert float(gate_null(start, end, statistic=_LOW, alpha=0.3, n=99).excess) > 0.01
    with pytest.raises(gs.errors.ProtocolError, match="the excess would be 0"):
        gate_null(start, end, statistic=_LOW, method="strata")


def test_a_gaussian_law_is_wrong_for_an_independent_heavy_tailed_update():
    rng = np.random.default_rng(3)
    start = heavy_tailed_weight(768, 768, rng)
    end = _stored(start, 2e-5 * rng.standard_t(3, start.shape))
    found = gate_null(start, end, statistic=_LOW, method="law", alpha=0.3).cells[_LOW]
    excess = (found["observed"] - found["null_mean"]).sel
    assert -0.06 < float(excess(law="gaussian")) < -0.03
    assert abs(float(excess(law="student-t"))) < 0.01
    within = found.sel(law="student-t")
    assert float(within["low"]) <= float(within["observed"]) <= float(within["high"])
