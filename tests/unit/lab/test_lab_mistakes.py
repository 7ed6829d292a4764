"""What is asked of the laboratory wrongly is told, and what fails takes nothing else with it."""

import functools
import json
from dataclasses import replace

import pytest
from filelock import FileLock

from geostat.errors import GeostatWarning, NonFiniteError, ProtocolError, SampleError, StoreError
from geostat.lab import (
    PERTURBATIONS,
    RECIPES,
    Arm,
    Recipe,
    Scale,
    branches,
    functional_sufficiency,
    objectives,
    train_runs,
)
from geostat.lab.branches import read_branch
from geostat.lab.callable_names import callable_name
from geostat.lab.perturbation_study import perturbation_study, preserved
from geostat.lab.recipes import PRETRAINING
from geostat.lab.workers import _receive

TINY = Scale(
    "tiny",
    PRETRAINING.shortened(steps=2, batch=4),
    tuple(recipe.shortened(steps=2, batch=8) for recipe in (*RECIPES.values(), *PERTURBATIONS.values())),
    checkpoints=2,
    problems=16,
)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"kind": "chanel", "K": 4}, "kind='chanel' of an arm is none of free, channel"),
        ({"kind": "channel", "K": 4, "side": "up"}, "side='up'"),
        ({"kind": "channel", "K": 4, "project": "x"}, "project='x'"),
        ({"kind": "channel", "K": 2.0}, "no whole number"),
        ({"kind": "random", "K": -1}, "K=-1"),
    ],
)
def test_an_arm_that_means_nothing_is_refused(settings, told):
    with pytest.raises(ProtocolError, match=told):
        Arm(**settings)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seeds": 0}, "seeds=0"),
        ({"seeds": [-1]}, "none of them negative"),
        ({"recipes": ()}, "no recipe"),
        ({"arms": [Arm("random", 200)]}, "random-200: the model has a width of 128"),
        ({"at": 0.999}, "after step 2 of 2 nothing is left of opd-0"),
        ({"dtypes": "bf16"}, "pass a sequence of bf16 and fp32"),
        ({"dtypes": ("fp16",)}, "fp16"),
        ({"workers": 0}, "workers=0"),
    ],
)
def test_a_study_that_means_nothing_is_refused_before_training(tmp_path, changes, told):
    def trained(event):
        raise AssertionError(event)

    settings = {"recipes": "opd", "out": tmp_path, "seeds": 1, "at": 0.5, "scale": TINY, "progress": trained}
    with pytest.raises(ProtocolError, match=told):
        functional_sufficiency(**(settings | {"arms": [Arm("channel", 2)]} | changes))


def test_a_folder_in_which_a_study_runs_and_one_that_is_a_file_are_refused(tmp_path):
    with FileLock(tmp_path / ".lock"), pytest.raises(StoreError, match="a study is running in"):
        train_runs(tmp_path, 1, scale=TINY)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write a study into"):
        train_runs(tmp_path / "file", 1, scale=TINY)


@pytest.mark.parametrize("damage", ["{", json.dumps({"settings": {}}), "[]"])
def test_a_damaged_record_of_a_run_is_told(tmp_path, damage):
    (tmp_path / "branch.json").write_text(damage)
    with pytest.raises(StoreError, match="was expected to be the record of a trained run.*Remove"):
        read_branch(tmp_path)


def own(student, teacher, batch, generator):
    return objectives.supervised(student, teacher, batch, generator)


def test_another_objective_of_the_same_name_is_another_study(tmp_path):
    def scale(objective):
        recipe = Recipe("mine", "anchor", objective, TINY.recipe("opd").training)
        return replace(TINY, recipes=(*TINY.recipes, recipe))

    assert callable_name(objectives.supervised) == "supervised"
    assert callable_name(own) != callable_name(functools.partial(own, batch=3))
    for _ in range(2):
        train_runs(tmp_path, 1, ("mine",), scale=scale(own))
    with pytest.raises(StoreError, match="other settings .mine differ"):
        train_runs(tmp_path, 1, ("mine",), scale=scale(functools.partial(own)))


class Gone:
    """A pipe whose other end is lost."""

    def recv(self):
        raise ConnectionResetError


def test_a_process_that_is_gone_is_told():
    task = type("Task", (), {"name": "opd-0", "out": "study"})
    with pytest.raises(StoreError, match='ended before it was done.*under `if __name__ == "__main__"'):
        _receive(Gone(), task)


def diverging(monkeypatch, *names):
    """Let some runs diverge."""
    real = branches.train_branch

    def train_branch(task, on_step=lambda step: None):
        if task.name in names:
            raise NonFiniteError("the gradient at step 0 has the norm nan: the run has diverged")
        return real(task, on_step)

    monkeypatch.setattr(branches, "train_branch", train_branch)


@pytest.mark.filterwarnings("ignore::geostat.errors.GeostatWarning")
def test_perturbations_are_compared_on_the_seeds_that_are_left(tmp_path, monkeypatch):
    diverging(monkeypatch, "opd_sampled-0", "opd_top25-0", "opd_top25-1", "opd_top25-2")
    runs = perturbation_study(("opd_sampled", "opd_top50", "opd_top25"), out=tmp_path, seeds=3, scale=TINY)
    (row,) = preserved(runs, "opd_top50", margin=0.1).rows()
    assert (row["n_a"], row["n_b"]) == (2, 2)
    with pytest.raises(SampleError, match="opd_top25 and opd_sampled have no seed in common"):
        preserved(runs, "opd_top25", margin=0.1)


@pytest.mark.filterwarnings("ignore:sft-0 is missing")
def test_what_begins_where_a_run_diverged_says_so_and_where_nothing_is_left_that(tmp_path, monkeypatch):
    diverging(monkeypatch, "sft-0")
    with (
        pytest.warns(GeostatWarning, match="opd-0 is missing.* sft-0, where it begins, diverged"),
        pytest.raises(NonFiniteError, match="no run was left"),
    ):
        train_runs(tmp_path, 1, ("opd",), scale=TINY)
