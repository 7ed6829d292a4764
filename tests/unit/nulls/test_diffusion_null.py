import warnings

import numpy as np
import pytest
import torch
import xarray as xr

import geostat as gs
from geostat.errors import GeostatWarning, MissingTensorError, ProtocolError, SampleError, UndefinedWarning
from geostat.nulls.walks.diffusion import diffusion_null
from geostat.nulls.walks.path import increment_norms
from geostat.testing.synthetic import simulated_updates

ROWS, COLS, K, STEPS = 32, 48, 4, 10
NAMES = [f"blocks.{layer}.attention.query.weight" for layer in range(3)]
PROTOCOL = gs.PROTOCOLS["shen2026"].replace(K=K)


def run_of(kind, *, seed=0, names=NAMES[:1], dtype=torch.float32, size=0.05, **how):
    """Base and checkpoints of a run whose truth is known."""
    rng = np.random.default_rng(seed)
    base, steps = {}, {10 * (t + 1): {} for t in range(STEPS)}
    for name in names:
        start = torch.from_numpy(rng.standard_normal((ROWS, COLS)) / COLS**0.5).to(dtype)
        updates = simulated_updates(kind, rows=ROWS, cols=COLS, checkpoints=STEPS, rank=K, rng=rng, **how)
        updates *= size * float(start.double().norm()) / np.linalg.norm(updates[-1])
        base[name] = start
        for step, update in zip(steps, updates, strict=True):
            steps[step][name] = (start.double() + torch.from_numpy(update)).to(dtype)
    return base, steps


def measured(
    base, steps, diagnostics=("similarity_to_end", "forward_capture", "update_norm", "update_sparsity")
):
    return gs.measure(base, steps, diagnostics=diagnostics, protocol=PROTOCOL, progress=False)


def verdict(run, diffusion_capture):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedWarning)
        return gs.locking_onset(run, diffusion_capture=diffusion_capture, beside=()).rows()[0]["verdict"]


def test_anisotropic_diffusion_lies_within_its_null_and_is_not_called_locked():
    weights = run_of("walk", input_decay=1.0)
    null = diffusion_null(*weights, covariance=1.0, K=K, n=99, statistics=["forward_capture"])
    right = null["forward_capture"].high.sel(side="right")
    assert (null.observed.sel(side="right").isel(step=slice(0, -1)) > 0.5).all()
    assert verdict(measured(*weights), None) == "not distinguishable from diffusion"
    assert verdict(measured(*weights), right) not in ("locked", "left-censored")


def test_a_threshold_of_one_half_on_the_right_side_alone_calls_anisotropic_diffusion_locked():
    run = measured(*run_of("walk", input_decay=1.0))
    assert verdict(run.sel(side="right"), 0.5) in ("locked", "left-censored")


def test_a_planted_lock_exceeds_the_null_on_both_sides_and_is_found():
    weights = run_of("locking channel")
    null = diffusion_null(*weights, K=K, n=99, statistics=["forward_capture"])
    late = null.excess.isel(step=slice(5, -1))
    assert (late > 0.5).all()
    assert (null.p_value.isel(step=slice(5, -1)) == 0.02).all()
    assert verdict(measured(*weights), null.high.sel(side="right")) == "locked"


def test_norms_of_increments_are_taken_from_weights_and_those_of_updates_from_a_measurement():
    weights = run_of("locking channel")
    run = measured(*weights)
    from_store = diffusion_null(run, n=39)
    assert "cumulative updates" in from_store.conditions_on
    assert any("orthogonal" in text for text in from_store.assumptions)
    merged = diffusion_null(run.assign(increment_norm=increment_norms(*weights)), n=39)
    assert "norms of the run's increments" in merged.conditions_on
    # a drifting run has moved less, early on, by its updates than a walk of its increments has
    early = {"side": "right", "step": 50}
    mean = [null["similarity_to_end"].null_mean.sel(early) for null in (from_store, merged)]
    assert mean[0] < mean[1]


def test_means_over_independent_matrices_vary_less_than_single_matrices():
    run = measured(*run_of("walk", names=NAMES))
    mean = diffusion_null(run, n=199)["similarity_to_end"].null_sd.sel(side="right").isel(step=4)
    single = diffusion_null(run, n=199, dim=None)["similarity_to_end"].null_sd.sel(side="right").isel(step=4)
    assert single.sizes == {"matrix": 3}
    assert float(mean / single.mean()) == pytest.approx(3**-0.5, rel=0.3)


def test_runs_keep_their_names_and_a_missing_checkpoint_stays_missing():
    first, second = (measured(*run_of("walk", seed=seed)) for seed in (0, 1))
    data = gs.combine({("opd", 0): first, ("opd", 1): second.isel(step=slice(0, 8))})
    null = diffusion_null(data, n=39)
    cells = null.cells["similarity_to_end"]
    assert cells["recipe"].values.tolist() == ["opd", "opd"]
    assert cells["p_value"].isel(run=1, step=9).isnull().all()
    assert "none was measured" in str(cells["reason"].isel(run=1, step=9, side=0).item())
    assert cells["p_value"].isel(run=1, step=3).notnull().all()


def test_a_null_of_a_measurement_and_of_its_weights_agree_on_what_was_observed():
    weights = run_of("walk")
    from_weights = diffusion_null(*weights, K=K, n=39, statistics=["similarity_to_end"])
    from_store = diffusion_null(measured(*weights), n=39, statistics=["similarity_to_end"])
    np.testing.assert_allclose(from_weights.observed, from_store.observed)
    assert from_weights.settings["K"] == from_store.settings["K"] == K


def test_the_runs_own_increments_as_covariance_are_labelled_circular_and_hide_a_channel_on_the_right():
    weights = run_of("locking channel")
    plain = diffusion_null(*weights, K=K, n=39, statistics=["forward_capture"])
    own = diffusion_null(*weights, K=K, n=39, statistics=["forward_capture"], covariance="increments")
    assert "circular" in own.method
    assert "circular" in own.cannot_see
    late = {"side": "right", "step": 80}
    assert own.null_mean.sel(late) > plain.null_mean.sel(late) + 0.5
    assert own.excess.sel(late) < 0.3


def test_bf16_runs_are_compared_with_rounded_walks_where_the_start_is_known():
    base, steps = run_of("walk", dtype=torch.bfloat16, size=1e-3)
    steps = {step: steps[step] for step in (40, 80)}
    through = diffusion_null(base, steps, K=K, n=39, statistics=["past_next_similarity"])
    assert "rounding to bf16" in through.conditions_on
    run = measured(base, steps, ["past_next_similarity", "update_norm"])
    again = diffusion_null(run, initial=base, n=39)
    assert "rounding to bf16" in again.conditions_on
    with pytest.warns(GeostatWarning, match="are not rounded"):
        plain = diffusion_null(run, n=39)
    assert "rounding of the files counts as excess" in plain.cannot_see
    meant = diffusion_null(run, n=39, storage="fp32")
    assert meant.null_mean.mean() < through.null_mean.mean()


def test_a_matrix_that_never_changes_is_left_out_and_a_run_without_change_refused():
    base, steps = run_of("walk", names=NAMES)
    for weights in steps.values():
        weights[NAMES[1]] = base[NAMES[1]]
    run = measured(base, steps)
    assert diffusion_null(run, n=39).n_matrices == 2
    with pytest.raises(SampleError, match="nothing changed"):
        diffusion_null(run.isel(matrix=[1]), n=39)


def test_figures_tell_what_the_null_conditions_on_and_cannot_see():
    null = diffusion_null(measured(*run_of("walk")), n=39)
    text = repr(null["similarity_to_end"])
    assert "conditions on the shapes" in text
    assert "cannot see structure in the input covariance" in text


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"statistics": ["stable_rank"]}, SampleError, "a walk has"),
        ({"statistics": ["nss"]}, SampleError, "nss"),
        ({"covariance": "increments"}, SampleError, "made from weights"),
        ({"covariance": "own"}, SampleError, "not known"),
        ({"covariance": {"other": 1.0}}, SampleError, "lacks"),
        ({"storage": "bf16"}, ProtocolError, "initial="),
        ({"dim": "step"}, SampleError, "dim='step'"),
        ({"n": 10}, SampleError, "n=39"),
        ({"storage": "bf16", "initial": {NAMES[2]: torch.ones(ROWS, COLS)}}, MissingTensorError, "initial="),
        ({"data": 3}, SampleError, "no checkpoints"),
    ],
)
def test_mistakes_are_told(change, error, said):
    given = {"data": measured(*run_of("walk")), "n": 39} | change
    with pytest.raises(error, match=said):
        diffusion_null(given.pop("data"), **given)


def test_mixed_storage_is_refused():
    run = measured(*run_of("walk")).assign_attrs(storage="mixed")
    with pytest.raises(ProtocolError, match="storage='fp32'"):
        diffusion_null(run, n=39)


def test_initial_weights_finer_than_bf16_are_no_start_of_a_rounded_walk():
    base, steps = run_of("walk")
    with pytest.raises(ProtocolError, match="bf16 has not"):
        diffusion_null(measured(base, steps), initial=base, storage="bf16", n=39)


def test_data_without_norms_or_shapes_say_what_is_missing():
    run = measured(*run_of("walk"))
    with pytest.raises(SampleError, match="update_norm"):
        diffusion_null(run.drop_vars("update_norm"), n=39)
    with pytest.raises(SampleError, match="'rows'"):
        diffusion_null(run.drop_vars("rows"), n=39)


def test_the_picture_holds_observed_lines_in_front_of_bands():
    null = diffusion_null(measured(*run_of("walk")), n=39)
    axes = null["similarity_to_end"].plot()
    assert len(axes.collections) == 2  # a band for each side
    assert {text.get_text() for text in axes.texts} == {"left", "right"}
    with pytest.raises(SampleError, match="one at a time"):
        null.plot()


def test_a_null_without_steps_is_drawn_as_rows():
    null = diffusion_null(measured(*run_of("walk")), n=39)["similarity_to_end"]
    cells = {"similarity_to_end": null.cells["similarity_to_end"].isel(step=3, drop=True)}
    from dataclasses import replace

    axes = replace(null, cells=cells).plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["right", "left"]
    assert isinstance(null.to_xarray(), xr.Dataset)


def test_an_envelope_is_drawn_behind_the_lines_of_a_trajectory():
    run = measured(*run_of("walk")).sel(side="right")
    null = diffusion_null(run, n=39, statistics=["similarity_to_end"])
    axes = gs.report.trajectory(run.similarity_to_end, envelope=null).axes[0]
    (band,) = axes.collections
    (line,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert band.get_zorder() < line.get_zorder()
    corners = band.get_paths()[0].vertices
    assert corners[:, 0].max() == 100
    assert corners[:, 1].min() == pytest.approx(float(null.low.min()))
    low, high = axes.get_ylim()
    assert low <= corners[:, 1].min()
    assert high >= corners[:, 1].max()


def test_a_panel_draws_each_envelope_behind_its_metric_and_says_what_it_is():
    run = measured(*run_of("walk")).sel(side="right")
    null = diffusion_null(run, n=39, statistics=["similarity_to_end"])
    figure = gs.report.panel(run, ["update_norm", "similarity_to_end"], envelopes={"similarity_to_end": null})
    plain, walked = figure.axes
    assert not plain.collections
    assert len(walked.collections) == 1
    (caption,) = [text for text in figure.texts if "Grey" in text.get_text()]
    assert null.method in caption.get_text()


def test_checkpoints_without_a_figure_leave_no_hole_in_the_envelope():
    run = measured(*run_of("walk")).sel(side="right")
    null = diffusion_null(run, n=39, statistics=["forward_capture"])
    axes = gs.report.trajectory(run.forward_capture, envelope=null).axes[0]
    (band,) = axes.collections
    assert np.isfinite(band.get_paths()[0].vertices).all()
