from itertools import pairwise

import numpy as np
import pytest
import torch
import xarray as xr

from geostat.errors import SampleError, UndefinedWarning
from geostat.nulls.walks.drift import drift_diffusion
from geostat.nulls.walks.drift_result import DriftDiffusionResult
from geostat.nulls.walks.path import (
    increment_norms,
    linearity,
    path_geometry,
    straightness,
    update_products,
)

STEPS = np.array([10, 20, 30, 40, 50, 60, 70, 80])
NAME = "blocks.0.attention.query.weight"


def updates_of(kind, rng, rows=12, cols=16, n=8, noise=0.0):
    if kind == "drift":
        walk = rng.standard_normal((n, rows, cols)).cumsum(axis=0)
        return np.arange(1, n + 1)[:, None, None] * rng.standard_normal((rows, cols)) + noise * walk
    return rng.standard_normal((n, rows, cols)).cumsum(axis=0)


def weights_of(kind, seed=0, noise=0.0):
    rng = np.random.default_rng(seed)
    start = rng.standard_normal((12, 16))
    updates = updates_of(kind, rng, noise=noise)
    steps = {int(s): {NAME: torch.from_numpy(start + u)} for s, u in zip(STEPS, updates, strict=True)}
    return {NAME: torch.from_numpy(start)}, steps


def runs_of(kind, n_runs=4):
    paths = [path_geometry(*weights_of(kind, seed, noise=0.1), K=2) for seed in range(n_runs)]
    return xr.concat(paths, dim="run", combine_attrs="override")


def test_norms_of_a_walk_grow_with_exponent_one_half_and_those_of_a_drift_with_one():
    for kind, exponent in (("diffusion", 0.5), ("drift", 1.0)):
        found = drift_diffusion(runs_of(kind))
        assert found.estimate.growth_exponent == pytest.approx(exponent, abs=0.03)
        assert found.verdict.item() == kind


def test_a_single_run_has_an_exponent_and_no_verdict():
    found = drift_diffusion(*weights_of("drift"), K=2)
    assert found.estimate.growth_exponent == pytest.approx(1.0)
    assert found.verdict.item() == "undetermined"
    assert found.ci is None
    assert "one run" in found.rows()[0]["reason"] or "1 run" in found.rows()[0]["reason"]
    assert found.scope == "within-run"


def test_an_exponent_between_the_bands_is_undetermined_however_well_it_is_known():
    norms = STEPS**0.75 * np.array([[0.999], [1.0], [1.001]])
    data = xr.Dataset({"update_norm": (("run", "step"), norms, {"units": "weight"})}, {"step": STEPS})
    found = drift_diffusion(data, dim=None)
    assert found.verdict.item() == "undetermined"
    assert float(found.high.growth_exponent - found.low.growth_exponent) < 0.01


def test_the_interval_is_that_of_t_over_the_slopes_of_the_runs():
    rng = np.random.default_rng(1)
    norms = STEPS**0.5 * np.exp(0.1 * rng.standard_normal((3, 8)))
    data = xr.Dataset({"update_norm": (("run", "step"), norms, {"units": "weight"})}, {"step": STEPS})
    x = np.log(STEPS) - np.log(STEPS).mean()
    slopes = np.log(norms) @ x / (x @ x)
    half = 4.302652729911275 * slopes.std(ddof=1) / np.sqrt(3)  # t, 2 degrees of freedom, 97.5%
    found = drift_diffusion(data, dim=None)
    assert found.low.growth_exponent == pytest.approx(slopes.mean() - half)
    assert found.high.growth_exponent == pytest.approx(slopes.mean() + half)


def test_norms_are_averaged_over_matrices_before_logs_are_taken():
    norms = np.stack([STEPS**0.5, 10.0 * STEPS], axis=-1)[None]
    data = xr.Dataset(
        {"update_norm": (("run", "step", "matrix"), norms, {"units": "weight"})},
        {"step": STEPS, "matrix": ["a", "b"]},
    )
    expected = np.polyfit(np.log(STEPS), np.log(norms[0].mean(axis=-1)), 1)[0]
    assert drift_diffusion(data).estimate.growth_exponent.item() == pytest.approx(expected)


def test_verdicts_are_given_recipe_by_recipe():
    norms = np.stack([STEPS**p * scale for p in (0.5, 1.0) for scale in (1.0, 1.01)])
    data = xr.Dataset(
        {"update_norm": (("run", "step"), norms, {"units": "weight"})},
        {"step": STEPS, "recipe": ("run", ["walks", "walks", "drifts", "drifts"])},
    )
    found = drift_diffusion(data, dim=None)
    assert found.verdict.sel(recipe="walks").item() == "diffusion"
    assert found.verdict.sel(recipe="drifts").item() == "drift"
    assert "walks: diffusion" in found.sentence()


def test_a_drift_under_a_cosine_rate_is_one_once_the_rate_is_declared():
    steps = np.array([20, 40, 60, 80, 100])
    moved = steps / 200 + np.sin(np.pi * steps / 100) / (2 * np.pi)  # integral of (1 + cos) / 2
    norms = moved * np.array([[0.999], [1.0], [1.001]])
    data = xr.Dataset({"update_norm": (("run", "step"), norms, {"units": "weight"})}, {"step": steps})
    undeclared = drift_diffusion(data, dim=None)
    assert undeclared.estimate.growth_exponent == pytest.approx(0.61, abs=0.01)
    assert undeclared.verdict.item() != "drift"
    assert drift_diffusion(data, dim=None, rate="cosine").verdict.item() == "drift"
    own = drift_diffusion(data, dim=None, rate=lambda progress: 1 + np.cos(np.pi * progress))
    assert own.verdict.item() == "drift"
    assert own.cells["growth_exponent"]["drift"].item() == pytest.approx(0.608, abs=0.001)


def test_a_constant_rate_has_the_exponents_one_half_and_one():
    found = drift_diffusion(runs_of("drift")).cells["growth_exponent"]
    assert found["diffusion"].item() == pytest.approx(0.5)
    assert found["drift"].item() == pytest.approx(1.0)


def test_a_straight_line_is_straight_and_linear_and_its_increments_agree():
    path = path_geometry(*weights_of("drift"), K=2)
    assert path.straightness.item() == pytest.approx(1.0)
    assert path.linearity.item() == pytest.approx(1.0)
    np.testing.assert_allclose(path.increment_similarity.isel(step=slice(0, -1)), 1.0)
    assert path.increment_similarity.isel(step=-1).isnull().all()


def test_a_walk_is_neither_crooked_without_bound_nor_far_from_a_line():
    n = 400
    walk = np.minimum.outer(np.arange(1, n + 1), np.arange(1, n + 1)).astype(float)
    assert straightness(walk) == pytest.approx(n**-0.5)
    assert linearity(walk, np.arange(1.0, n + 1)) == pytest.approx(0.6, abs=0.01)
    path = path_geometry(*weights_of("diffusion"), K=2)
    assert path.straightness.item() == pytest.approx(8**-0.5, abs=0.05)


def test_linearity_is_the_pooled_share_of_variance_of_regressions_entry_by_entry():
    rng = np.random.default_rng(0)
    updates = updates_of("diffusion", rng, 3, 4, 6)
    steps = np.array([1.0, 2.0, 4.0, 7.0, 8.0, 9.0])
    entries = updates.reshape(6, -1)
    fitted = np.polyval(np.polyfit(steps, entries, 1), steps[:, None])
    expected = 1 - ((entries - fitted) ** 2).sum() / ((entries - entries.mean(axis=0)) ** 2).sum()
    tensors = [torch.from_numpy(update) for update in updates]
    products = update_products(torch.zeros(3, 4, dtype=torch.float64), tensors)
    assert linearity(products, steps) == pytest.approx(expected)
    np.testing.assert_allclose(products, entries @ entries.T)


def test_norms_of_increments_are_those_of_differences_of_neighbours():
    base, steps = weights_of("diffusion")
    weights = [base[NAME], *(each[NAME] for each in steps.values())]
    expected = [float((b - a).norm()) for a, b in pairwise(weights)]
    np.testing.assert_allclose(increment_norms(base, steps).values[:, 0], expected)
    np.testing.assert_allclose(path_geometry(base, steps, K=2).increment_norm.values[:, 0], expected)


def test_on_bf16_files_one_increment_is_left_between_those_compared():
    rng = np.random.default_rng(0)
    start = torch.from_numpy(rng.standard_normal((64, 64)) / 8).to(torch.bfloat16)
    walk = torch.from_numpy(rng.standard_normal((6, 64, 64)).cumsum(axis=0)) * 2e-5
    stored = {10 * (t + 1): {NAME: (start.double() + w).to(torch.bfloat16)} for t, w in enumerate(walk)}
    kept = path_geometry({NAME: start}, stored, K=4)
    finer = {step: {NAME: each[NAME].float()} for step, each in stored.items()}
    neighbours = path_geometry({NAME: start.float()}, finer, K=4)
    assert kept.increment_similarity.isel(step=-2).isnull().all()
    assert neighbours.increment_similarity.isel(step=-2).notnull().all()
    # neighbours share the rounding error between them; Haar says 4/64
    assert neighbours.increment_similarity.mean() > kept.increment_similarity.mean() > 0.03


def test_what_a_walk_would_give_stands_beside_the_figures():
    found = drift_diffusion(runs_of("diffusion"))
    rows = {row["variable"]: row for row in found.rows()}
    assert rows["straightness"]["diffusion"] == pytest.approx(8**-0.5)
    assert rows["increment_similarity_right"]["diffusion"] == pytest.approx(2 / 16)
    assert rows["linearity"]["drift"] == 1.0
    assert "within 0.1 of what diffusion" in repr(found)
    assert DriftDiffusionResult.from_json(found.to_json()).rows() == found.rows()


def test_an_unchanged_matrix_is_told():
    base, _ = weights_of("drift")
    with pytest.warns(UndefinedWarning, match="did not change"):
        path_geometry(base, {step: {NAME: base[NAME].clone()} for step in (1, 2, 3)}, K=2)


@pytest.mark.parametrize(
    ("norms", "how", "said"),
    [
        ([1.0, 2.0], {}, "three or more"),
        ([0.0, 0.0, 0.0, 1.0], {}, "three or more"),
        ([1.0, 2.0, 3.0], {"margin": 0.3}, "two bands"),
        ([1.0, 2.0, 3.0], {"level": 95}, "level"),
        ([1.0, 2.0, 3.0], {"rate": "linear"}, "not known"),
        ([1.0, 2.0, 3.0], {"rate": lambda progress: -progress}, "below 0"),
    ],
)
def test_what_gives_no_exponent_is_refused(norms, how, said):
    data = xr.Dataset(
        {"update_norm": (("run", "step"), [norms], {"units": "weight"})},
        {"step": np.arange(1, len(norms) + 1)},
    )
    with pytest.raises(SampleError, match=said):
        drift_diffusion(data, dim=None, **how)


def test_data_without_norms_are_refused():
    with pytest.raises(SampleError, match="update_norm"):
        drift_diffusion(xr.Dataset({"stable_rank": ("step", [1.0])}))
