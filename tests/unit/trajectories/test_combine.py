"""Several runs side by side."""

import numpy as np
import pandas as pd
import pytest
import torch

import geostat as gs
from geostat.errors import GeostatWarning, ProtocolError, SampleError, ShapeError, StoreError
from geostat.spec import Reason

NAMES = ("blocks.0.attention.query.weight", "blocks.0.attention.key.weight")


def _run(seed, steps=(10, 20), names=NAMES, **settings):
    rng = torch.Generator().manual_seed(seed)
    start = {name: torch.randn(6, 5, generator=rng) for name in names}
    moved = {
        step: {
            name: weight + 0.01 * step * torch.randn(6, 5, generator=rng) for name, weight in start.items()
        }
        for step in steps
    }
    return gs.measure(start, moved, progress=False, **settings)


def test_runs_are_selected_by_recipe_and_by_seed():
    runs = {("opd", 0): _run(0), ("opd", 1): _run(1), ("sft", 0): _run(2)}
    combined = gs.combine(runs)
    assert [str(label) for label in combined.run.values] == ["opd-0", "opd-1", "sft-0"]
    opd = combined.sel(recipe="opd")
    assert opd.sizes["run"] == 2
    np.testing.assert_array_equal(opd.stable_rank.isel(run=1), runs["opd", 1].stable_rank)
    assert combined.sel(seed=0).sizes["run"] == 2


def test_different_step_grids_leave_cells_with_a_reason():
    combined = gs.combine({("a", 0): _run(0, (10, 20)), ("a", 1): _run(1, (20, 30))})
    assert combined.step.values.tolist() == [10, 20, 30]
    absent = combined.sel(step=30).isel(run=0)
    assert absent.stable_rank.isnull().all()
    assert (absent.reason.sel(diagnostic="stable_rank") == Reason.not_measured.value).all()
    assert combined.progress.isel(run=1).values.tolist() == [10 / 30, 20 / 30, 1.0]
    assert gs.validate(combined) == []


def test_inner_join_keeps_what_every_run_has():
    runs = {("a", 0): _run(0, (10, 20)), ("a", 1): _run(1, (20, 30))}
    assert gs.combine(runs, join="inner").step.values.tolist() == [20]


def test_different_matrix_sets_leave_cells_with_a_reason():
    combined = gs.combine({("a", 0): _run(0), ("a", 1): _run(1, names=NAMES[:1])})
    absent = combined.isel(run=1).sel(matrix="blocks.0.attention.key")
    assert absent.stable_rank.isnull().all()
    assert (absent.reason == Reason.not_measured.value).all()
    assert combined.rows.values.tolist() == [6, 6]


def test_different_protocols_never_combine():
    with pytest.raises(ProtocolError, match=r"K is 16 and 4"):
        gs.combine({("a", 0): _run(0), ("a", 1): _run(1, protocol=gs.Protocol(K=4))})


def test_one_store_under_two_labels_is_refused():
    run = _run(0)
    with pytest.raises(SampleError, match="same data"):
        gs.combine({("a", 0): run, ("a", 1): run})
    with pytest.raises(SampleError, match="no run"):
        gs.combine({})


def test_stores_combine_lazily_and_flow_into_statistics(tmp_path, geostat_run):
    store = tmp_path / "a.zarr"
    gs.measure(geostat_run.base, geostat_run.checkpoints, store=store, progress=False)
    other = gs.measure(geostat_run.base, geostat_run.checkpoints, vectors=False, progress=False)
    shifted = other.assign(stable_rank=other.stable_rank + 1.0)
    combined = gs.combine({("a", 0): store, ("a", 1): shifted})
    means = combined.stable_rank.mean("matrix").sel(step=40).values
    result = gs.mean_ci(combined.stable_rank.sel(step=40), scale="identity")
    half = 12.706204736174694 * means.std(ddof=1) / np.sqrt(2)  # t quantile, 1 degree of freedom
    assert float(result.estimate.sel(recipe="a")) == pytest.approx(means.mean())
    assert float(result.high.sel(recipe="a")) == pytest.approx(means.mean() + half)


def test_runs_from_the_same_weights_share_a_base_and_others_do_not():
    combined = gs.combine({("a", 0): _run(0), ("a", 1): _run(0, (20, 30)), ("b", 0): _run(1)})
    first, second, third = (str(base) for base in combined.base.values)
    assert first == second
    assert first != third


def test_shapes_that_differ_between_runs_are_refused():
    start = {NAMES[0]: torch.randn(4, 5), NAMES[1]: torch.randn(6, 5)}
    other = gs.measure(start, {10: {name: 2 * weight for name, weight in start.items()}}, progress=False)
    with pytest.raises(ShapeError, match=r"\(6, 5\).*\(4, 5\)"):
        gs.combine({("a", 0): _run(0), ("a", 1): other})


def test_different_horizons_leave_the_lagged_diagnostics_out():
    runs = {("a", 0): _run(0, (10, 20, 30)), ("a", 1): _run(1, (20, 40))}
    with pytest.warns(GeostatWarning, match=r"different horizons.*a: 10, 20.*forward_capture"):
        combined = gs.combine(runs)
    assert combined.forward_capture.isnull().all()
    codes = combined.reason.sel(diagnostic="forward_capture")
    assert set(np.unique(codes)) <= {Reason.different_horizons.value, Reason.not_measured.value}
    assert combined.future_capture.notnull().any()
    assert combined.horizon.values.tolist() == [10, 20]
    assert gs.validate(combined) == []


def test_horizons_are_seen_in_a_single_step_too():
    runs = {("a", 0): _run(0, (10, 20, 30)).sel(step=[10]), ("a", 1): _run(1, (10, 30)).sel(step=[10])}
    with pytest.warns(GeostatWarning, match="different horizons"):
        assert gs.combine(runs).lagged_similarity.isnull().all()


def test_selected_diagnostics_combine():
    runs = {("a", s): _run(s)[["stable_rank", "reason", "audit"]] for s in (0, 1)}
    assert gs.combine(runs).stable_rank.notnull().all()
    bare = {("a", s): _run(s)[["stable_rank"]] for s in (0, 1)}
    assert gs.combine(bare).stable_rank.notnull().all()
    mixed = gs.combine({("a", 0): _run(0), ("a", 1): _run(1)[["stable_rank", "reason", "audit"]]})
    assert gs.validate(mixed) == []


def test_runs_without_a_common_matrix_have_bases_of_their_own():
    combined = gs.combine({("a", 0): _run(0, names=NAMES[:1]), ("a", 1): _run(1, names=NAMES[1:])})
    assert len(set(map(str, combined.base.values))) == 2


def test_recipes_may_look_ahead_by_different_horizons_and_their_comparison_says_so():
    runs = {("a", s): _run(s, (10, 20, 30), protocol=gs.Protocol(K=2)) for s in (0, 1)}
    runs |= {("b", s): _run(s, (20, 40, 60), protocol=gs.Protocol(K=2)) for s in (2, 3)}
    combined = gs.combine(runs).sel(step=20)
    assert combined.forward_capture.notnull().all()
    with pytest.warns(GeostatWarning) as warned:
        gs.compare(combined.forward_capture, "a", "b")
    assert any("look ahead by different numbers of steps" in str(warning.message) for warning in warned)
    with pytest.warns(GeostatWarning) as warned:
        gs.compare(combined.stable_rank, "a", "b")
    assert not any("look ahead" in str(warning.message) for warning in warned)


def test_a_declared_horizon_combines_with_the_same_gap():
    declared = _run(1, (10, 20, 30), protocol=gs.Protocol(horizon=10))
    combined = gs.combine({("a", 0): _run(0, (10, 20, 30)), ("a", 1): declared})
    assert combined.lagged_similarity.notnull().any()


def test_a_run_cut_down_to_one_side_is_refused():
    run, other = _run(0), _run(1)
    with pytest.raises(ProtocolError, match="side"):
        gs.combine({("a", 0): run.sel(side="left"), ("a", 1): other})
    with pytest.raises(ProtocolError, match="side"):
        gs.combine({("a", 0): run.sel(side="left"), ("a", 1): other.sel(side="right")})


@pytest.mark.parametrize("runs", [{"opd": 1}, {("opd", 0, 1): 1}, {("opd", "0"): 1}, [1]])
def test_labels_that_are_no_recipe_and_seed_are_refused(runs):
    with pytest.raises(SampleError, match="recipe"):
        gs.combine(runs)


def test_what_is_no_single_run_is_refused():
    run = _run(0)
    for wrong in (run.isel(step=0), run.isel(matrix=0), gs.combine({("a", 0): run}), run.drop_attrs()):
        with pytest.raises(SampleError, match=r"'a', 1"):
            gs.combine({("a", 0): run, ("a", 1): wrong})
    with pytest.raises(SampleError, match="leaves nothing"):
        gs.combine({("a", 0): _run(0, (10,)), ("a", 1): _run(1, (20,))}, join="inner")


def test_one_store_by_two_paths_is_refused(tmp_path, geostat_run, monkeypatch):
    gs.measure(
        geostat_run.base, geostat_run.checkpoints, store=tmp_path / "a.zarr", vectors=False, progress=False
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SampleError, match="same data"):
        gs.combine({("a", 0): "a.zarr", ("a", 1): tmp_path / "a.zarr"})
    cut = gs.open_trajectory("a.zarr").isel(step=slice(1, None))
    with pytest.raises(SampleError, match="same data"):
        gs.combine({("a", 0): "a.zarr", ("a", 1): cut})


def test_a_selection_keeps_its_labels_in_the_table(tmp_path):
    run = _run(0).sel(side="left")
    gs.to_csv(run[["mean_principal_angle", "reason", "audit"]], tmp_path / "run.csv")
    table = pd.read_csv(tmp_path / "run.csv")
    assert set(table.side) == {"left"}
    assert set(table.diagnostic) == {"mean_principal_angle"}
    with pytest.raises(StoreError, match="keep them in a selection"):
        gs.to_csv(run[["stable_rank"]], tmp_path / "run.csv")
    with pytest.raises(StoreError, match="keep them in a selection"):
        gs.validate(run[["stable_rank"]])


def test_csv_has_one_labelled_line_per_value(tmp_path):
    combined = gs.combine({("a", 0): _run(0), ("b", 7): _run(1)})
    gs.to_csv(combined, tmp_path / "runs.csv")
    table = pd.read_csv(tmp_path / "runs.csv", keep_default_na=False, na_values=[""])
    assert set(table.recipe) == {"a", "b"}
    assert set(table.seed) == {0, 7}
    cell = table[
        (table.run == "b-7")
        & (table.step == 20)
        & (table.matrix == "blocks.0.attention.key")
        & (table.diagnostic == "stable_rank")
    ]
    expected = combined.stable_rank.sel(run="b-7", step=20, matrix="blocks.0.attention.key")
    assert cell.value.item() == pytest.approx(float(expected), rel=1e-12)
    assert table.reason[table.value.isna()].notna().all()
    assert table.reason[table.value.notna()].isna().all()
