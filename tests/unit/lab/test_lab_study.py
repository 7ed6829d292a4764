import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from geostat.errors import ProtocolError, StoreError
from geostat.lab.branches import checkpoint_steps, read_branch
from geostat.lab.checkpoints import load_checkpoint
from geostat.lab.evaluation import evaluate
from geostat.lab.problems import evaluation_problems
from geostat.lab.recipes import PRETRAINING, RECIPES, Scale
from geostat.lab.study import plan_study, train_runs
from geostat.lab.study_lock import training_alone

TINY = Scale(
    "tiny",
    PRETRAINING.shortened(steps=4, batch=8),
    tuple(recipe.shortened(steps=4, batch=4) for recipe in RECIPES.values()),
    checkpoints=2,
    problems=32,
)


def weights(directory):
    return {
        path.relative_to(directory): path.read_bytes()
        for path in sorted(Path(directory).rglob("*.safetensors"))
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    train_runs(out, 1, ("sft", "opd"), scale=TINY)
    return out


def test_a_study_leaves_the_branches_asked_for_and_nothing_half_done(tmp_path):
    branches = train_runs(tmp_path, 2, scale=TINY)
    assert [(branch.recipe, branch.seed) for branch in branches] == [
        (recipe, seed) for seed in (0, 1) for recipe in ("sft", "opd", "rlvr")
    ]
    names = {branch.directory.name for branch in branches}
    assert {path.name for path in tmp_path.iterdir()} == {*names, "base", "study.json", ".lock"}
    for branch in branches:
        assert [path.name for path in branch.checkpoints()] == ["step-2", "step-4"]
        assert all((path / "model.safetensors").is_file() for path in (branch.base(), *branch.checkpoints()))


def test_a_branch_starts_where_its_parent_ended(undisturbed):
    base, anchor, distilled = (load_last(undisturbed / name) for name in ("base", "sft-0", "opd-0"))
    assert_same(base, load_file(undisturbed / "sft-0/bf16/step-0/model.safetensors"))
    assert_same(anchor, load_file(undisturbed / "opd-0/bf16/step-0/model.safetensors"))
    assert not torch.equal(anchor["head.weight"], distilled["head.weight"])
    stored = load_checkpoint(undisturbed / "opd-0/bf16/step-0")
    assert read_branch(undisturbed / "opd-0").start == evaluate(stored, evaluation_problems(TINY.problems))


def load_last(directory):
    master = load_file(directory / "master" / "model.safetensors")
    return {name: tensor.bfloat16() for name, tensor in master.items()}


def assert_same(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_last_checkpoint_is_the_master_rounded(undisturbed):
    assert_same(
        load_last(undisturbed / "opd-0"), load_file(undisturbed / "opd-0/bf16/step-4/model.safetensors")
    )


def test_both_storages_are_kept_when_both_are_asked_for(tmp_path):
    (branch,) = train_runs(tmp_path, 1, ("sft",), scale=TINY, dtypes=("bf16", "fp32"))
    dtypes = {
        dtype: load_file(branch.checkpoints(dtype)[-1] / "model.safetensors")["head.weight"].dtype
        for dtype in ("bf16", "fp32")
    }
    assert dtypes == {"bf16": torch.bfloat16, "fp32": torch.float32}
    exact, rounded = (load_file(branch.base(dtype) / "model.safetensors") for dtype in ("fp32", "bf16"))
    assert_same(exact, {name: tensor.float() for name, tensor in rounded.items()})  # training starts there


def test_seeds_share_the_base_and_nothing_else(tmp_path):
    first, second = train_runs(tmp_path, (3, 5), ("sft",), scale=TINY)
    assert weights(first.base()) == weights(second.base())
    assert weights(first.checkpoints()[-1]) != weights(second.checkpoints()[-1])


def test_a_study_interrupted_at_any_branch_goes_on_there_and_ends_the_same(tmp_path, undisturbed):
    def interrupt(event):
        if (event.branch, event.step) == ("opd-0", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_runs(tmp_path, 1, ("sft", "opd"), scale=TINY, progress=interrupt)
    assert read_branch(tmp_path / "opd-0") is None
    trained = []
    train_runs(tmp_path, 1, ("sft", "opd"), scale=TINY, progress=lambda event: trained.append(event.branch))
    assert set(trained) == {"opd-0"}
    assert weights(tmp_path) == weights(undisturbed)


def test_a_killed_study_leaves_no_branch_that_looks_finished(tmp_path, undisturbed):
    script = (
        "import os, signal, runpy\n"
        f"module = runpy.run_path({__file__!r})\n"
        "from geostat.lab.study import train_runs\n"
        "def kill(event):\n"
        "    if (event.branch, event.step) == ('opd-0', 3):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        f"train_runs({str(tmp_path)!r}, 1, ('sft', 'opd'), scale=module['TINY'], progress=kill)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[3], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / ".opd-0.partial" / "bf16" / "step-2").is_dir()
    assert [branch.recipe for branch in train_runs(tmp_path, 1, ("sft", "opd"), scale=TINY)] == ["sft", "opd"]
    assert weights(tmp_path) == weights(undisturbed)


def test_a_second_call_trains_nothing_and_a_new_seed_only_itself(tmp_path):
    train_runs(tmp_path, 1, ("sft",), scale=TINY)
    trained = []

    def note(event):
        trained.append(event.branch)

    train_runs(tmp_path, 1, ("sft",), scale=TINY, progress=note)
    assert trained == []
    train_runs(tmp_path, 2, ("sft",), scale=TINY, progress=note)
    assert set(trained) == {"sft-1"}


def test_two_processes_give_the_same_weights_as_one(tmp_path, undisturbed):
    events = []
    train_runs(tmp_path, 1, ("sft", "opd"), scale=TINY, workers=2, progress=events.append)
    assert weights(tmp_path) == weights(undisturbed)
    assert [event.step for event in events if event.branch == "opd-0"] == [1, 2, 3, 4]


def test_a_dead_process_is_reported_with_its_branch(tmp_path):
    def kill_workers(event):
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(StoreError, match=r"trained base ended before .*call again to go on"):
        train_runs(tmp_path, 1, ("sft",), scale=TINY, workers=2, progress=kill_workers)
    assert multiprocessing.active_children() == []


def test_a_directory_of_another_study_is_refused(tmp_path, undisturbed):
    longer = replace(TINY, checkpoints=4)
    with pytest.raises(StoreError, match=r"checkpoints differ.*another directory"):
        train_runs(undisturbed, 1, ("sft",), scale=longer)


def test_an_unknown_recipe_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ProtocolError, match=r"'grpo' was asked for.*rlvr"):
        train_runs(tmp_path / "out", 1, ("grpo",), scale=TINY)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seeds": 0}, "seeds=0 was asked for.*1 or more"),
        ({"seeds": -1}, "seeds=-1"),
        ({"seeds": ()}, r"seeds=\(\)"),
        ({"seeds": 1.5}, "seeds=1.5"),
        ({"seeds": ("a",)}, "which ones"),
        ({"recipes": ()}, "no recipe was asked for"),
        ({"workers": 0}, "workers=0 was asked for"),
        ({"dtypes": "bf16"}, r"one name\. Pass a sequence"),
        ({"dtypes": ("fp16",)}, r"'fp16'.*Pass one or more of bf16, fp32"),
        ({"dtypes": ()}, "Pass one or more of bf16, fp32"),
    ],
)
def test_settings_that_mean_nothing_are_refused_before_anything_is_written(tmp_path, changes, told):
    with pytest.raises(ProtocolError, match=told):
        train_runs(**({"out_dir": tmp_path / "out", "seeds": 1, "scale": TINY} | changes))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", [".", "below/it"])
def test_a_file_in_the_place_of_the_folder_is_told(tmp_path, place):
    (tmp_path / "afile").write_text("")
    with pytest.raises(StoreError, match=r"afile is a file\. Pass a folder"):
        train_runs(tmp_path / "afile" / place, 1, scale=TINY)


def test_one_recipe_may_be_named_alone(undisturbed):
    assert [branch.recipe for branch in train_runs(undisturbed, 1, "sft", scale=TINY)] == ["sft"]


@pytest.mark.parametrize("damage", ["{", "[]", '{"recipe": "opd"}'])
def test_a_damaged_record_says_which_folder_to_remove(tmp_path, damage):
    (tmp_path / "opd-0").mkdir()
    (tmp_path / "opd-0" / "branch.json").write_text(damage)
    with pytest.raises(
        StoreError, match=r"branch\.json was expected to be the record of a branch.*Remove the folder"
    ):
        train_runs(tmp_path, 1, ("opd",), scale=TINY)


def test_two_calls_at_once_in_one_folder_are_refused_and_finished_ones_are_read(tmp_path, undisturbed):
    with training_alone(tmp_path):
        with pytest.raises(
            StoreError, match=rf"a study is running in .*\(pid {os.getpid()} on .*another folder"
        ):
            train_runs(tmp_path, 1, ("sft",), scale=TINY)
        assert not (tmp_path / "base").exists()
    with training_alone(undisturbed):
        assert len(train_runs(undisturbed, 1, ("sft", "opd"), scale=TINY)) == 2


def test_a_folder_is_free_again_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), training_alone(tmp_path):
        raise KeyboardInterrupt
    with training_alone(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_seed_named_twice_is_one_run(tmp_path):
    assert len(train_runs(tmp_path, (1, 1), ("sft", "sft"), scale=TINY)) == 1


def test_every_branch_is_planned_after_the_one_it_starts_from():
    tasks = plan_study(Path("out"), (0, 1), tuple(RECIPES), scale=TINY)
    seen = {None}
    for task in tasks:
        assert task.start in seen
        seen.add(task.name)
    assert len(tasks) == 1 + 2 * len(RECIPES)


@pytest.mark.parametrize(("steps", "count"), [(200, 8), (250, 8), (300, 8), (3, 8), (1, 1)])
def test_checkpoints_are_even_and_include_the_last_step(steps, count):
    grid = checkpoint_steps(steps, count)
    gaps = [after - before for before, after in zip((0, *grid), grid, strict=False)]
    assert grid[-1] == steps
    assert len(grid) == min(steps, count)
    assert max(gaps) - min(gaps) <= 1
