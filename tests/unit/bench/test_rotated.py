"""Rotations followed from W_0's basis are those of two decompositions, or none are given."""

import numpy as np
import pytest
import torch

from geostat.bench.pairs import updated_weight
from geostat.bench.rotated import rotated_angles
from geostat.errors import ShapeError
from geostat.linalg import Factored, own_arithmetic, principal_angles
from geostat.nulls.published.weights import heavy_tailed_weight

BAR = np.deg2rad(4e-8)


def pair(kind, rows=192, cols=192):
    initial = heavy_tailed_weight(rows, cols, np.random.default_rng(0))
    return Factored(initial), Factored(updated_weight(initial, kind, np.random.default_rng(1)))


def direct(initial, updated, k):
    """Both sides from two plain decompositions in float64."""
    u0, _, v0 = np.linalg.svd(initial.values.numpy())
    u, _, v = np.linalg.svd(updated.values.numpy())
    bases = ((u0[:, :k], u[:, :k]), (v0[:k].T, v[:k].T))
    return [principal_angles(*(torch.from_numpy(b.copy()) for b in pair)) for pair in bases]


@pytest.mark.parametrize("kind", ["RLVR", "OPD"])
@pytest.mark.parametrize(("rows", "cols"), [(192, 192), (128, 224), (224, 128)])
@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_angles_are_those_of_two_decompositions(kind, rows, cols, share):
    initial, updated = pair(kind, rows, cols)
    k = round(share * min(rows, cols))
    with own_arithmetic():
        found = rotated_angles(initial, updated, k)
    assert found is not None
    for mine, theirs in zip((found.left, found.right), direct(initial, updated, k), strict=True):
        assert mine.shape == theirs.shape == (k,)
        assert float(theirs.max()) > 1e3 * BAR, "nothing turned, so nothing is tested"
        assert float((mine - theirs).abs().max()) <= BAR
        assert bool((mine.diff() >= 0).all())


def test_the_certificate_bounds_the_error():
    initial, updated = pair("OPD")
    found = rotated_angles(initial, updated, 96)
    error = max(
        float((a - b).abs().max()) for a, b in zip(found[:2], direct(initial, updated, 96), strict=True)
    )
    assert error <= found.bound <= BAR
    assert 0 < found.residual < 1e-12


def test_an_update_beyond_the_gate_is_not_followed():
    initial, _ = pair("SFT")
    updated = Factored(
        initial.values + 0.1 * torch.randn(192, 192, generator=torch.Generator().manual_seed(0))
    )
    assert rotated_angles(initial, updated, 96) is None


def test_what_a_large_update_gives_is_right_or_nothing():
    """Finetuning on demonstrations lies about the gate: either answer is allowed, a wrong one is not."""
    initial, updated = pair("SFT")
    found = rotated_angles(initial, updated, 96)
    if found is not None:
        for mine, theirs in zip(found[:2], direct(initial, updated, 96), strict=True):
            assert float((mine - theirs).abs().max()) <= BAR


def test_weights_that_did_not_move_did_not_turn():
    initial, _ = pair("OPD")
    found = rotated_angles(initial, Factored(initial.stored.clone()), 96)
    assert float(found.left.max()) == float(found.right.max()) == 0.0


def test_a_scaled_weight_turns_nowhere():
    initial, _ = pair("OPD")
    found = rotated_angles(initial, Factored(initial.values * (1 + 2**-10)), 96)
    assert found is not None
    assert float(max(found.left.max(), found.right.max())) <= BAR


def test_equal_singular_values_at_the_cut_are_decoupled_or_refused():
    """Where s_k = s_{k+1} the first-order rotation is not small: the pair's own decomposition decides it."""
    rng = torch.Generator().manual_seed(0)
    turns = []
    for _ in range(20):
        initial, updated = _with_equal_values_at(20, rng)
        found = rotated_angles(initial, updated, 20)
        if found is None:
            continue
        for mine, theirs in zip(found[:2], _against(initial, updated, 20), strict=True):
            assert float((mine - theirs).abs().max()) <= BAR
            turns.append(float(theirs.max()))
    assert len(turns) >= 20  # most are decoupled
    assert np.median(turns) > 0.1  # by large angles, though the update is small


def _with_equal_values_at(k, rng):
    def normal():
        return torch.randn(40, 40, dtype=torch.float64, generator=rng)

    left, right = (torch.linalg.qr(normal())[0] for _ in range(2))
    values = torch.linspace(2, 1, 40, dtype=torch.float64)
    values[k] = values[k - 1]
    initial = Factored((left * values) @ right.mT)
    return initial, Factored(initial.values + 1e-5 * normal())


def _against(initial, updated, k):
    """Angles against the same basis of W_0: which one is arbitrary where singular values are equal."""
    u0, v0 = initial.svd.left, initial.svd.right
    u, _, v = torch.linalg.svd(updated.values)
    return principal_angles(u0[:, :k], u[:, :k]), principal_angles(v0[:, :k], v.mT[:, :k])


def test_an_exchange_of_directions_is_seen():
    """The k-th and the next direction change places: 90 degrees, or no answer."""
    initial = Factored(torch.diag(torch.linspace(2, 1, 40, dtype=torch.float64)))
    values = initial.values.diagonal().clone()
    values[19], values[20] = values[20].item(), values[19].item()
    found = rotated_angles(initial, Factored(torch.diag(values)), 20)
    assert found is None or float(found.left.max()) == pytest.approx(np.pi / 2)


def test_all_directions_cannot_turn():
    initial, updated = pair("OPD", 40, 32)
    assert rotated_angles(initial, updated, 32) is None
    with pytest.raises(ShapeError):
        rotated_angles(initial, Factored(torch.ones(32, 40)), 8)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator on this machine")
@pytest.mark.parametrize("kind", ["RLVR", "OPD"])
def test_an_accelerator_follows_to_the_angles_of_the_cpu(kind):
    initial, updated = pair(kind)
    there = [Factored(weight.stored.cuda()) for weight in (initial, updated)]
    with own_arithmetic():
        found = rotated_angles(*there, 96)
    assert found is not None
    for mine, theirs in zip(found[:2], direct(initial, updated, 96), strict=True):
        assert float((mine.cpu() - theirs).abs().max()) <= BAR
