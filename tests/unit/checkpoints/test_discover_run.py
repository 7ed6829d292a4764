"""The base and the steps of a run, found on disk or given."""

import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from geostat.checkpoints import discover_run, open_checkpoint, run_storage, step_of
from geostat.errors import CheckpointError, DuplicateStepError, EmptyCheckpointError, StepError


def says(*parts):
    return "(?s)" + ".*".join(re.escape(str(part)) for part in parts)


def save_step(folder, dtype=torch.float32):
    folder.mkdir(parents=True)
    save_file({"layers.0.q_proj.weight": torch.ones(2, 2, dtype=dtype)}, folder / "model.safetensors")
    return folder


@pytest.fixture
def run(tmp_path):
    for name in ("base", "step-2", "step-10", "step-100"):
        save_step(tmp_path / name)
    (tmp_path / "logs").mkdir()
    (tmp_path / "step_times.csv").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("step-100", 100),
        ("step_7", 7),
        ("step12", 12),
        ("checkpoint-500", 500),
        ("global_step_30", 30),
        ("global_step30", 30),
        ("iter_0000100", 100),
        ("step-100.safetensors", 100),
        ("ckpt_100.pt", 100),
        ("epoch=3-step=1000.ckpt", 1000),
        ("runs/seed-3/step-100/model.safetensors", 100),
        ("runs/global_step_8/actor/huggingface", 8),
        ("runs/opd-0", None),
        ("runs/opd-0/base", None),
        ("step-100.tmp", None),
        ("checkpoint-best", None),
        ("footstep5", None),
    ],
)
def test_a_path_names_its_step(path, step):
    assert step_of(path) == step


def test_a_glob_gives_the_steps_in_the_order_of_numbers(run):
    found = discover_run(run / "base", f"{run}/step-*")
    assert list(found.steps) == [2, 10, 100]
    assert found.base == str(run / "base")
    assert found.steps[10] == str(run / "step-10")


def test_a_folder_of_steps_stands_for_them(run):
    assert discover_run(run / "base", run) == discover_run(run / "base", f"{run}/step-*")


def test_a_list_mixes_paths_and_globs(run):
    found = discover_run(run / "base", [run / "step-100", f"{run}/step-?"])
    assert list(found.steps) == [2, 100]


def test_files_can_be_steps(tmp_path):
    for step in (20, 3):
        torch.save({"w": torch.ones(2, 2)}, tmp_path / f"ckpt_{step}.pt")
    assert list(discover_run("base", f"{tmp_path}/*.pt").steps) == [3, 20]
    assert list(discover_run("base", tmp_path).steps) == [3, 20]


def test_one_checkpoint_is_a_run_of_one_step(run):
    assert discover_run(run / "base", run / "step-10").steps == {10: str(run / "step-10")}


def test_a_folder_whose_name_holds_brackets_is_found(tmp_path):
    folder = save_step(tmp_path / "run[1]" / "step-1")
    assert discover_run("base", folder).steps == {1: str(folder)}


def test_a_mapping_takes_paths_weights_and_modules():
    state, module = {"w": torch.ones(2, 2)}, torch.nn.Linear(2, 2)
    found = discover_run(state, {np.int64(30): "some/path", 4: module, 0: {"w": torch.zeros(2, 2)}})
    assert list(found.steps) == [0, 4, 30]
    assert found.base is state
    assert found.steps[4] is module


@pytest.mark.parametrize("key", ["ten", 1.5, True, -3, None])
def test_a_key_that_is_no_step_is_refused(key):
    with pytest.raises(StepError, match=says(repr(key), "integers")):
        discover_run("base", {key: "path"})


@pytest.mark.parametrize("weights", [{"w": torch.ones(2, 2)}, torch.nn.Linear(2, 2)])
def test_weights_without_a_step_are_refused(weights):
    with pytest.raises(StepError, match=says("Pass {step: weights}")):
        discover_run("base", weights)
    with pytest.raises(StepError, match=says("Pass {step: weights}")):
        discover_run("base", [weights])
    with pytest.raises(StepError, match=says("Pass {step: weights}")):
        discover_run("base", open_checkpoint(weights))


def test_a_path_without_a_number_says_what_names_are_read(run):
    with pytest.raises(StepError, match=says(run / "base", "step-N", "{100: ")):
        discover_run("elsewhere", f"{run}/base")


def test_a_name_that_only_begins_like_a_step_is_not_skipped(run):
    save_step(run / "step-final")
    with pytest.raises(StepError, match=says(run, "step-final", "glob")):
        discover_run(run / "base", run)
    with pytest.raises(StepError, match=says(run / "step-final")):
        discover_run(run / "base", f"{run}/step-*")
    assert list(discover_run(run / "base", f"{run}/step-*[0-9]").steps) == [2, 10, 100]


def test_nothing_found_says_what_was_looked_for_and_what_is_there(run):
    with pytest.raises(EmptyCheckpointError, match=says(f"{run}/ckpt-*", run, "'base'", "checkpoint-N")):
        discover_run(run / "base", f"{run}/ckpt-*")
    with pytest.raises(EmptyCheckpointError, match=says(run / "logs", "holds nothing")):
        discover_run(run / "base", run / "logs")
    with pytest.raises(EmptyCheckpointError, match="empty"):
        discover_run(run / "base", [])
    with pytest.raises(EmptyCheckpointError, match="empty"):
        discover_run(run / "base", {})


def test_the_base_as_a_step_is_refused_however_it_is_spelt(run):
    (run / "start").symlink_to(run / "step-2")
    for base in (
        run / "step-2",
        f"{run}/logs/../step-2",
        run / "start",
        run / "step-2" / "model.safetensors",
    ):
        with pytest.raises(
            CheckpointError, match=says("base is also step 2", run / "step-2", "leave it out")
        ):
            discover_run(base, f"{run}/step-*")
    state = {"w": torch.ones(2, 2)}
    with pytest.raises(CheckpointError, match="base is also step 1"):
        discover_run(state, {1: state})


def test_two_paths_of_one_step_are_both_named(run):
    save_step(run / "checkpoint-10")
    with pytest.raises(DuplicateStepError, match=says("step 10", "checkpoint-10", "step-10", "{step: path}")):
        discover_run(run / "base", run)


def test_a_link_from_one_step_to_another_is_no_second_step(run):
    (run / "step-101").symlink_to(run / "step-100")
    with pytest.raises(DuplicateStepError, match=says("steps 100 and 101", "link")):
        discover_run(run / "base", run)


def test_the_storage_of_a_run_is_that_of_all_its_checkpoints(tmp_path):
    base = save_step(tmp_path / "base", torch.bfloat16)
    steps = {step: save_step(tmp_path / f"step-{step}", torch.bfloat16) for step in (1, 2)}
    assert run_storage(base, steps) == "bf16"
    assert run_storage(base, steps | {3: save_step(tmp_path / "step-3", torch.float32)}) == "mixed"


@pytest.mark.parametrize("step", [2**63, 10**25])
def test_a_step_beyond_64_bits_is_refused_at_discovery(run, step):
    save_step(run / f"step-{step}")
    with pytest.raises(StepError, match=says(run / f"step-{step}", step, 2**63 - 1, "pass the steps")):
        discover_run(run / "base", f"{run}/step-*")
    with pytest.raises(StepError, match=says("a dict in memory", step)):
        discover_run(run / "base", {step: {"layers.0.q_proj.weight": torch.ones(2, 2)}})


def test_the_largest_step_of_64_bits_is_a_step(run):
    save_step(run / f"step-{2**63 - 1}")
    assert max(discover_run(run / "base", f"{run}/step-*").steps) == 2**63 - 1
