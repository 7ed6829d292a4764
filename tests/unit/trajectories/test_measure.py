"""What a measurement holds, and what it refuses."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import save_file

import geostat as gs
from geostat.checkpoints import TensorName
from geostat.errors import (
    AuditWarning,
    CheckpointError,
    JournalError,
    MissingTensorError,
    MissingTensorWarning,
    NonFiniteError,
    ProtocolError,
    StoreError,
)
from geostat.linalg import Factored, Policy, using
from geostat.spec import Reason
from geostat.testing import ORACLES, assert_same_store, assert_values_close
from geostat.trajectories import Journal, journal_path, vectors
from geostat.trajectories.schema import describe

NAME = "blocks.0.attention.query.weight"


@pytest.fixture(scope="module")
def measured(geostat_run, tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "run.zarr"
    return gs.measure(geostat_run.base, geostat_run.checkpoints, store=store, progress=False), store


def _read(folder, name):
    return gs.open_checkpoint(folder)[name].to(torch.float64).numpy()


def _one(weights):
    return {NAME: torch.as_tensor(weights)}


@pytest.mark.parametrize(
    "diagnostic", ["stable_rank", "normalized_spectral_shift", "update_norm", "effective_rank"]
)
def test_stored_value_is_that_of_the_files(measured, geostat_run, diagnostic):
    dataset, _ = measured
    initial = _read(geostat_run.base, NAME)
    updated = _read(geostat_run.base.replace("base", "step-30"), NAME)
    operands = {"initial": initial, "updated": updated, "update": updated - initial}
    spec = gs.DIAGNOSTICS[diagnostic]
    expected = ORACLES[diagnostic](*(operands[name] for name in spec.operands))
    found = dataset[diagnostic].sel(step=30, matrix=NAME.removesuffix(".weight"))
    assert_values_close(found, expected, rtol=1e-10, atol=1e-13, what=diagnostic)


def test_forward_capture_uses_the_next_checkpoint(measured, geostat_run):
    dataset, _ = measured
    weights = {step: _read(geostat_run.base.replace("base", f"step-{step}"), NAME) for step in (20, 30)}
    update = weights[20] - _read(geostat_run.base, NAME)
    expected = ORACLES["forward_capture"](update, weights[30] - weights[20], K=16, side="left")
    found = dataset.forward_capture.sel(step=20, matrix=NAME.removesuffix(".weight"), side="left")
    assert_values_close(found, expected, rtol=1e-9, atol=1e-12, what="forward_capture")


def test_an_undefined_cell_is_nan_with_its_reason(measured):
    dataset, _ = measured
    last = dataset.sel(step=40)
    assert np.isnan(last.forward_capture.values).all()
    assert (last.reason.sel(diagnostic="forward_capture") == Reason.no_later_checkpoint.value).all()
    assert gs.validate(dataset) == []


def test_zero_update_is_nan_and_says_so():
    start = _one(torch.eye(6))
    dataset = gs.measure(start, {step: _one(torch.eye(6)) for step in (10, 20)}, progress=False)
    assert float(dataset.update_sparsity[0, 0]) == 1.0
    assert np.isnan(dataset.stable_rank.values).all()
    assert (dataset.reason.sel(diagnostic="stable_rank") == Reason.zero_update.value).all()
    assert gs.validate(dataset) == []


def test_every_default_diagnostic_is_stored_with_its_attributes(measured):
    dataset, _ = measured
    for name, spec in gs.DIAGNOSTICS.items():
        if spec.default:
            attrs = dataset[name].attrs
            assert attrs["units"] == spec.units
            assert attrs["long_name"] == spec.long_name
            assert attrs["reference"] == spec.reference
    assert dataset.update_sparsity.attrs["weighting"] == "parameters"
    assert dataset.attrs["storage"] == "bf16"


def test_principal_angles_come_on_request_with_a_rank_dim(geostat_run):
    dataset = gs.measure(
        geostat_run.base, geostat_run.checkpoints, diagnostics=["principal_angles"], progress=False
    )
    assert dataset.principal_angles.dims == ("step", "matrix", "side", "rank")
    assert dataset.principal_angles.max("rank").notnull().all()


def test_a_store_opens_with_xarray_alone_and_without_warnings(measured):
    _, store = measured
    script = (
        "import sys, xarray; ds = xarray.open_zarr(sys.argv[1]).load();"
        "assert not any(m.split('.')[0] == 'geostat' for m in sys.modules);"
        "print(ds.stable_rank.dims, ds.matrix.values[0])"
    )
    command = [sys.executable, "-W", "error", "-c", script, str(store)]
    found = subprocess.run(command, capture_output=True, text=True, cwd=os.path.dirname(store))
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == "('step', 'matrix') blocks.0.attention.query"


def test_stored_vectors_span_the_channel(measured, geostat_run):
    dataset, store = measured
    name = str(dataset.matrix.values[0])
    channel = vectors(store, name).right.sel(step=40).values[:, :4]
    truth = np.linalg.svd(geostat_run.updates[NAME, 40].numpy())[2][:4].T
    assert np.linalg.norm(truth.T @ channel) ** 2 / 4 > 0.98


def test_vectors_beyond_the_budget_are_left_out_and_named(geostat_run, tmp_path):
    budget = 4 * 4 * 16 * (48 + 32)  # one matrix over four steps
    dataset = gs.measure(
        geostat_run.base, geostat_run.checkpoints, store=tmp_path / "run.zarr", vectors=budget, progress=False
    )
    left_out = json.loads(dataset.attrs["vectors_left_out"])
    assert left_out == [str(name) for name in dataset.matrix.values[1:]]
    with pytest.raises(StoreError, match="did not fit the byte budget"):
        vectors(tmp_path / "run.zarr", left_out[0])


def test_a_second_call_computes_nothing(measured, geostat_run, monkeypatch):
    dataset, store = measured
    monkeypatch.setattr("geostat.trajectories.engines.job.measure_matrix", None)
    again = gs.measure(geostat_run.base, geostat_run.checkpoints, store=store, progress=False)
    assert_same_store(again, dataset)


def test_another_measurement_does_not_overwrite_a_store(measured, geostat_run):
    _, store = measured
    with pytest.raises(StoreError, match="holds another measurement.*--no-resume"):
        gs.measure(geostat_run.base, geostat_run.checkpoints, store=store, protocol="zhu2025", progress=False)


def test_plain_and_fast_spectra_do_not_meet_in_one_journal_or_store(geostat_run, tmp_path, monkeypatch):
    store = tmp_path / "run.zarr"
    asked = {"store": store, "progress": False}
    with monkeypatch.context() as stopped:
        stopped.setitem(gs.measure.__globals__, "write_store", lambda journal, path: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            gs.measure(geostat_run.base, geostat_run.checkpoints, **asked)
    plain = using(Policy(spectra="plain"))
    with plain, pytest.raises(JournalError, match="spectra"):
        gs.measure(geostat_run.base, geostat_run.checkpoints, **asked)
    gs.measure(geostat_run.base, geostat_run.checkpoints, **asked)
    with using(Policy(spectra="plain")), pytest.raises(StoreError, match="spectra other"):
        gs.measure(geostat_run.base, geostat_run.checkpoints, **asked)


def test_no_resume_replaces_a_store(geostat_run, tmp_path):
    store = tmp_path / "run.zarr"
    arguments = {"store": store, "vectors": False, "progress": False, "diagnostics": ["stable_rank"]}
    gs.measure(geostat_run.base, geostat_run.checkpoints, **arguments)
    replaced = gs.measure(
        geostat_run.base,
        geostat_run.checkpoints,
        **{**arguments, "diagnostics": ["update_norm"]},
        resume=False,
    )
    assert "update_norm" in replaced
    assert "stable_rank" not in replaced


def test_weights_in_memory_are_never_taken_for_others(tmp_path):
    start = _one(torch.eye(4))
    first = gs.measure(start, {1: _one(2 * torch.eye(4))}, store=tmp_path / "run.zarr", progress=False)
    again = gs.measure(start, {1: _one(2 * torch.eye(4))}, store=tmp_path / "run.zarr", progress=False)
    assert_same_store(again, first)
    with pytest.raises(StoreError, match="holds another measurement"):
        gs.measure(start, {1: _one(3 * torch.eye(4))}, store=tmp_path / "run.zarr", progress=False)


def test_an_interrupted_replacement_goes_on_and_keeps_the_old_store_until_then(tmp_path, monkeypatch):
    store, start = tmp_path / "run.zarr", _one(torch.eye(4))
    gs.measure(start, {1: _one(2 * torch.eye(4))}, store=store, progress=False)
    key = NAME.replace("query", "key")
    base, end = ({**_one(c * torch.eye(4)), key: c * torch.eye(4)} for c in (1, 3))
    original, calls = sys.modules["geostat.trajectories.engines.job"].measure_matrix, []

    def interrupted(plan, ref, checkpoints, device):
        if calls:
            raise KeyboardInterrupt
        calls.append(ref.name)
        return original(plan, ref, checkpoints, device)

    monkeypatch.setattr("geostat.trajectories.engines.job.measure_matrix", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gs.measure(base, {1: end}, store=store, resume=False, progress=False)
    assert gs.open_trajectory(store).sizes["matrix"] == 1
    monkeypatch.setattr("geostat.trajectories.engines.job.measure_matrix", original)
    replaced = gs.measure(base, {1: end}, store=store, progress=False)
    assert replaced.sizes["matrix"] == 2


def test_two_processes_do_not_write_one_journal(geostat_run, tmp_path):
    store = tmp_path / "run.zarr"
    script = (
        "import sys, geostat.trajectories.engines.job as engines, geostat as gs, time\n"
        "def hang(*rest): print('measuring', flush=True); time.sleep(60)\n"
        "engines.measure_matrix = hang\n"
        "gs.measure(sys.argv[1], sys.argv[2], store=sys.argv[3], progress=False)"
    )
    command = [sys.executable, "-c", script, geostat_run.base, geostat_run.checkpoints, str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"measuring\n"
        with pytest.raises(JournalError, match="another process measures into"):
            gs.measure(geostat_run.base, geostat_run.checkpoints, store=store, progress=False)
        other.kill()
    gs.measure(geostat_run.base, geostat_run.checkpoints, store=store, progress=False)


def test_a_journal_of_another_measurement_is_refused(geostat_run, tmp_path):
    store = tmp_path / "run.zarr"
    journal_path(store).mkdir()
    content = {"identity": "another", "manifest": {"steps": "a hash"}, "description": {}}
    (journal_path(store) / "manifest.json").write_text(json.dumps(content))
    (journal_path(store) / f"{0:024x}.record").write_bytes(b"work already done")
    with pytest.raises(JournalError, match="steps"):
        gs.measure(geostat_run.base, geostat_run.checkpoints, store=store, progress=False)


def test_processes_give_the_serial_store(measured, geostat_run, tmp_path):
    dataset, _ = measured
    parallel = gs.measure(
        geostat_run.base,
        geostat_run.checkpoints,
        store=tmp_path / "run.zarr",
        engine="processes",
        workers=2,
        progress=False,
    )
    assert_same_store(parallel, dataset)


def test_processes_refuse_weights_in_memory():
    with pytest.raises(ProtocolError, match="lie in memory"):
        gs.measure(_one(torch.eye(3)), {1: _one(torch.eye(3))}, engine="processes", progress=False)


def test_initial_weight_is_factored_once(monkeypatch):
    factored = []
    original = Factored.svd.func

    def counted(self):
        factored.append(self)
        return original(self)

    prop = type(Factored.__dict__["svd"])(counted)
    prop.__set_name__(Factored, "svd")
    monkeypatch.setattr(Factored, "svd", prop)
    rng = torch.Generator().manual_seed(0)
    weights = [torch.randn(8, 8, generator=rng) for _ in range(4)]
    run = {i: _one(w) for i, w in enumerate(weights[1:], 1)}
    with using(Policy(spectra="plain")):
        gs.measure(_one(weights[0]), run, protocol=gs.Protocol(K=4), progress=False)
    # W_0 once; at each of 3 steps W_t and dW_t; two increments, one remainder that is no increment
    assert len(factored) == 1 + 3 + 3 + 2 + 1


def test_uneven_steps_need_a_declared_horizon():
    rng = torch.Generator().manual_seed(0)
    weights = [torch.randn(20, 20, generator=rng) for _ in range(4)]
    run = dict(zip((10, 20, 50), map(_one, weights[1:]), strict=True))
    undeclared = gs.measure(_one(weights[0]), run, progress=False)
    assert (undeclared.reason.sel(diagnostic="forward_capture", step=10) == Reason.uneven_steps.value).all()
    declared = gs.measure(_one(weights[0]), run, protocol=gs.Protocol(horizon=10, K=4), progress=False)
    assert declared.forward_capture.sel(step=10).notnull().all()
    assert declared.forward_capture.sel(step=20).isnull().all()


def test_progress_is_the_share_of_declared_training():
    run = {50: _one(torch.eye(4)), 100: _one(torch.eye(4))}
    dataset = gs.measure(_one(torch.eye(4)), run, training_steps=200, progress=False)
    assert dataset.progress.values.tolist() == [0.25, 0.5]
    with pytest.raises(ProtocolError, match="step 100"):
        gs.measure(_one(torch.eye(4)), run, training_steps=50, progress=False)


def test_missing_matrix_is_reported_when_not_strict(tmp_path):
    start = {**_one(torch.eye(4)), NAME.replace("query", "key"): torch.eye(4)}
    with pytest.warns(MissingTensorWarning, match="key"):
        dataset = gs.measure(start, {1: _one(2 * torch.eye(4))}, strict=False, progress=False)
    assert dataset.sizes["matrix"] == 1
    assert "key" in dataset.attrs["matrices_left_out"]


def test_non_finite_weights_stop_with_file_and_tensor_and_keep_the_journal(tmp_path):
    key = NAME.replace("query", "key")
    healthy, broken = torch.eye(4), torch.eye(4)
    broken[1, 2] = float("nan")
    for folder, tensors in (("base", (healthy, 1 * healthy)), ("step-1", (2 * healthy, broken))):
        (tmp_path / folder).mkdir()
        save_file(dict(zip((NAME, key), tensors, strict=True)), tmp_path / folder / "model.safetensors")
    with pytest.raises(NonFiniteError, match=r"attention\.key.*step-1.*1 NaN"):
        gs.measure(tmp_path / "base", tmp_path / "step-*", store=tmp_path / "run.zarr", progress=False)
    assert gs.open_trajectory(tmp_path / "run.zarr").sizes["matrix"] == 1


def test_unknown_names_are_refused_before_any_work():
    start, end = _one(torch.eye(3)), _one(2 * torch.eye(3))
    with pytest.raises(ProtocolError, match="stable_rnk.*Known: .*stable_rank"):
        gs.measure(start, {1: end}, diagnostics=["stable_rnk"], progress=False)
    with pytest.raises(ProtocolError, match="engine 'gpu'"):
        gs.measure(start, {1: end}, engine="gpu", progress=False)
    with pytest.raises(ProtocolError, match="protocol 'shen'"):
        gs.measure(start, {1: end}, protocol="shen", progress=False)


def test_a_base_that_is_also_a_step_is_refused(geostat_run):
    with pytest.raises(CheckpointError, match="base"):
        gs.measure(geostat_run.base, {10: geostat_run.base}, progress=False)


def test_a_wrong_decomposition_is_caught_and_named(monkeypatch):
    svd = torch.linalg.svd
    calls = []

    def broken(matrix, **keywords):
        left, values, right = svd(matrix, **keywords)
        calls.append(1)
        return left, values * (3.0 if len(calls) == 2 else 1.0), right

    monkeypatch.setattr(torch.linalg, "svd", broken)
    start, end = _one(torch.diag(torch.tensor([3.0, 2.0]))), _one(torch.diag(torch.tensor([3.0, 2.1])))
    plain = using(Policy(spectra="plain"))
    with plain, pytest.warns(AuditWarning, match=r"attention.query at step 7: .*(weyl|mirsky|ky_fan)"):
        dataset = gs.measure(start, {7: end}, protocol=gs.Protocol(K=1), progress=False)
    assert int(dataset.audit[0, 0]) != 0
    assert any("violate an inequality" in finding for finding in gs.validate(dataset))


def test_an_unwritable_place_fails_before_work(geostat_run, tmp_path, monkeypatch):
    monkeypatch.setattr("geostat.trajectories.engines.job.measure_matrix", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot make"):
        gs.measure(
            geostat_run.base, geostat_run.checkpoints, store=tmp_path / "file" / "run.zarr", progress=False
        )


def test_a_full_disk_fails_before_work(geostat_run, tmp_path, monkeypatch):
    monkeypatch.setattr("geostat.trajectories.engines.job.measure_matrix", None)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("geostat.trajectories.files.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(StoreError, match="MiB are free"):
        gs.measure(geostat_run.base, geostat_run.checkpoints, store=tmp_path / "run.zarr", progress=False)


def test_a_disk_that_fills_up_leaves_the_journal_whole(geostat_run, tmp_path, monkeypatch):
    store = tmp_path / "run.zarr"
    fsync, written = os.fsync, []

    def full(descriptor):
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(descriptor)
        fsync(descriptor)

    monkeypatch.setattr("geostat.trajectories.files.os.fsync", full)
    with pytest.raises(StoreError, match="No space left.*run the same call again"):
        gs.measure(geostat_run.base, geostat_run.checkpoints, store=store, progress=False)
    assert gs.open_trajectory(store).sizes["matrix"] == 2
    assert not list(journal_path(store).glob(".*.record*"))


def test_a_damaged_record_is_measured_again(geostat_run, measured, tmp_path, monkeypatch):
    dataset, _ = measured
    store = tmp_path / "run.zarr"

    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["geostat.trajectories.measuring"], "write_store", stopped)
    with pytest.raises(KeyboardInterrupt):
        gs.measure(geostat_run.base, geostat_run.checkpoints, store=store, progress=False)
    monkeypatch.undo()
    record = next(journal_path(store).glob("*.record"))
    record.write_bytes(record.read_bytes()[:-50])
    with pytest.warns(gs.errors.NumericalWarning, match="damaged"):
        resumed = gs.measure(geostat_run.base, geostat_run.checkpoints, store=store, progress=False)
    assert_same_store(resumed, dataset)


def test_a_store_can_be_validated_and_violations_are_named(measured):
    dataset, _ = measured
    spoiled = dataset.load().copy(deep=True)
    spoiled["update_sparsity"][0, 0] = 1.5
    spoiled["stable_rank"][0, 0] = np.nan
    findings = " ".join(gs.validate(spoiled))
    assert "update_sparsity: values beyond valid_max" in findings
    assert "stable_rank: 1 cells are NaN without a reason" in findings


def test_what_is_no_store_is_told_apart(tmp_path):
    with pytest.raises(StoreError, match="no store"):
        gs.open_trajectory(tmp_path / "nothing.zarr")
    xr.Dataset({"a": ("x", [1.0])}).to_zarr(tmp_path / "other.zarr", consolidated=False)
    with pytest.raises(StoreError, match="not one of geostat"):
        gs.open_trajectory(tmp_path / "other.zarr")


def test_third_party_diagnostics_join_the_store(measured):
    from geostat.spec import _REGISTRY, diagnostic

    @diagnostic(
        units="1",
        bounds=(0.0, 1.0),
        symbol="x",
        reference="geostat, test",
        invariances=("scale",),
        weighting="matrix",
    )
    def share_of_largest(update):
        """Share of the largest entry."""
        values = np.abs(np.asarray(update.values))
        return float(values.max() / values.sum())

    try:
        start = _one(torch.eye(3))
        dataset = gs.measure(
            start, {1: _one(2 * torch.eye(3))}, diagnostics=["share_of_largest"], progress=False
        )
        assert float(dataset.share_of_largest[0, 0]) == pytest.approx(1 / 3)
    finally:
        del _REGISTRY["share_of_largest"]


def test_provenance_holds_versions_and_on_request_hashes(geostat_run, tmp_path):
    run = gs.measure(
        geostat_run.base,
        geostat_run.checkpoints,
        store=tmp_path / "run.zarr",
        diagnostics=["update_norm"],
        vectors=False,
        checksum=True,
        progress=False,
    )
    made = json.loads(run.attrs["provenance"])
    assert made["torch"] == torch.__version__
    first = made["inputs"][0]
    assert first["sha256"] == hashlib.sha256(Path(first["path"]).read_bytes()).hexdigest()
    assert [entry["step"] for entry in made["inputs"]] == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_storage_is_detected_and_stored(dtype):
    start, end = _one(torch.eye(4, dtype=dtype)), _one(2 * torch.eye(4, dtype=dtype))
    run = gs.measure(start, {1: end}, progress=False)
    assert (
        run.attrs["storage"] == {torch.float16: "fp16", torch.float32: "fp32", torch.float64: "fp64"}[dtype]
    )
    mixed = gs.measure(start, {1: _one(2 * torch.eye(4, dtype=torch.bfloat16))}, progress=False)
    assert mixed.attrs["storage"] == "mixed"


def test_modules_in_memory_are_measured():
    torch.manual_seed(0)
    first, second = (torch.nn.ModuleDict({"q_proj": torch.nn.Linear(5, 4, bias=False)}) for _ in range(2))
    run = gs.measure(first, {1: second}, matrices="all", progress=False)
    difference = second["q_proj"].weight.detach() - first["q_proj"].weight.detach()
    assert float(run.update_norm[0, 0]) == pytest.approx(float(difference.double().norm()), rel=1e-6)


def test_unknown_names_can_be_given_their_place():
    start, end = {"strange.thing": torch.eye(4)}, {"strange.thing": 2 * torch.eye(4)}
    naming = {"strange.thing": TensorName(layer=3, module="q_proj")}
    run = gs.measure(start, {1: end}, naming=naming, progress=False)
    assert int(run.layer[0]) == 3
    assert str(run.module.values[0]) == "q_proj"


def test_a_matrix_that_only_a_checkpoint_holds_is_not_skipped_in_silence():
    key = NAME.replace("query", "key")
    start, end = _one(torch.eye(4)), {**_one(2 * torch.eye(4)), key: torch.eye(4)}
    with pytest.raises(MissingTensorError, match=r"attention\.key"):
        gs.measure(start, {1: end}, matrices="all", progress=False)
    with pytest.warns(MissingTensorWarning, match=r"attention\.key"):
        dataset = gs.measure(start, {1: end}, matrices="all", strict=False, progress=False)
    assert "key" in dataset.attrs["matrices_left_out"]


def test_a_measurement_that_has_just_begun_opens_empty(geostat_run, tmp_path):
    for protocol in ("shen2026", "yu2026"):
        store = tmp_path / f"{protocol}.zarr"
        asked = gs.plan(geostat_run.base, geostat_run.checkpoints, protocol=protocol)
        Journal.start(journal_path(store), asked, describe(asked), resume=True).release()
        so_far = gs.open_trajectory(store)
        assert so_far.sizes["matrix"] == 0
        assert so_far.attrs["complete"] == 0


def test_a_folder_beside_the_store_is_not_taken_for_its_journal(geostat_run, tmp_path):
    mine = tmp_path / "run.zarr.journal" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    for resume in (True, False):
        with pytest.raises(JournalError, match="mine.txt"):
            gs.measure(
                geostat_run.base,
                geostat_run.checkpoints,
                store=tmp_path / "run.zarr",
                resume=resume,
                progress=False,
            )
    assert mine.read_text() == "mine"


def test_a_partly_copied_store_is_called_damaged(measured, tmp_path):
    _, store = measured
    (tmp_path / "part.zarr").mkdir()
    (tmp_path / "part.zarr" / "zarr.json").write_bytes((store / "zarr.json").read_bytes())
    with pytest.raises(StoreError, match="damaged"):
        gs.open_trajectory(tmp_path / "part.zarr")
