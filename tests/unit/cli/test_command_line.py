"""The commands as a newcomer types them: outcomes, errors, hints."""

import json
import re

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

import geostat as gs
from geostat.cli import main
from geostat.testing import assert_same_store

NAME = "blocks.0.attention.query.weight"


def _call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def _save(folder, tensors):
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")


def test_measure_writes_the_store_that_the_function_writes(geostat_run, tmp_path):
    steps = [geostat_run.base.replace("base", f"step-{step}") for step in geostat_run.steps]
    found = _call("measure", geostat_run.base, *steps, "-o", tmp_path / "run.zarr", "--no-progress")
    assert found.exit_code == 0, found.output
    assert "8 matrices at 4 checkpoints" in found.output
    same = gs.measure(geostat_run.base, geostat_run.checkpoints, store=tmp_path / "b.zarr", progress=False)
    assert_same_store(gs.open_trajectory(tmp_path / "run.zarr"), same)


def test_a_quoted_glob_is_expanded(geostat_run, tmp_path):
    found = _call("measure", geostat_run.base, geostat_run.checkpoints, "-o", tmp_path / "run.zarr")
    assert found.exit_code == 0, found.output
    assert "8/8" in found.output  # the progress bar


def test_dry_run_tells_the_cost_and_writes_nothing(geostat_run, tmp_path):
    found = _call(
        "measure", geostat_run.base, geostat_run.checkpoints, "-o", tmp_path / "run.zarr", "--dry-run"
    )
    assert found.exit_code == 0, found.output
    for word in ("matrices", "steps", "time", "memory", "disk", "48x32", "10, 20, 30, 40"):
        assert word in found.output
    assert list(tmp_path.iterdir()) == []


def test_inspect_sums_a_store_up(geostat_run, tmp_path):
    gs.measure(geostat_run.base, geostat_run.checkpoints, store=tmp_path / "run.zarr", progress=False)
    found = _call("inspect", tmp_path / "run.zarr")
    assert found.exit_code == 0, found.output
    assert "valid: every value in its bounds" in found.output
    line = next(line for line in found.output.splitlines() if line.startswith("stable_rank "))
    expected = gs.open_trajectory(tmp_path / "run.zarr").stable_rank.mean("matrix").values
    assert [float(text) for text in line.split()[1:3]] == pytest.approx([expected[0], expected[-1]], rel=1e-4)


def test_inspect_fails_on_a_store_that_does_not_hold_together(geostat_run, tmp_path):
    run = gs.measure(geostat_run.base, geostat_run.checkpoints, progress=False)
    run["update_sparsity"] = run.update_sparsity + 1
    with pytest.warns(UserWarning, match="Consolidated metadata"):
        run.to_zarr(tmp_path / "run.zarr", consolidated=True)
    found = _call("inspect", tmp_path / "run.zarr")
    assert found.exit_code == 1
    assert "update_sparsity: values beyond valid_max" in found.output


def test_csv_writes_a_table(geostat_run, tmp_path):
    gs.measure(geostat_run.base, geostat_run.checkpoints, store=tmp_path / "run.zarr", progress=False)
    assert _call("csv", tmp_path / "run.zarr", "-o", tmp_path / "run.csv").exit_code == 0
    assert (tmp_path / "run.csv").read_text().startswith("step,progress,matrix,layer,module")


def test_errors_are_one_paragraph_without_traceback(tmp_path):
    found = _call("measure", tmp_path / "no", tmp_path / "step-1", "-o", tmp_path / "run.zarr")
    assert found.exit_code == 1
    assert "Traceback" not in found.output
    assert re.match(r"\w+Error: ", found.output)


@pytest.mark.parametrize(
    ("base", "steps", "message"),
    [
        ({NAME: torch.eye(4)}, {"step-1": {"other.weight": torch.eye(4)}}, "MissingTensorError"),
        ({NAME: torch.eye(4)}, {"step-1": {NAME: torch.ones(4, 5)}}, "ShapeError"),
        ({NAME: torch.eye(4)}, {"step-1": {NAME: torch.full((4, 4), torch.nan)}}, "NonFiniteError"),
        (
            {NAME: torch.eye(4)},
            {"step-1": {NAME: torch.ones(4, 4, dtype=torch.int8)}},
            "QuantizedTensorError",
        ),
        (
            {NAME: torch.eye(4)},
            {"a/step-1": {NAME: torch.eye(4)}, "b/step-1": {NAME: torch.eye(4)}},
            "Duplicate",
        ),
    ],
)
def test_bad_checkpoints_are_named_on_the_terminal(tmp_path, base, steps, message):
    _save(tmp_path / "base", base)
    for name, tensors in steps.items():
        _save(tmp_path / name, tensors)
    folders = [tmp_path / name for name in steps]
    found = _call("measure", tmp_path / "base", *folders, "-o", tmp_path / "run.zarr", "--no-progress")
    assert found.exit_code == 1
    assert found.output.splitlines()[-1].startswith(message)
    assert "step-1" in found.output


def test_truncated_empty_and_base_as_step_are_named_on_the_terminal(tmp_path):
    _save(tmp_path / "base", {NAME: torch.eye(64)})
    _save(tmp_path / "step-1", {NAME: torch.eye(64)})
    weights = tmp_path / "step-1" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    (tmp_path / "step-2").mkdir()
    for step, message in (("step-1", "TruncatedFileError"), ("step-2", "EmptyCheckpointError"), ("base", "")):
        checkpoint = tmp_path / step
        found = _call("measure", tmp_path / "base", checkpoint, "-o", tmp_path / "run.zarr", "--no-progress")
        assert found.exit_code == 1
        assert message in found.output
        assert str(checkpoint) in found.output


def test_uneven_steps_get_a_hint_and_a_horizon(tmp_path):
    _save(tmp_path / "base", {NAME: torch.eye(40)})
    for step in (1, 2, 5):
        generator = torch.Generator().manual_seed(step)
        _save(
            tmp_path / f"step-{step}", {NAME: torch.eye(40) + 0.1 * torch.randn(40, 40, generator=generator)}
        )
    common = ("measure", tmp_path / "base", tmp_path / "step-*", "--no-progress")
    found = _call(*common, "-o", tmp_path / "a.zarr")
    assert "--horizon 1" in found.output
    assert _call(*common, "-o", tmp_path / "b.zarr", "--horizon", 1).exit_code == 0
    declared = gs.open_trajectory(tmp_path / "b.zarr")
    assert declared.forward_capture.sel(step=1).notnull().all()
    assert declared.attrs["protocol"] == "shen2026"


def test_ctrl_c_gives_advice(geostat_run, tmp_path, monkeypatch):
    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("geostat.trajectories.engines.job.measure_matrix", interrupted)
    found = _call("measure", geostat_run.base, geostat_run.checkpoints, "-o", tmp_path / "run.zarr")
    assert found.exit_code == 130
    assert "run the same command again (without --no-resume) to go on" in found.output


def test_vectors_option_takes_words_and_bytes(geostat_run, tmp_path):
    common = ("measure", geostat_run.base, geostat_run.checkpoints, "--no-progress")
    assert _call(*common, "-o", tmp_path / "a.zarr", "--vectors", "none").exit_code == 0
    assert len(json.loads(gs.open_trajectory(tmp_path / "a.zarr").attrs["vectors_left_out"])) == 8
    wrong = _call(*common, "-o", tmp_path / "b.zarr", "--vectors", "some")
    assert wrong.exit_code == 2
    assert "'some' is not auto" in wrong.output


def test_shares_are_measured_and_joined_on_the_terminal(geostat_run, tmp_path):
    store = tmp_path / "run.zarr"
    common = (
        "measure",
        geostat_run.base,
        geostat_run.checkpoints,
        "-o",
        store,
        "--no-progress",
        "--tier",
        "top",
    )
    first = _call(*common, "--shard", "1/2")
    assert first.exit_code == 0
    assert "share 1/2: 4 matrices are in the journal" in first.output
    assert "4 matrices of other shares are missing still" in first.output
    early = _call("seal", store)
    assert early.exit_code == 1
    assert "share 2/2 lacks 4" in early.output
    assert (
        f"Join the shares with: geostat seal {store}"
        in _call(*common, "--shard", "2/2", "--io", "read").output
    )
    joined = _call("seal", store)
    assert joined.exit_code == 0
    assert "8 matrices at 4 checkpoints" in joined.output
    assert gs.open_trajectory(store).attrs["tier"] == "top"


def test_a_number_of_workers_that_is_none_is_refused(geostat_run, tmp_path):
    common = ("measure", geostat_run.base, geostat_run.checkpoints, "-o", tmp_path / "run.zarr")
    found = _call(*common, "--workers=0")
    assert found.exit_code == 2
    assert "0 is not in the range x>=1" in found.output


def test_an_engine_that_is_none_is_named_on_the_terminal(geostat_run, tmp_path):
    common = (
        "measure",
        geostat_run.base,
        geostat_run.checkpoints,
        "-o",
        tmp_path / "run.zarr",
        "--no-progress",
    )
    for option, message in (
        ("--engine=gpu", "engine 'gpu' is not known"),
        ("--shard=3/2", "i runs from 1 to n"),
    ):
        found = _call(*common, option)
        assert found.exit_code == 1
        assert message in found.output
