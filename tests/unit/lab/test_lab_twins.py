"""Twins: continuations of one halted run that differ in nothing but where they may move."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from geostat.errors import ProtocolError, StoreError
from geostat.lab import Arm, load_checkpoint
from geostat.lab.arms import FREE, arms_of
from geostat.lab.branches import read_branch
from geostat.lab.directions import activation_directions, block_matrices, input_moments
from geostat.lab.halting import continued, halted
from geostat.lab.recipes import PRETRAINING, RECIPES, Scale
from geostat.lab.study import plan_study, train_runs
from geostat.lab.twins import TwinTask, read_twin

TINY = Scale(
    "tiny",
    PRETRAINING.shortened(steps=4, batch=8),
    tuple(recipe.shortened(steps=6, batch=4) for recipe in RECIPES.values()),
    checkpoints=2,
    problems=32,
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    train_runs(out, 1, ("sft", "opd"), scale=TINY)
    return out


@pytest.fixture(scope="module")
def branch(study):
    (found,) = (task for task in plan_study(study, (0,), ("opd",), scale=TINY) if task.name == "opd-0")
    return found


@pytest.fixture(scope="module")
def state(branch):
    return halted(branch, 2)


def moved(state, model):
    before, after = state.model.state_dict(), model.state_dict()
    return {name: (after[name] - before[name]).double() for name in block_matrices(after)}


def test_the_free_twin_ends_as_the_run_itself_to_the_bit(study, state):
    model, report = continued(state, FREE)
    assert report is None
    master = load_file(study / "opd-0" / "master" / "model.safetensors")
    assert all(torch.equal(each, master[name]) for name, each in model.state_dict().items())


def test_a_halted_run_is_not_changed_by_its_continuations(state):
    first, _ = continued(state, Arm("channel", 4))
    again, _ = continued(state, Arm("channel", 4))
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_updates_stay_in_the_channel_of_the_update_so_far(state, side):
    model, report = continued(state, Arm("channel", 4, side, "update"))
    assert float(report["leak"].max()) < 1e-4
    for name, update in moved(state, model).items():
        so_far = state.model.state_dict()[name] - state.start.state_dict()[name]
        left, _, right = torch.linalg.svd(so_far.double(), full_matrices=False)
        rest = update
        if side != "left":
            rest = rest - rest @ right[:4].mT @ right[:4]
        if side != "right":
            kept = update if side == "left" else update @ right[:4].mT @ right[:4]
            rest = update - left[:, :4] @ (left[:, :4].mT @ kept)
        assert float(rest.norm()) < 1e-4 * float(update.norm())


def test_the_complement_moves_where_the_channel_does_not(state):
    model, _ = continued(state, Arm("complement", 4, project="update"))
    for name, channel in state.channels(Arm("channel", 4)).items():
        update = moved(state, model)[name]
        assert float((update @ channel.right.double()).norm()) < 1e-4 * float(update.norm())


def test_noise_has_the_size_of_the_update_and_its_place(state):
    for kind, outside in (("noise_inside", False), ("noise_outside", True)):
        model = copy.deepcopy(state.model)
        state.disturb(model, Arm(kind, 4))
        noise = moved(state, model)
        for name, channel in state.channels(Arm("channel", 4)).items():
            so_far = (state.model.state_dict()[name] - state.start.state_dict()[name]).double()
            inside = noise[name] @ channel.right.double() @ channel.right.double().mT
            elsewhere = inside if outside else noise[name] - inside
            assert float(noise[name].norm()) == pytest.approx(float(so_far.norm()), rel=1e-3)
            assert float(elsewhere.norm()) < 1e-3 * float(noise[name].norm())


def test_a_disturbed_twin_goes_on_freely(state):
    model, report = continued(state, Arm("noise_outside", 4))
    assert report is None
    free, _ = continued(state, FREE)
    assert not torch.equal(model.head.weight, free.head.weight)


def test_a_reopened_twin_leaves_the_channel_only_after_its_release(state):
    model, report = continued(state, Arm("reopened", 4, project="update"))
    assert float(report["leak"].max()) < 1e-4
    for name, channel in state.channels(Arm("channel", 4)).items():
        update = moved(state, model)[name]
        inside = update @ channel.right.double() @ channel.right.double().mT
        assert float((update - inside).norm()) > 0.01 * float(update.norm())


def test_random_directions_are_the_same_for_every_twin_and_not_the_channel(state):
    first, second = (state.channels(Arm("random", 4)) for _ in range(2))
    channel = state.channels(Arm("channel", 4))
    for name, each in first.items():
        assert torch.equal(each.right, second[name].right)
        assert float((each.right.mT @ channel[name].right).norm()) < 1.5


def test_directions_of_inputs_are_those_of_what_each_layer_is_applied_to(study):
    model = load_checkpoint(study / "opd-0" / "bf16" / "step-0")
    moments = input_moments(model, problems=16)
    assert set(moments) == set(block_matrices(model.state_dict()))
    seen = []
    layer = model.blocks[1].mlp.down
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].double().flatten(0, -2)))
    input_moments(model, problems=16)
    handle.remove()
    rows = torch.cat(seen)
    torch.testing.assert_close(moments["blocks.1.mlp.down.weight"], rows.mT @ rows / len(rows))
    directions = activation_directions(moments, 3)["blocks.1.mlp.down.weight"]
    _, _, wanted = torch.linalg.svd(rows, full_matrices=False)
    torch.testing.assert_close(
        (directions.mT @ wanted[:3].mT).abs(), torch.eye(3).double(), atol=1e-6, rtol=0
    )


def test_more_directions_than_an_update_has_are_refused(branch):
    with pytest.raises(ProtocolError, match="Take a smaller K, or let the twins part later"):
        halted(replace(branch, recipe=branch.recipe.shortened(learning_rate=0.0)), 1).channels(
            Arm("channel", 4)
        )


def test_a_finished_twin_is_kept_and_the_others_trained(branch, study):
    steps = []
    first = TwinTask(branch, 2, (FREE,))
    first.run(steps.append)
    assert steps == list(range(1, first.steps + 1))
    written = first.record(FREE).stat().st_mtime_ns
    both, steps = TwinTask(branch, 2, (FREE, Arm("random", 2))), []
    assert both.missing == (Arm("random", 2),)
    both.run(steps.append)
    assert steps[-1] == both.steps
    assert first.record(FREE).stat().st_mtime_ns == written
    assert both.missing == ()
    assert read_twin(first.record(FREE)).end == read_branch(study / "opd-0").end


def test_a_damaged_record_says_which_file_and_what_to_do(tmp_path):
    (tmp_path / "free.json").write_text('{"arm": 3}')
    with pytest.raises(StoreError, match=r"free\.json was expected to be the record of a twin.*Remove it"):
        read_twin(tmp_path / "free.json")


def test_arms_that_mean_nothing_are_refused():
    with pytest.raises(ProtocolError, match="K=0"):
        Arm("channel")
    with pytest.raises(ProtocolError, match="side='right'"):
        Arm("activations", 4, "left")
    names = [arm.name for arm in arms_of((2, 4, 8), 8)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"kind": "chanel", "K": 4}, r"kind='chanel' was asked for.*channel, complement"),
        ({"kind": "channel", "K": 4, "side": "up"}, r"side='up' was asked for.*left, right, both"),
        ({"kind": "channel", "K": 4, "project": "x"}, r"project='x' was asked for.*gradient, update"),
        *(({"kind": "channel", "K": K}, "whole number, K >= 1") for K in (0, -1, 2.5, True, "4")),
    ],
)
def test_an_arm_of_unknown_words_or_of_no_whole_size_is_refused(asked, told):
    with pytest.raises(ProtocolError, match=told):
        Arm(**asked)


def test_a_size_of_numpy_is_a_whole_number():
    assert type(Arm("channel", np.int64(4)).K) is int
