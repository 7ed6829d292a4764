"""Nulls of a whole run, and how they join the measurement."""

import json

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import save_file

import geostat as gs
from geostat.errors import CheckpointError, ProtocolError, SampleError, StoreError
from geostat.linalg import round_to_bf16
from geostat.nulls.floors.floor import noise_floor
from geostat.nulls.gates.gate import gate_null
from geostat.nulls.whole_runs import journal as run_nulls_journal
from geostat.nulls.whole_runs.loop import run_nulls

NAMES = [f"blocks.0.attention.{module}.weight" for module in ("query", "key")]
PROTOCOL = gs.Protocol(name="small", k=8, r=8, K=4, energy_k=4, hill_k=6)
ALL = {"n": 19, "progress": False, "floors": False}
QUICK = ALL | {"statistics": "update_sparsity"}


def draw(seed, rows=96, cols=128):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, cols, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def weights():
    """Two matrices at two steps; the second matrix is selective for small weights, as no gate makes it."""
    start = {name: draw(i).bfloat16() for i, name in enumerate(NAMES)}
    steps = {}
    for step, size in ((10, 1e-3), (20, 4e-3)):
        first = start[NAMES[0]] + size * draw(10 + step)
        second = start[NAMES[1]] + size * draw(50 + step) * (start[NAMES[1]].double().abs() < 0.5)
        steps[step] = {NAMES[0]: first.bfloat16(), NAMES[1]: second.bfloat16()}
    return start, steps


@pytest.fixture(scope="module")
def files(weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    start, steps = weights
    for name, tensors in {"base": start, **{f"step-{step}": each for step, each in steps.items()}}.items():
        (folder / name).mkdir()
        save_file(tensors, folder / name / "model.safetensors")
    gs.measure(
        folder / "base", f"{folder}/step-*", store=folder / "run.zarr", protocol=PROTOCOL, progress=False
    )
    return folder


@pytest.fixture(scope="module")
def nulls(files):
    return run_nulls(store=files / "run.zarr", **ALL)


def test_every_cell_is_the_null_of_its_matrix(weights, nulls):
    start, steps = weights
    found = nulls
    assert found.low_magnitude_mask_overlap_excess.dims == ("step", "matrix", "alpha")
    for place, name in enumerate(NAMES):
        for step in (10, 20):
            alone = gate_null(
                start[name],
                steps[step][name],
                statistic="low_magnitude_mask_overlap",
                protocol=PROTOCOL,
                n=19,
            )
            cell = found.isel(matrix=place).sel(step=step)
            assert cell.low_magnitude_mask_overlap_null.values == pytest.approx(alone.null_mean.values)
            assert cell.low_magnitude_mask_overlap_excess.values == pytest.approx(alone.excess.values)
    independent, selective = found.low_magnitude_mask_overlap_excess.sel(alpha=0.3, step=20).values
    assert abs(independent) < 0.03
    assert selective > independent + 0.03


def test_observed_figures_are_those_of_the_measurement(files, nulls):
    run = gs.open_trajectory(files / "run.zarr")
    for name in ("update_sparsity", "low_magnitude_mask_overlap", "principal_mask_overlap"):
        assert nulls[f"{name}_observed"].values == pytest.approx(run[name].values, abs=1e-12)
        excess = nulls[f"{name}_observed"] - nulls[f"{name}_null"]
        assert nulls[f"{name}_excess"].values == pytest.approx(excess.values)


def test_nulls_join_the_store_and_runs_join_each_other(files, nulls):
    run = gs.open_trajectory(files / "run.zarr").load()
    both = run.assign(nulls.data_vars)
    assert both.attrs["protocol_hash"] == run.attrs["protocol_hash"]
    other = both.assign_attrs(identity="another")
    runs = gs.combine({("opd", 0): both, ("opd", 1): other})
    assert runs.update_sparsity_excess.dims == ("run", "step", "matrix")
    mean = gs.mean_ci(runs[["update_sparsity", "update_sparsity_excess"]].isel(run=[0]))
    weighted = both.update_sparsity_excess.weighted(both.n_params).mean("matrix")
    assert mean.estimate.update_sparsity_excess.values.ravel() == pytest.approx(weighted.values)


def test_p_values_are_never_averaged(nulls):
    averaged = gs.mean_ci(nulls).cells
    assert "update_sparsity_null" in averaged
    assert "update_sparsity_p_value" not in averaged
    assert "null_reason" not in averaged


def test_random_numbers_belong_to_the_matrix(weights, nulls):
    start, steps = weights
    part = run_nulls(start, steps, protocol=PROTOCOL, matrices="*key", steps=[20], **QUICK)
    whole = nulls.sel(step=[20]).isel(matrix=[1])
    xr.testing.assert_identical(part.update_sparsity_p_value, whole.update_sparsity_p_value)
    again = run_nulls(start, steps, protocol=PROTOCOL, rng=1, **QUICK)
    assert json.loads(again.attrs["null_settings"])["seed"] == 1


def test_what_did_not_change_or_changed_everywhere_is_a_gap_with_its_reason(weights):
    start, _ = weights
    same, other = dict(start), {name: (-weight.float() - 1).bfloat16() for name, weight in start.items()}
    other = {
        name: torch.where(other[name] == start[name], torch.ones_like(other[name]), other[name])
        for name in NAMES
    }
    same[NAMES[1]] = other[NAMES[1]]
    found = run_nulls(start, {10: same}, protocol=PROTOCOL, **QUICK)
    assert np.isnan(found.update_sparsity_null.values).all()
    sentences = found.null_reason.attrs["flag_sentences"]
    told = [sentences[i] for i in found.null_reason.values.ravel()]
    assert told[0].startswith("no entry changed")
    assert told[1].startswith("every entry changed")


def test_unrounded_weights_have_no_gate_and_permutation_asks_for_them(weights):
    start, steps = weights
    fine = {name: draw(i).float() for i, name in enumerate(NAMES)}
    after = {20: {name: fine[name] + 4e-3 * draw(70 + i).float() for i, name in enumerate(NAMES)}}
    with pytest.raises(ProtocolError, match=r"query at step 20.*more digits than 16 bits"):
        run_nulls(fine, after, protocol=PROTOCOL, n=19, progress=False)
    permuted = run_nulls(
        fine,
        after,
        method="permutation",
        statistics="update_sparsity",
        protocol=PROTOCOL,
        n=19,
        progress=False,
    )
    assert not any(name.endswith("_floor") for name in permuted)
    with pytest.raises(ProtocolError, match="stored in fp32"):
        run_nulls(fine, after, method="permutation", floors=True, protocol=PROTOCOL, n=19, progress=False)
    with pytest.raises(ProtocolError, match="needs weights that storage did not round"):
        run_nulls(start, steps, method="permutation", protocol=PROTOCOL, **QUICK)


def test_floors_are_those_of_each_initial_weight(weights):
    start, steps = weights
    names = ("relative_update_norm", "stable_rank", "max_principal_angle")
    found = run_nulls(start, steps, statistics=(), floors=names, protocol=PROTOCOL, progress=False)
    assert found.relative_update_norm_floor.dims == ("matrix",)
    assert found.max_principal_angle_floor.dims == ("matrix", "side")
    assert found.stable_rank_floor.attrs["floor"] == "at least"
    for place, name in enumerate(NAMES):
        alone = noise_floor(start[name], diagnostics=names, protocol=PROTOCOL, n=4, rng=3)
        closed = float(alone["relative_update_norm"].closed_form.sel(rounding="one end"))
        assert float(found.relative_update_norm_floor[place]) == pytest.approx(closed, rel=0.06)


def test_a_stopped_call_goes_on_where_it_was(files, tmp_path, monkeypatch):
    asked = {"store": files / "run.zarr", "output": tmp_path / "nulls.zarr", **QUICK}
    written = []
    real = run_nulls_journal.NullsJournal.write

    def stopping(self, matrix, numbers):
        real(self, matrix, numbers)
        written.append(matrix)
        if len(written) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(run_nulls_journal.NullsJournal, "write", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_nulls(**asked)
    assert not (tmp_path / "nulls.zarr").exists()
    found = run_nulls(**asked)
    assert len(written) == len(NAMES)
    assert not (tmp_path / "nulls.zarr.nulls").exists()
    xr.testing.assert_identical(xr.open_zarr(tmp_path / "nulls.zarr").load(), found)
    xr.testing.assert_identical(run_nulls(**asked), found)
    assert len(written) == len(NAMES)  # what is whole is taken up


def test_the_answer_to_another_question_is_neither_taken_up_nor_lost(files, tmp_path):
    asked = {"store": files / "run.zarr", "output": tmp_path / "nulls.zarr", **QUICK}
    first = run_nulls(**asked)
    with pytest.raises(StoreError, match=r"holds other nulls.*--no-resume"):
        run_nulls(**(asked | {"rng": 5}))
    xr.testing.assert_identical(xr.open_zarr(tmp_path / "nulls.zarr").load(), first)
    other = run_nulls(**(asked | {"rng": 5}), resume=False)
    assert other.attrs["null_question"] != first.attrs["null_question"]
    xr.testing.assert_identical(xr.open_zarr(tmp_path / "nulls.zarr").load(), other)


def test_finished_matrices_of_another_question_are_neither_taken_up_nor_lost(tmp_path):
    place = tmp_path / "n.zarr"
    run_nulls_journal.NullsJournal(place, {"asked": 1}).write("a", {"x": np.arange(3.0)})
    with pytest.raises(StoreError, match=r"finished matrices of other nulls.*--no-resume"):
        run_nulls_journal.NullsJournal(place, {"asked": 2})
    same = run_nulls_journal.NullsJournal(place, {"asked": 1})
    assert same.read("a")["x"].tolist() == [0, 1, 2]
    assert run_nulls_journal.NullsJournal(place, {"asked": 2}, resume=False).read("a") is None


def test_what_stands_there_is_not_replaced(files, tmp_path):
    (tmp_path / "n.zarr").mkdir()
    with pytest.raises(StoreError, match="holds no nulls"):
        run_nulls(store=files / "run.zarr", output=tmp_path / "n.zarr", **QUICK)


def test_weights_must_be_those_of_the_store(files, weights, tmp_path):
    _, steps = weights
    strangers = {name: draw(30 + i).bfloat16() for i, name in enumerate(NAMES)}
    with pytest.raises(CheckpointError, match="fingerprint differs"):
        run_nulls(strangers, steps, store=files / "run.zarr", **QUICK)
    with pytest.raises(CheckpointError, match="step 30 was asked for"):
        run_nulls(store=files / "run.zarr", steps=[30], **QUICK)
    memory = gs.measure(*weights, protocol=PROTOCOL, diagnostics=["stable_rank"], progress=False)
    with pytest.raises(StoreError, match="names no checkpoint files"):
        run_nulls(store=memory, **QUICK)
    with pytest.raises(SampleError, match="needs base and checkpoints"):
        run_nulls(**QUICK)
    with pytest.raises(SampleError, match="store of one run"):
        run_nulls(store=gs.combine({("a", 0): memory}), **QUICK)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"statistics": "stable_rank"}, "has no gate null"),
        ({"statistics": "row_dispersion"}, "cannot answer for row_dispersion"),
        ({"method": "magic"}, "Methods: 'law-free'"),
        ({"statistics": ()}, "asked for nothing"),
        ({"floors": "update_sparsity"}, "no noise floor of one end"),
    ],
)
def test_what_has_no_null_is_refused_before_anything_is_read(weights, asked, told):
    with pytest.raises(ProtocolError, match=told):
        run_nulls(*weights, protocol=PROTOCOL, **(QUICK | asked))


def test_latent_figures_are_estimates_before_rounding():
    start = {NAMES[0]: draw(0, 96, 96).bfloat16(), NAMES[1]: draw(1, 96, 96).bfloat16()}
    channel = 2e-3 * torch.outer(draw(2)[:, 0].sign(), draw(3)[0, :96].sign())
    end = {NAMES[0]: round_to_bf16(start[NAMES[0]].double() + channel), NAMES[1]: start[NAMES[1]]}
    one = PROTOCOL.replace(name="one", K=1)
    found = run_nulls(start, {5: end}, statistics=(), floors=False, latent=True, protocol=one, progress=False)
    stored = gs.stable_rank(end[NAMES[0]].double() - start[NAMES[0]].double())
    latent, unchanged = found.stable_rank_latent.values[0]
    assert stored > 1.5
    assert abs(latent - 1) < 0.1  # the channel has rank 1
    assert found.stable_rank_latent_low[0, 0] <= latent <= found.stable_rank_latent_high[0, 0]
    assert np.isnan(unchanged)
    codes = found.null_reason.sel(null_metric="latent_update").values.ravel()
    assert [found.null_reason.attrs["flag_sentences"][code][:9] for code in codes] == ["defined", "the model"]
    assert "units" not in found.stable_rank_latent_low.attrs


def test_every_variable_says_what_it_conditions_on(weights):
    found = run_nulls(*weights, protocol=PROTOCOL, **(QUICK | {"floors": "relative_update_norm"}))
    for name in ("update_sparsity_null", "update_sparsity_excess", "relative_update_norm_floor"):
        assert len(found[name].attrs["conditions_on"]) > 20
        assert len(found[name].attrs["cannot_see"]) > 20
