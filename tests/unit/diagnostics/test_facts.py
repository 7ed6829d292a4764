"""Facts about the diagnostics that hold whatever the weights."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

import geostat as gs
from geostat.diagnostics import audit
from geostat.errors import NonFiniteError, QuantizedTensorError, ShapeError
from geostat.linalg import Factored, factored
from geostat.spec import Reason
from geostat.testing import ORACLES, trajectories

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.sampled_from([0.0, 1e-4, 1e-3, 1 / 257]))
def test_below_one_in_256_changed_means_other_bits(seed, eta):
    generator = torch.Generator().manual_seed(seed)
    before = torch.randn(16, 16, generator=generator).to(torch.bfloat16)
    step = torch.randint(-2, 3, (16, 16), generator=generator)
    after = (before.view(torch.int16) + step.to(torch.int16)).view(torch.bfloat16)
    assert gs.update_density(before, after, eta=eta) == float((step != 0).double().mean())


def test_opposite_zeros_are_unchanged():
    assert gs.update_sparsity(torch.tensor([[0.0, 1.0]]), torch.tensor([[-0.0, 1.0]])) == 1.0


@given(trajectories())
def test_no_audited_inequality_ever_fails(trajectory):
    operands = (factored(trajectory[name]) for name in ("initial", "updated", "update"))
    assert audit(*operands) == []


@given(trajectories(), st.integers(1, 4))
def test_wedin_holds_with_the_gap_to_the_perturbed_spectrum(trajectory, k):
    initial, updated = trajectory["initial"], trajectory["updated"]
    gap = gs.principal_gap(initial, updated, k=k)
    if gap > 0:
        sines = [
            np.sin(np.radians(gs.max_principal_angle(initial, updated, k=k, side=side)))
            for side in ("left", "right")
        ]
        assert max(sines) <= np.linalg.norm(trajectory["update"], 2) / gap * (1 + 1e-9) + 1e-12


def test_wedin_with_the_unperturbed_gap_is_false():
    initial, update = np.diag([2.0, 1.0]), np.diag([-0.6, 0.6])
    sine = np.sin(np.radians(gs.max_principal_angle(initial, initial + update, k=1)))
    unperturbed_gap = 2.0 - 1.0
    assert sine > np.linalg.norm(update, 2) / unperturbed_gap


@given(trajectories())
def test_spectral_shift_is_at_most_the_relative_norm(trajectory):
    shift = gs.normalized_spectral_shift(trajectory["initial"], trajectory["updated"])
    assert shift <= gs.relative_update_norm(trajectory["initial"], trajectory["update"]) * (1 + 1e-12) + 1e-15


@given(trajectories(), st.floats(0.1, 10.0))
def test_a_rescaled_weight_has_not_rotated(trajectory, factor):
    initial = trajectory["initial"]
    for side in ("left", "right"):
        assert gs.max_principal_angle(initial, factor * initial, k=3, side=side) < 1e-9


@pytest.mark.parametrize("wanted", [64, 100])
def test_a_weight_that_did_not_change_has_not_rotated_even_where_singular_values_are_equal(wanted):
    weight = np.linalg.qr(np.random.default_rng(0).standard_normal((400, 400)))[0]
    initial = Factored(torch.from_numpy(weight), wanted=wanted)  # as many as other diagnostics will ask for
    for side in ("left", "right"):
        assert gs.max_principal_angle(initial, weight.copy(), k=64, side=side) == 0


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_squares_out_of_the_range_of_float64_cost_no_digit(scale):
    rng = np.random.default_rng(0)
    initial = rng.standard_normal((40, 50))
    updated = initial + 0.1 * rng.standard_normal((40, 50))
    for name in (
        name for name, spec in gs.DIAGNOSTICS.items() if "scale" in spec.invariances and not spec.dims
    ):
        spec = gs.DIAGNOSTICS[name]
        if not set(spec.operands) <= {"initial", "updated", "update"}:
            continue
        plain, scaled = (
            [
                {"initial": initial, "updated": updated, "update": updated - initial}[o] * by
                for o in spec.operands
            ]
            for by in (1.0, scale)
        )
        assert spec.function(*scaled) == pytest.approx(spec.function(*plain), rel=1e-9, abs=1e-9)
    before, after = factored(scale * initial), factored(scale * updated)
    assert audit(before, after, after.minus(before)) == []
    assert before.vectors(4, "left").shape == (40, 4)
    assert 0 < before.certificate.residual < 1e-12


def test_a_tiny_known_rotation_is_resolved():
    turn = 1e-11
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    initial = np.diag([2.0, 1.0])
    found = gs.max_principal_angle(initial, rotation @ initial, k=1, side="left")
    assert found == pytest.approx(math.degrees(turn), rel=1e-4)


def test_one_ulp_in_one_entry_is_resolved():
    generator = torch.Generator().manual_seed(0)
    before = torch.randn(64, 64, generator=generator).to(torch.bfloat16)
    after = before.clone()
    after.view(torch.int16)[3, 5] += 1
    update = after.double() - before.double()
    assert gs.update_sparsity(before, after) == 1 - 1 / 4096
    assert gs.numerical_rank(update) == 1.0
    assert gs.stable_rank(update) == 1.0
    expected = ORACLES["normalized_spectral_shift"](before.double().numpy(), after.double().numpy())
    assert gs.normalized_spectral_shift(before, after) == pytest.approx(expected, rel=1e-9)
    assert expected > 0


@given(SEEDS, st.sampled_from([0.2, 0.3, 0.5]), st.booleans())
def test_mask_overlap_with_ties_is_the_mean_over_random_tie_breaking(seed, alpha, low):
    rng = np.random.default_rng(seed)
    initial = rng.integers(1, 4, size=(6, 5)).astype(float)  # three magnitudes only: ties everywhere
    updated = initial * (1 + rng.integers(0, 2, size=(6, 5)))
    name = "low_magnitude_mask_overlap" if low else "principal_mask_overlap"
    settings = {"alpha": alpha, "eta": 1e-3, "rule": "relative", "space": "bf16"} | ({} if low else {"r": 2})
    if (updated != initial).any():
        expected = ORACLES[name](initial, updated, **settings)
        assert getattr(gs, name)(initial, updated, **settings) == pytest.approx(expected, abs=1e-12)


def test_mask_overlap_agrees_with_breaking_ties_by_hand():
    initial = np.array([[1.0, 1.0, 1.0, 2.0]])
    updated = np.array([[1.5, 1.0, 1.0, 3.0]])
    # the mask of the 2 smallest holds 2 of the 3 ones; of the 2 changed entries the first is in with 2/3
    assert gs.low_magnitude_mask_overlap(initial, updated, alpha=0.5) == pytest.approx((2 / 3 + 0) / 2)


@given(trajectories())
def test_stable_rank_lies_between_one_and_the_rank(trajectory):
    update = trajectory["update"]
    assert 1.0 <= gs.stable_rank(update) <= gs.numerical_rank(update) * (1 + 1e-12)


def test_zero_update_has_no_shape_and_says_why():
    zero = np.zeros((12, 12))
    for name in ("stable_rank", "hill_tail_exponent", "effective_rank", "top_k_energy", "numerical_rank"):
        found = getattr(gs, name)(zero)
        assert math.isnan(found)
        assert found.reason is Reason.zero_update
    assert gs.update_norm(zero) == 0.0


@pytest.mark.parametrize("rank", [0, 3])
@pytest.mark.parametrize("side", ["left", "right"])
def test_directions_that_a_weight_does_not_have_are_not_compared(rank, side):
    rng = np.random.default_rng(0)
    update = rng.standard_normal((20, 16))
    initial = rng.standard_normal((20, rank)) @ rng.standard_normal((rank, 16))
    found = [
        gs.max_principal_angle(a, b, k=4, side=side)
        for a, b in ((initial, initial + update), (update, initial))
    ]
    found.append(gs.principal_subspace_energy(initial, update, k=4, side=side))
    assert [value.reason for value in found] == [Reason.too_few_directions] * 3
    assert len(gs.principal_angles(initial, initial + update, k=4, side=side)) == 0
    if rank:
        assert np.isfinite(gs.max_principal_angle(initial, initial + update, k=rank, side=side))
        assert np.isfinite(gs.principal_subspace_energy(initial, update, k=rank, side=side))


def test_one_row_or_column_ends_well():
    for shape in ((1, 8), (8, 1), (1, 1)):
        start = {"blocks.0.attention.query.weight": torch.ones(shape)}
        end = {"blocks.0.attention.query.weight": torch.ones(shape) * 1.5}
        run = gs.measure(start, {1: end}, progress=False)
        assert float(run.stable_rank[0, 0]) == 1.0
        assert np.isnan(run.max_principal_angle.values).all()
        assert gs.validate(run) == []


def test_non_contiguous_and_transposed_views_are_measured_as_they_are():
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(6, 20, generator=generator)
    assert gs.stable_rank(wide[:, ::2]) == pytest.approx(gs.stable_rank(wide[:, ::2].contiguous()))
    assert gs.stable_rank(wide.T) == pytest.approx(gs.stable_rank(wide))


def test_bad_operands_are_refused_with_advice():
    with pytest.raises(ShapeError, match=r"transposed: pass its \.T"):
        gs.normalized_spectral_shift(np.ones((3, 4)), np.ones((4, 3)))
    with pytest.raises(NonFiniteError, match=r"1 of 4 entries are NaN.*\[1, 0\]"):
        gs.stable_rank(np.array([[1.0, 2.0], [np.nan, 1.0]]))
    with pytest.raises(QuantizedTensorError, match="int8"):
        gs.stable_rank(torch.ones(2, 2, dtype=torch.int8))
    with pytest.raises(ShapeError, match=r"\(4,\)"):
        gs.stable_rank(np.ones(4))
