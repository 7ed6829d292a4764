"""`geostat nulls` where something is wrong: what it says, and what it keeps."""

import subprocess
import sys
import time
from signal import SIGINT, SIGTERM

import numpy as np
import pytest
import torch
import xarray as xr
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import geostat as gs
from geostat.cli import main
from geostat.errors import CheckpointError, NonFiniteError, ProtocolError, ShapeError, StoreError
from geostat.nulls.whole_runs.journal import NullsJournal
from geostat.nulls.whole_runs.loop import run_nulls

NAMES = [f"blocks.0.attention.{module}.weight" for module in ("query", "key", "value")]
EXTRA = "blocks.1.attention.query.weight"
PROTOCOL = gs.Protocol(name="small", k=8, r=8, K=4, energy_k=4, hill_k=6)
QUICK = {"statistics": "update_sparsity", "floors": False, "n": 19, "progress": False}
OPTIONS = ("--statistic", "update_sparsity", "--no-floors", "--draws", "19", "--no-progress")


def draw(seed, rows=64, cols=96):
    return torch.randn(rows, cols, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def write_run(folder, *, names=NAMES, dtype=torch.bfloat16, rows=64, size=4e-3):
    start = {name: draw(i, rows).to(dtype) for i, name in enumerate(names)}
    for place, scale in (("base", 0.0), ("step-10", 1e-3), ("step-20", size)):
        moved = {
            n: (w.double() + scale * draw(50 + i, rows)).to(dtype) for i, (n, w) in enumerate(start.items())
        }
        (folder / place).mkdir()
        save_file(moved, folder / place / "model.safetensors")
    return str(folder / "base"), f"{folder}/step-*"


def change(folder, step, edit):
    path = folder / step / "model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)


@pytest.fixture
def run(tmp_path):
    base, steps = write_run(tmp_path)
    gs.measure(base, steps, store=tmp_path / "run.zarr", protocol=PROTOCOL, progress=False)
    return tmp_path


def test_a_nan_stops_with_its_place_and_keeps_what_is_finished(run):
    def spoil(tensors):
        tensors[NAMES[1]][3, 4] = float("nan")

    change(run, "step-20", spoil)
    asked = QUICK | {"store": run / "run.zarr", "output": run / "nulls.zarr"}
    with pytest.raises(NonFiniteError, match=r"key.*step-20.*row 3, column 4"):
        run_nulls(**asked)
    assert len(list((run / "nulls.zarr.nulls").glob("*.npz"))) == 1
    assert not (run / "nulls.zarr").exists()


def test_a_matrix_of_another_shape_is_named(run):
    def shorten(tensors):
        tensors[NAMES[1]] = tensors[NAMES[1]][:-1].clone()

    change(run, "step-20", shorten)
    with pytest.raises(ShapeError, match=r"key.*\(64, 96\).*\(63, 96\)"):
        run_nulls(store=run / "run.zarr", **QUICK)


def test_checkpoints_that_changed_since_the_measurement_are_refused(run):
    def move(tensors):
        tensors[NAMES[0]] = (tensors[NAMES[0]].double() * 1.01).bfloat16()

    change(run, "step-20", move)
    with pytest.raises(CheckpointError, match=r"query at step 20.*not those that were measured"):
        run_nulls(store=run / "run.zarr", **QUICK)
    step_10 = run_nulls(store=run / "run.zarr", steps=[10], **QUICK)
    assert step_10.sizes["step"] == 1


def test_a_step_that_was_saved_later_and_not_measured_has_nulls(run):
    (run / "step-30").mkdir()
    end = load_file(run / "step-20" / "model.safetensors")
    save_file({name: w + (w.abs() < 0.1) for name, w in end.items()}, run / "step-30" / "model.safetensors")
    where = ("--base", str(run / "base"), "--checkpoints", f"{run}/step-*")
    found = CliRunner().invoke(main, ["nulls", str(run / "run.zarr"), *where, "--steps", "20,30", *OPTIONS])
    assert found.exit_code == 0
    assert "Step 30, 3 matrices" in found.output


def test_checkpoints_that_are_gone_are_named(run):
    (run / "step-20" / "model.safetensors").unlink()
    with pytest.raises(StoreError, match=r"step 20 was measured from .*step-20.*--checkpoints"):
        run_nulls(store=run / "run.zarr", **QUICK)


def test_matrices_that_the_store_does_not_hold(run, tmp_path_factory):
    for step in ("base", "step-10", "step-20"):
        change(
            run,
            step,
            lambda tensors, step=step: tensors.update({EXTRA: draw(9).bfloat16() + len(step) * 0.01}),
        )
    with pytest.raises(
        CheckpointError, match=r"blocks\.1.*which the store does not hold.*It holds 3 matrices"
    ):
        run_nulls(store=run / "run.zarr", matrices="*blocks.1*", **QUICK)
    with pytest.raises(CheckpointError, match="selects nothing"):
        run_nulls(store=run / "run.zarr", matrices="*nothing*", **QUICK)


def test_fp32_checkpoints_have_no_gate(tmp_path):
    base, steps = write_run(tmp_path, dtype=torch.float32)
    gs.measure(base, steps, store=tmp_path / "run.zarr", protocol=PROTOCOL, progress=False)
    with pytest.raises(ProtocolError, match=r"query at step 10.*stored in float32.*method='permutation'"):
        run_nulls(store=tmp_path / "run.zarr", **QUICK)


def test_a_single_row_is_answered_or_says_why_not(tmp_path):
    base, steps = write_run(tmp_path, rows=1)
    found = run_nulls(base, steps, protocol=PROTOCOL, n=19, progress=False)
    assert found.update_sparsity_null.isnull().all()
    assert (found.null_reason > 0).all()
    assert found.relative_update_norm_floor.notnull().all()


def test_a_damaged_file_of_the_journal_is_computed_anew(tmp_path):
    journal = NullsJournal(tmp_path / "n.zarr", {"asked": 1})
    journal.write("a", {"x": np.arange(3.0)})
    (path,) = journal.folder.glob("*.npz")
    whole = path.read_bytes()
    for part in (whole[:50], whole[:-30], b"", b"no archive at all"):
        path.write_bytes(part)
        assert journal.read("a") is None


@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_that_holds_something_else_is_left_alone(run, resume):
    folder = run / "nulls.zarr.nulls"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"thesis\.txt.*Choose another place"):
        run_nulls(store=run / "run.zarr", output=run / "nulls.zarr", resume=resume, **QUICK)
    assert (folder / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("steps", ["¹", "abc", "", "10,,20", "-1"])
def test_what_is_no_list_of_steps(run, steps):
    found = CliRunner().invoke(main, ["nulls", str(run / "run.zarr"), "--steps", steps, *OPTIONS])
    assert found.exit_code == 2
    assert "is no list of steps, such as 63,127 or last" in found.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere.zarr"], "there is no store"),
        (["base"], "is no zarr store that can be opened"),
        (["run.zarr", "--steps", "30"], "step 30 was asked for; the checkpoints are at 10, 20"),
        (["run.zarr", "--base", "nowhere"], "nowhere does not exist"),
        (["run.zarr", "-o", "base"], "holds no nulls. Choose another place"),
        (["run.zarr", "-o", "run.zarr"], "holds no nulls. Choose another place"),
        (["run.zarr", "-o", "run.zarr", "--no-resume"], "holds no nulls. Choose another place"),
        (["run.zarr", "-o", "base/model.safetensors/n.zarr"], "cannot make"),
    ],
)
def test_mistakes_are_told_without_a_traceback(run, monkeypatch, arguments, told):
    monkeypatch.chdir(run)
    found = CliRunner().invoke(main, ["nulls", *arguments, *OPTIONS])
    assert found.exit_code == 1
    assert isinstance(found.exception, SystemExit)
    assert told in found.output
    assert gs.open_trajectory(run / "run.zarr").sizes["matrix"] == 3


@pytest.mark.parametrize("signal", [SIGTERM, pytest.param(SIGINT, marks=pytest.mark.slow)])
def test_a_signal_keeps_finished_matrices(tmp_path, signal):
    names = [f"blocks.{layer}.attention.query.weight" for layer in range(20)]
    base, steps = write_run(tmp_path, names=names)
    gs.measure(
        base,
        steps,
        store=tmp_path / "run.zarr",
        protocol=PROTOCOL,
        diagnostics=["update_sparsity"],
        progress=False,
    )
    command = ["nulls", str(tmp_path / "run.zarr"), "-o", str(tmp_path / "nulls.zarr"), *OPTIONS]
    source = f"from geostat.cli import main; main({command!r})"
    child = subprocess.Popen([sys.executable, "-c", source], stderr=subprocess.PIPE, text=True)
    folder = tmp_path / "nulls.zarr.nulls"
    until = time.monotonic() + 60
    while len(list(folder.glob("*.npz"))) < 2 and time.monotonic() < until:
        time.sleep(0.005)
    child.send_signal(signal)
    told = child.communicate(timeout=60)[1]
    assert child.returncode == 128 + signal
    assert "Traceback" not in told
    assert "What was finished is kept" in told
    assert not (tmp_path / "nulls.zarr").exists()
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")}
    assert 2 <= len(kept) < len(names)
    assert CliRunner().invoke(main, command).exit_code == 0
    assert not folder.exists()
    whole = run_nulls(store=tmp_path / "run.zarr", **QUICK)
    xr.testing.assert_equal(xr.open_zarr(tmp_path / "nulls.zarr").load(), whole)
