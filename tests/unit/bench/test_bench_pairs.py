"""Synthetic pairs are like published ones, and the published protocol agrees with the diagnostics on them."""

import numpy as np
import pytest
import torch

import geostat.diagnostics as gs
from geostat.bench.naive import naive_eta_curve, naive_suite
from geostat.bench.pairs import SPARSITY, updated_weight, write_run
from geostat.checkpoints import open_checkpoint
from geostat.linalg import Factored
from geostat.nulls.published.weights import heavy_tailed_weight

SHIFT = {"SFT": 1e-3, "OPD": 1e-4, "RLVR": 3e-5}


def pair(kind, rows=256, cols=192):
    initial = heavy_tailed_weight(rows, cols, np.random.default_rng(0))
    return initial, updated_weight(initial, kind, np.random.default_rng(1))


@pytest.mark.parametrize("kind", list(SPARSITY))
def test_updates_have_the_published_sparsity_and_spectral_shift(kind):
    before, after = pair(kind)
    assert gs.update_sparsity(before, after) == pytest.approx(SPARSITY[kind], abs=0.01)
    assert SHIFT[kind] / 2 < gs.normalized_spectral_shift(before, after) < SHIFT[kind] * 2


@pytest.mark.parametrize("kind", list(SPARSITY))
def test_the_published_protocol_gives_what_the_diagnostics_give(kind):
    before, after = pair(kind)
    initial, updated = Factored(before), Factored(after)
    update = updated.minus(initial)
    end = update.vectors(16, "right")
    found = naive_suite(before, after, end, k=64, r=16)
    assert found["sparsity"] == pytest.approx(gs.update_sparsity(initial, updated), abs=1e-15)
    assert found["stable rank"] == pytest.approx(gs.stable_rank(update), rel=1e-11)
    assert found["hill"] == pytest.approx(gs.hill_tail_exponent(update, hill_k=0.1), rel=1e-11)
    assert found["shift"] == pytest.approx(gs.normalized_spectral_shift(initial, updated), rel=1e-7)
    assert found["similarity"] == pytest.approx(1.0)
    for side in ("left", "right"):
        angles = gs.principal_angles(initial, updated, k=64, side=side)
        assert found[side].numpy() == pytest.approx(angles, abs=1e-4)  # what an arccosine can tell
    for alpha in (0.3, 0.5):
        ours = gs.principal_mask_overlap(initial, updated, alpha=alpha, r=16)
        assert found[f"principal {alpha}"] == pytest.approx(ours, abs=1e-4)
        ours = gs.low_magnitude_mask_overlap(initial, updated, alpha=alpha)
        assert found[f"low {alpha}"] == pytest.approx(ours, abs=0.02)  # ties: by position, by chance


def test_the_published_curve_is_the_sparsity_at_each_tolerance():
    before, after = pair("OPD")
    etas = (0.0, 0.01, 0.3)
    expected = [gs.update_sparsity(before, after, eta=eta) for eta in etas]
    assert naive_eta_curve(before, after, etas) == pytest.approx(expected, abs=1e-12)
    assert len(set(expected)) == 3


def test_a_run_ends_at_the_published_sparsity_by_way_of_one_channel(tmp_path):
    name = "blocks.0.attention.query.weight"
    write_run(tmp_path, {name: (256, 192)}, 3, "OPD")
    weights = []
    for place in ("base", "step-1", "step-2", "step-3"):
        with open_checkpoint(str(tmp_path / place)) as checkpoint:
            weights.append(checkpoint[name].clone())
    start, first, _, last = weights
    assert last.dtype is torch.bfloat16
    assert gs.update_sparsity(start, last) == pytest.approx(SPARSITY["OPD"], abs=0.01)
    assert gs.update_sparsity(start, first) > gs.update_sparsity(start, last)
    update, to_come = first.double() - start.double(), last.double() - first.double()
    stranger = updated_weight(start, "OPD", np.random.default_rng(7)).double() - start.double()
    assert gs.future_capture(update, to_come, K=16) > 0.07
    assert abs(gs.future_capture(stranger, to_come, K=16)) < 0.03
