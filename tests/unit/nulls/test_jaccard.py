"""Overlap of changed entries across runs: chance within strata, and what rounding shares between runs."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from geostat.errors import NonFiniteError, ProtocolError, SampleError, ShapeError
from geostat.nulls.across_runs.agreement_density import scale_for_density
from geostat.nulls.across_runs.jaccard import jaccard_test
from geostat.nulls.across_runs.jaccard_overlap import overlap_within
from geostat.nulls.across_runs.jaccard_strata import check_strata, strata_labels
from geostat.nulls.published.weights import heavy_tailed_weight

SHAPE = (96, 128)
LAWS = {
    "Gaussian": lambda rng: rng.standard_normal(SHAPE),
    "Student t3": lambda rng: rng.standard_t(3, SHAPE),
    "low rank": lambda rng: rng.standard_normal((SHAPE[0], 8)) @ rng.standard_normal((8, SHAPE[1])),
    "rows of unequal size": lambda rng: (
        rng.standard_normal(SHAPE) * np.exp(rng.standard_normal((SHAPE[0], 1)))
    ),
}


def end_of_run(start, update, density=0.25):
    moved = torch.from_numpy(update)
    return (start.double() + moved * scale_for_density(start, moved, density)).to(torch.bfloat16)


def pair_of_runs(law, rng):
    start = heavy_tailed_weight(*SHAPE, rng)
    return start, {name: end_of_run(start, law(rng)) for name in "ab"}


def given_magnitude(result, quantity="p_value"):
    return float(result.quantity(quantity).isel(baseline=1).squeeze())


def test_the_overlap_within_strata_has_the_moments_of_masks_shuffled_within_them():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (6, 7))
    first, second = (rng.random((6, 7)) < 0.3 + 0.2 * labels for _ in range(2))
    found = overlap_within(first, second, labels, entrywise=True)
    counts = []
    for _ in range(4000):
        shuffled = first.copy()
        for stratum in range(3):
            inside = labels == stratum
            shuffled[inside] = rng.permutation(first[inside])
        counts.append(np.count_nonzero(shuffled & second))
    assert abs(np.mean(counts) - found.expected) < 4 * np.std(counts) / np.sqrt(len(counts))
    assert np.var(counts) == pytest.approx(found.variance, rel=4 * np.sqrt(2 / len(counts)))
    assert found.both == np.count_nonzero(first & second)


def test_the_usual_baseline_is_that_of_independent_entries():
    start, runs = pair_of_runs(LAWS["Gaussian"], np.random.default_rng(1))
    p, q = (float((end != start).double().mean()) for end in runs.values())
    both = float(((runs["a"] != start) & (runs["b"] != start)).double().mean())
    found = jaccard_test(runs, initial=start)
    assert found.null_mean.values.ravel()[0] == pytest.approx(p * q / (p + q - p * q), rel=1e-12)
    assert found.observed.values.ravel() == pytest.approx(2 * [both / (p + q - both)], rel=1e-12)


def test_the_expected_overlap_given_magnitude_is_the_sum_over_magnitudes():
    start, runs = pair_of_runs(LAWS["Gaussian"], np.random.default_rng(2))
    size = start.double().abs().numpy()
    masks = [(end != start).numpy() for end in runs.values()]
    expected = sum(
        masks[0][size == value].sum() * masks[1][size == value].mean() for value in np.unique(size)
    )
    total = masks[0].sum() + masks[1].sum()
    found = jaccard_test(runs, initial=start)
    assert given_magnitude(found, "null_mean") == pytest.approx(expected / (total - expected), rel=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_independent_updates_agree_as_the_gate_says_and_not_as_independent_entries_do(law):
    rng, n_studies = np.random.default_rng(3), 50
    p_values = []
    for _ in range(n_studies):
        start, runs = pair_of_runs(LAWS[law], rng)
        p_values.append(jaccard_test(runs, initial=start).p_value.values.ravel())
    usual, gate = (np.array(p_values) < 0.05).mean(axis=0)
    assert gate < 0.05 + 4 * np.sqrt(0.05 * 0.95 / n_studies)
    assert usual == 1.0  # the wrong null: rounding alone is called agreement


def test_without_clusters_updates_of_low_rank_are_called_agreement_too_often():
    rng, n_studies = np.random.default_rng(4), 40
    wrong, right = [], []
    for _ in range(n_studies):
        start, runs = pair_of_runs(lambda r: r.standard_normal((96, 1)) * r.standard_normal((1, 128)), rng)
        labels = strata_labels(start.view(torch.int16).numpy(), check_strata("magnitude"), mantissa_bits=7)
        masks = [(end != start).numpy() for end in runs.values()]
        wrong.append(overlap_within(*masks, labels, entrywise=True).p_value)
        right.append(overlap_within(*masks, labels).p_value)
    assert np.mean(np.array(wrong) < 0.05) > 0.3
    assert np.mean(np.array(right) < 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / n_studies)


def test_runs_that_share_active_entries_are_found_out():
    rng = np.random.default_rng(5)
    start = heavy_tailed_weight(*SHAPE, rng)
    active = np.exp(0.5 * rng.standard_normal(SHAPE))
    runs = [end_of_run(start, active * rng.standard_normal(SHAPE)) for _ in range(2)]
    found = jaccard_test(runs, initial=start)
    assert given_magnitude(found) < 1e-3
    assert given_magnitude(found, "excess") > 0


def test_a_preference_for_small_weights_that_both_runs_share_is_not_seen():
    rng = np.random.default_rng(6)
    start = heavy_tailed_weight(*SHAPE, rng)
    chosen = (start.double().abs().numpy() + 1e-4) ** -0.5
    runs = [end_of_run(start, chosen * rng.standard_normal(SHAPE)) for _ in range(2)]
    found = jaccard_test(runs, initial=start)
    assert abs(given_magnitude(found, "excess")) < 4 * given_magnitude(found, "null_sd")
    assert "small weights" in found.cannot_see


def test_rows_that_are_active_in_both_runs_explain_their_agreement_only_once_they_are_held_fixed():
    rng = np.random.default_rng(7)
    start = heavy_tailed_weight(*SHAPE, rng)
    rows = np.exp(rng.standard_normal((SHAPE[0], 1)))
    runs = [end_of_run(start, rows * rng.standard_normal(SHAPE)) for _ in range(2)]
    assert given_magnitude(jaccard_test(runs, initial=start)) < 1e-3
    held = jaccard_test(runs, initial=start, strata=("binade", "row"))
    assert abs(given_magnitude(held, "excess")) < 4 * given_magnitude(held, "null_sd")


def test_the_order_of_runs_and_of_rows_and_a_power_of_two_change_nothing():
    start, runs = pair_of_runs(LAWS["Gaussian"], np.random.default_rng(8))
    order = torch.randperm(SHAPE[0], generator=torch.Generator().manual_seed(0))
    found = jaccard_test(runs, initial=start)
    for other in (
        jaccard_test({"b": runs["b"], "a": runs["a"]}, initial=start),
        jaccard_test({name: end[order] for name, end in runs.items()}, initial=start[order]),
        jaccard_test({name: 4 * end for name, end in runs.items()}, initial=4 * start),
        jaccard_test({name: (start, end) for name, end in runs.items()}),
        jaccard_test({name: end.float() for name, end in runs.items()}, initial=start.float().numpy()),
    ):
        np.testing.assert_allclose(other.p_value.values, found.p_value.values, rtol=1e-9)


def test_three_runs_make_three_pairs_and_identical_runs_agree_fully():
    start, runs = pair_of_runs(LAWS["Gaussian"], np.random.default_rng(9))
    found = jaccard_test({**runs, "c": runs["a"].clone()}, initial=start)
    assert found.observed.pair.values.tolist() == ["a & b", "a & c", "b & c"]
    assert float(found.observed.sel(pair="a & c").isel(baseline=0)) == 1.0
    assert "given magnitude" in str(found)
    assert found.n_runs == 3


def test_zeros_of_two_signs_are_one_number():
    start = torch.tensor([[0.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 1.0]]).bfloat16()
    first, second = start.clone(), start.clone()
    first[0, 0], first[0, 1], second[0, 1] = -0.0, 1.5, 1.5
    assert float(jaccard_test([first, second], initial=start, strata="binade").observed.squeeze()[0]) == 1.0


def test_checkpoints_are_read_by_name_and_their_matrices_add_up(tmp_path):
    rng = np.random.default_rng(10)
    names = [f"model.layers.{i}.self_attn.{part}_proj.weight" for i in (0, 1) for part in "qk"]
    starts = {name: heavy_tailed_weight(*SHAPE, rng) for name in names}
    for run in ("base", "a", "b"):
        folder = tmp_path / run
        folder.mkdir()
        weights = (
            starts if run == "base" else {n: end_of_run(w, LAWS["Gaussian"](rng)) for n, w in starts.items()}
        )
        save_file(weights, folder / "model.safetensors")
    found = jaccard_test({"a": tmp_path / "a", "b": str(tmp_path / "b")}, initial=tmp_path / "base")
    assert found.n_matrices == 4
    assert found.observed.sizes["matrix"] == 5
    each, together = found.observed.isel(matrix=slice(4)), found.observed.isel(matrix=4)
    assert float(each.min()) <= float(together.max()) <= float(each.max())
    sd = found.null_sd.isel(baseline=1, pair=0)
    assert float(sd[4]) == pytest.approx(float(sd[:4].mean()) / 2, rel=0.1)
    single = jaccard_test(
        {n: (tmp_path / "base", tmp_path / n) for n in "ab"}, matrices="model.layers.1.self_attn.q_proj"
    )
    assert single.n_matrices == 1
    assert float(single.p_value.values.ravel()[1]) == pytest.approx(
        float(found.p_value.sel(matrix="model.layers.1.self_attn.q_proj").values.ravel()[1])
    )


def test_bad_input_is_refused_with_what_to_do():
    start, runs = pair_of_runs(LAWS["Gaussian"], np.random.default_rng(11))
    end = runs["a"]
    broken = end.clone()
    broken[3, 4] = float("nan")
    with pytest.raises(SampleError, match="Pass two or more runs"):
        jaccard_test({"a": end}, initial=start)
    with pytest.raises(SampleError, match="run 'b' changed no entry"):
        jaccard_test({"a": end, "b": start}, initial=start)
    with pytest.raises(SampleError, match="run 'b' changed every entry"):
        jaccard_test({"a": end, "b": 2 * start}, initial=start)
    with pytest.raises(SampleError, match="start from different weights"):
        jaccard_test({"a": (start, end), "b": (end, runs["b"])})
    with pytest.raises(SampleError, match="no start"):
        jaccard_test(runs)
    with pytest.raises(SampleError, match="pair as well as initial="):
        jaccard_test({"a": (start, end), "b": end}, initial=start)
    with pytest.raises(ShapeError, match=r"run 'b'.*transposed"):
        jaccard_test({"a": end, "b": end.T}, initial=start)
    with pytest.raises(ProtocolError, match="stored in several types"):
        jaccard_test({"a": end, "b": start.float() + 1e-5}, initial=start)
    with pytest.raises(ProtocolError, match="no gate is shared"):
        jaccard_test([start.float() + 1e-5, start.float() + 2e-5], initial=start.float() + 3e-5)
    with pytest.raises(NonFiniteError, match="NaN"):
        jaccard_test({"a": end, "b": broken}, initial=start)
    with pytest.raises(SampleError, match="one kind for all"):
        jaccard_test({"a": end, "b": "run-b"}, initial=start)
    with pytest.raises(SampleError, match="Pass a mapping"):
        jaccard_test(end, initial=start)


@pytest.mark.parametrize("strata", ["layer", (), ("row", "column"), ("magnitude", "binade")])
def test_strata_that_mean_nothing_are_refused(strata):
    with pytest.raises(ProtocolError, match="strata="):
        check_strata(strata)
