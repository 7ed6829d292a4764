"""The experiment on a model and a training loop that are not the laboratory's."""

import copy

import numpy as np
import pytest
import torch

from geostat.errors import EmptyCheckpointError, GeostatWarning, ProtocolError, SampleError, StoreError
from geostat.lab import Arm, sufficiency_of

INPUTS = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
LABELS = (INPUTS[:, :3].sum(1) > 0).long()
CHANNEL = Arm("channel", 2)


class Small(torch.nn.Module):
    """A little network with dropout, which draws global random numbers."""

    def __init__(self):
        super().__init__()
        self.mlp = torch.nn.ModuleDict(
            {"up_proj": torch.nn.Linear(8, 12), "down_proj": torch.nn.Linear(12, 8)}
        )
        self.head = torch.nn.Linear(8, 2)

    def forward(self, x):
        x = torch.nn.functional.dropout(torch.tanh(self.mlp["up_proj"](x)), 0.2, self.training)
        return self.head(torch.tanh(self.mlp["down_proj"](x)))


def start(seed):
    model = Small()
    return model, torch.optim.Adam(model.parameters(), lr=0.02)


def train(model, optimizer, steps, seed):
    for step in steps:
        chosen = torch.randperm(64, generator=torch.Generator().manual_seed(1000 * seed + step))[:16]
        model.train()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(INPUTS[chosen]), LABELS[chosen]).backward()
        optimizer.step()


@torch.no_grad()
def share(model):
    model.eval()
    return model(INPUTS).softmax(-1)[torch.arange(64), LABELS].mean()


def asked(recipes=train, **changes):
    settings = {"start": start, "evaluate": share, "steps": 30, "matrices": "*proj", "progress": False}
    return sufficiency_of(recipes, **(settings | {"seeds": 2, "arms": [CHANNEL], "K": 2} | changes))


def test_the_free_twin_is_the_run_itself_to_the_bit():
    found = asked().data.sel(arm="free")
    for seed in range(2):
        torch.manual_seed(seed)
        model, optimizer = start(seed)
        before = float(share(model))
        train(model, optimizer, range(30), seed)
        assert float(found["accuracy"][seed]) == float(share(model))
        assert float(found["accuracy_before"][seed]) == before


def test_a_twin_moves_in_the_channel_of_the_update_so_far():
    weights = []

    def seen(model):
        weights.append(copy.deepcopy(model.state_dict()))
        return share(model)

    found = asked(evaluate=seen, seeds=1, arms=[Arm("channel", 2, project="update")])
    begun, parted, free, held = (each["mlp.up_proj.weight"].double() for each in weights)
    right = torch.linalg.svd(parted - begun).Vh[:2]
    outside = held - parted - (held - parted) @ right.T @ right
    assert outside.norm() < 1e-5 * (held - parted).norm()
    assert (free - parted - (free - parted) @ right.T @ right).norm() > 0.1 * (free - parted).norm()
    assert float(found.data["leak"].sel(arm="channel-2-update")[0]) < 1e-5


def test_every_arm_runs_and_the_answer_has_intervals():
    found = asked(arms=None, seeds=3)
    assert set(found.data["kind"].values) == {
        "free", "channel", "complement", "random", "activations", "reopened", "noise_inside", "noise_outside"
    }  # fmt: skip
    assert bool(found.data["accuracy"].notnull().all())
    overlap = found.data["activation_overlap"].sel(arm="activations-2").values
    np.testing.assert_allclose(overlap, 1.0, rtol=1e-6)
    row = next(each for each in found.retained().rows() if each["arm"] == "channel-2")
    assert row["low"] < row["estimate"] < row["high"]


def test_recipes_are_compared():
    def slower(model, optimizer, steps, seed):
        for group in optimizer.param_groups:
            group["lr"] = 0.01
        train(model, optimizer, steps, seed)

    found = asked({"fast": train, "slow": slower})
    assert list(found.data["recipe"].values) == ["fast", "fast", "slow", "slow"]
    assert found.between("channel-2", "fast", "slow").rows()[0]["n_a"] == 2


def test_what_is_finished_is_kept(tmp_path):
    count = []

    def counted(model, optimizer, steps, seed):
        count.append(len(steps))
        if len(count) == 6:  # in the last twin of the first run
            raise KeyboardInterrupt
        train(model, optimizer, steps, seed)

    def changed(model, optimizer, steps, seed):
        train(model, optimizer, steps, seed + 1)

    more = [CHANNEL, Arm("random", 2)]
    with pytest.raises(KeyboardInterrupt):
        asked(counted, out=tmp_path, arms=more)
    assert len(list((tmp_path / "twins").rglob("*.json"))) == 2
    resumed = asked(counted, out=tmp_path, arms=more)
    with pytest.raises(StoreError, match=r"other settings \(own: objective differ"):
        asked(changed, out=tmp_path, arms=more)
    with pytest.raises(StoreError, match=r"other settings \(steps differ"):
        asked(counted, out=tmp_path, arms=more, steps=40)
    np.testing.assert_array_equal(resumed.data["accuracy"], asked(arms=more).data["accuracy"])
    assert len(list((tmp_path / "twins").rglob("*.json"))) == 6


def test_training_that_keeps_something_to_itself_is_told():
    drawn = torch.Generator().manual_seed(0)

    def hidden(model, optimizer, steps, seed):
        for _ in steps:
            chosen = torch.randperm(64, generator=drawn)[:16]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(INPUTS[chosen]), LABELS[chosen]).backward()
            optimizer.step()

    with pytest.warns(GeostatWarning, match="taken twice from one state"):
        asked(hidden)


def test_a_twin_that_diverges_is_left_out_and_the_others_stay():
    def fragile(model, optimizer, steps, seed):
        train(model, optimizer, steps, seed)
        hooked = bool(model.mlp["up_proj"].weight._backward_hooks)
        if (seed == 0 and hooked) or seed == 1:
            model.head.weight.data.fill_(torch.nan)

    with pytest.warns(GeostatWarning, match=r"channel-2 of own-0 is left out|own-1 is left out"):
        found = asked(fragile).data
    assert list(found["run"].values) == ["own-0"]
    assert list(found["arm"].values) == ["free"]


def test_where_all_diverge_nothing_is_given():
    def broken(model, optimizer, steps, seed):
        model.head.weight.data.fill_(torch.nan)

    with (
        pytest.warns(GeostatWarning, match="left out"),
        pytest.raises(SampleError, match="no run was left"),
    ):
        asked(broken)


def test_global_random_numbers_are_put_back():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    asked(seeds=1)
    assert torch.equal(torch.get_rng_state(), before)


def frozen(seed):
    model, optimizer = start(seed)
    model.requires_grad_(False)
    return model, optimizer


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"evaluate": lambda model: 2.0}, ProtocolError, r"a share in \[0, 1\]"),
        ({"evaluate": lambda model: -0.5}, ProtocolError, r"return exp\(-loss\)"),
        ({"at": 0.999}, ProtocolError, "at least one step is left"),
        ({"seeds": 0}, ProtocolError, "seeds=0 was asked for"),
        ({"seeds": [-1]}, ProtocolError, "which ones"),
        ({"recipes": {}}, ProtocolError, "0 recipes"),
        ({"arms": [Arm("random", 9)]}, ProtocolError, r"random-9: 'mlp.up_proj.*' is 12 x 8"),
        ({"start": frozen}, ProtocolError, "are frozen"),
        ({"matrices": "*other"}, EmptyCheckpointError, "selects nothing"),
    ],
)
def test_settings_that_mean_nothing_are_refused_before_training(changes, error, told):
    def untouched(*_):
        raise AssertionError("trained")

    with pytest.raises(error, match=told):
        asked(**({"recipes": untouched} | changes))
