"""A constrained matrix moves in its channel, everything else moves as before, and nothing stays behind."""

import copy

import numpy as np
import pytest
import torch
import xarray as xr

import geostat as gs
from geostat.errors import GeostatWarning, NamingError, NonFiniteError, ProtocolError, ShapeError
from geostat.protocols import protocol
from geostat.training import Channel, SubspaceConstraint, stored_channels

NAME = "blocks.0.attention.query.weight"


class Tiny(torch.nn.Module):
    """Two matrices that geostat knows by name, and a head."""

    def __init__(self, seed=0, dtype=torch.float64):
        super().__init__()
        torch.manual_seed(seed)
        attention = torch.nn.ModuleDict({name: torch.nn.Linear(6, 8) for name in ("query", "key")})
        self.blocks = torch.nn.ModuleList([torch.nn.ModuleDict({"attention": attention})])
        self.head = torch.nn.Linear(8, 3)
        self.to(dtype)

    def forward(self, x):
        attention = self.blocks[0]["attention"]
        return self.head(torch.tanh(attention["query"](x)) * torch.tanh(attention["key"](x)))


def basis(rows, K, seed=1):
    return torch.linalg.qr(
        torch.randn(rows, K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    ).Q


def batch(seed, dtype=torch.float64):
    return torch.randn(5, 6, generator=torch.Generator().manual_seed(seed)).to(dtype)


def loss_of(model, seed):
    return model(batch(seed, model.head.weight.dtype)).square().mean()


def train(model, optimizer, steps=4, scale=1.0):
    for step in range(steps):
        optimizer.zero_grad()
        (scale * loss_of(model, step)).backward()
        optimizer.step()


def weight(model, part="query"):
    return model.blocks[0]["attention"][part].weight


U, V = basis(8, 2), basis(6, 2, seed=2)
P_LEFT, P_RIGHT = U @ U.T, V @ V.T
SIDES = {
    "right": (V, lambda g: g @ P_RIGHT),
    "left": (U, lambda g: P_LEFT @ g),
    "both": ((U, V), lambda g: P_LEFT @ g @ P_RIGHT),
}


@pytest.mark.parametrize("complement", [False, True])
@pytest.mark.parametrize("side", SIDES)
def test_a_gradient_step_is_that_of_the_projected_gradient(side, complement):
    model = Tiny()
    channel, project = SIDES[side]
    loss_of(model, 0).backward()
    gradients = {name: each.grad.clone() for name, each in model.named_parameters()}
    start = {name: each.detach().clone() for name, each in model.named_parameters()}
    model.zero_grad()
    with SubspaceConstraint(model, {NAME: channel}, side=side, complement=complement) as constraint:
        train(model, torch.optim.SGD(model.parameters(), lr=0.5), steps=1)
    for name, each in model.named_parameters():
        expected = gradients[name]
        if name == NAME:
            expected = expected - project(expected) if complement else project(expected)
            kept = float((expected.norm() / gradients[name].norm()) ** 2)
        torch.testing.assert_close(each.detach(), start[name] - 0.5 * expected)
    assert float(constraint.report()["kept"][0]) == pytest.approx(kept)
    assert float(constraint.report()["leak"][0]) < 1e-12


@pytest.mark.parametrize(
    "make", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad]
)
@pytest.mark.parametrize("side", SIDES)
def test_projected_updates_stay_in_the_channel_whatever_the_optimizer(make, side):
    model = Tiny()
    optimizer = make(model.parameters(), lr=0.01, weight_decay=0.1)
    train(model, optimizer, steps=2)  # the constraint begins in the middle of a run
    start = weight(model).detach().clone()
    channel, project = SIDES[side]
    with SubspaceConstraint(
        model, {NAME: channel}, side=side, project="update", optimizer=optimizer
    ) as constraint:
        train(model, optimizer)
    moved = weight(model).detach() - start
    assert moved.norm() > 1e-4
    torch.testing.assert_close(moved, project(moved), rtol=0, atol=1e-15)
    assert float(constraint.report()["leak"][0]) < 1e-12
    assert float(constraint.report()["movement"][0]) == pytest.approx(float(moved.norm()))


def test_adam_takes_a_projected_gradient_out_of_the_channel():
    """Why updates can be projected: Adam rescales entry by entry, and a channel has no entries."""
    leaks = {}
    for project in ("gradient", "update"):
        model = Tiny()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.0)
        with SubspaceConstraint(model, {NAME: V}, project=project, optimizer=optimizer) as constraint:
            train(model, optimizer, steps=10)
        leaks[project] = float(constraint.report()["leak"][0])
    assert leaks["gradient"] > 0.05
    assert leaks["update"] < 1e-12


def test_a_channel_of_all_directions_changes_nothing():
    free, bound = Tiny(), Tiny()
    train(free, torch.optim.SGD(free.parameters(), lr=0.5))
    with SubspaceConstraint(bound, {NAME: torch.eye(6, dtype=torch.float64)}) as constraint:
        train(bound, torch.optim.SGD(bound.parameters(), lr=0.5))
    for a, b in zip(free.parameters(), bound.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    assert float(constraint.report()["kept"][0]) == pytest.approx(1.0)


def test_accumulated_gradients_are_projected_once_and_clipping_sees_them_so():
    model = Tiny()
    for seed in (0, 1):
        loss_of(model, seed).backward()
    expected = SIDES["right"][1](weight(model).grad.clone())
    model.zero_grad()
    with SubspaceConstraint(model, {NAME: V}):
        for seed in (0, 1):
            loss_of(model, seed).backward()
    torch.testing.assert_close(weight(model).grad, expected)
    assert float(torch.nn.utils.clip_grad_norm_([weight(model)], 1.0)) == pytest.approx(
        float(expected.norm())
    )


def test_nothing_stays_behind_whatever_ends_the_block():
    model = Tiny()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for project in ("gradient", "update"):
        with (
            pytest.raises(ZeroDivisionError),
            SubspaceConstraint(model, {NAME: V}, project=project, optimizer=optimizer),
        ):
            raise ZeroDivisionError
        free = copy.deepcopy(model)
        train(model, optimizer)
        train(free, torch.optim.SGD(free.parameters(), lr=0.5))
        torch.testing.assert_close(weight(model), weight(free), rtol=0, atol=0)


def test_a_constraint_can_be_used_again_and_not_twice_at_a_time():
    model = Tiny()
    constraint = SubspaceConstraint(model, {NAME: V})
    for _ in range(2):
        with constraint, pytest.raises(ProtocolError, match="active already"):
            constraint.__enter__()
    with pytest.raises(ProtocolError, match="never active"):
        SubspaceConstraint(model, {NAME: V}).report()


@pytest.mark.parametrize("project", ["gradient", "update"])
def test_weights_in_bf16_stay_in_the_channel_up_to_their_rounding(project):
    model = Tiny(dtype=torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with SubspaceConstraint(model, {NAME: V.float()}, project=project, optimizer=optimizer) as constraint:
        start = weight(model).detach().double().clone()
        train(model, optimizer, steps=10, scale=10.0)
    moved = weight(model).detach().double() - start
    outside = moved - moved @ P_RIGHT
    ulps = torch.exp2(torch.floor(torch.log2(weight(model).detach().double().abs().clamp(min=1e-9)))) / 128
    if project == "update":
        assert outside.norm() <= ulps.norm() / 2 + 1e-6  # one rounding, whatever the number of steps
    assert float(constraint.report()["leak"][0]) == pytest.approx(
        float(outside.norm() / moved.norm()), abs=1e-5
    )


def driven(model, channel, steps, **settings):
    """Steps of SGD along one gradient, constrained to a channel."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    gradient = (U[:, :1] @ V[:, :1].T / 64).to(weight(model))
    with SubspaceConstraint(model, channel, project="update", optimizer=optimizer, **settings) as constraint:
        for _ in range(steps):
            weight(model).grad = gradient.clone()
            optimizer.step()
    return constraint


def test_what_rounding_takes_from_a_step_in_bf16_is_not_lost():
    moved = []
    for channel in (torch.eye(6), V.float()):  # the gradient lies in both
        model = Tiny(dtype=torch.bfloat16)
        start = weight(model).detach().double().clone()
        driven(model, {NAME: channel}, 200)
        moved.append(float(((weight(model).detach().double() - start) @ V).norm()))
    assert moved[1] == pytest.approx(moved[0], rel=0.1)


@pytest.mark.parametrize("steps", [1, 30])
def test_the_energy_kept_is_that_of_the_steps_however_many(steps):
    turned = torch.linalg.qr(torch.stack([V[:, 0] + 3 * basis(6, 6)[:, 5], V[:, 1]], 1)).Q
    share = float((V[:, 0] @ turned).square().sum())
    found = driven(Tiny(), {NAME: turned}, steps).report()
    assert 0.05 < share < 0.95
    assert float(found["kept"][0]) == pytest.approx(share)
    assert float(driven(Tiny(), {NAME: turned}, steps, complement=True).report()["kept"][0]) == pytest.approx(
        1 - share
    )


def test_a_step_that_overflows_is_not_counted():
    model = Tiny()
    with SubspaceConstraint(model, {NAME: V}) as constraint:
        loss_of(model, 0).backward()
        before = float(constraint.report()["kept"][0])
        (float("inf") * loss_of(model, 0)).backward()
        assert float(constraint.report()["kept"][0]) == pytest.approx(before)


def test_moments_are_kept_unless_they_are_to_be_forgotten():
    for moments, kept in (("keep", True), ("reset", False)):
        model = Tiny()
        optimizer = torch.optim.Adam(model.parameters())
        train(model, optimizer)
        with SubspaceConstraint(model, {NAME: V}, optimizer=optimizer, moments=moments):
            assert (weight(model) in optimizer.state) == kept
            assert weight(model, "key") in optimizer.state


class FusedModel(torch.nn.Module):
    """q, k and v in one, once by concatenation and once stored as (in, out)."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        attention = torch.nn.Module()
        attention.c_attn = torch.nn.Module()
        attention.c_attn.weight = torch.nn.Parameter(torch.randn(4, 12, dtype=torch.float64))
        block = torch.nn.Module()
        block.attn = attention
        self.transformer = torch.nn.Module()
        self.transformer.h = torch.nn.ModuleList([block])
        self.config = {
            "model_type": "gpt2",
            "num_attention_heads": 2,
            "n_head": 2,
            "hidden_size": 4,
            "n_embd": 4,
        }

    @property
    def weight(self):
        return self.transformer.h[0].attn.c_attn.weight

    def forward(self, x):
        return torch.tanh(x @ self.weight)


def test_a_part_of_a_fused_and_transposed_weight_is_constrained_alone():
    model = FusedModel()
    name = "transformer.h.0.attn.c_attn[k_proj]"
    channel = basis(4, 1)
    model(torch.ones(2, 4, dtype=torch.float64)).sum().backward()
    whole = model.weight.grad.clone()
    model.zero_grad()
    with SubspaceConstraint(model, {name: channel}):
        model(torch.ones(2, 4, dtype=torch.float64)).sum().backward()
    expected = whole.clone()
    expected[:, 4:8] = channel @ channel.T @ whole[:, 4:8]  # stored as (in, out)
    torch.testing.assert_close(model.weight.grad, expected)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    start = model.weight.detach().clone()
    with SubspaceConstraint(model, {name: channel}, project="update", optimizer=optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(2, 4, dtype=torch.float64)).sum().backward()
            optimizer.step()
    moved = model.weight.detach() - start
    torch.testing.assert_close(moved[:, 4:8], channel @ channel.T @ moved[:, 4:8], rtol=0, atol=1e-15)
    assert (moved[:, :4].abs() > 0).all()


def test_a_wrapped_model_has_the_names_of_the_bare_one():
    class Wrapper(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

    model = Tiny()
    with SubspaceConstraint(Wrapper(model), {NAME: V}):
        loss_of(model, 0).backward()
    torch.testing.assert_close(weight(model).grad, weight(model).grad @ P_RIGHT)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    model = Tiny(dtype=torch.float32)
    start = {name: each.detach().clone() for name, each in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    steps = {}
    for step in (10, 20):
        train(model, optimizer)
        steps[step] = {name: each.detach().clone() for name, each in model.state_dict().items()}
    path = tmp_path_factory.mktemp("run") / "run.zarr"
    gs.measure(start, steps, store=path, protocol=protocol("shen2026").replace(K=4), progress=False)
    return path, start, steps


def test_a_channel_is_taken_from_a_measured_run(store):
    path, start, steps = store
    found = stored_channels(path, step=10, K=2, side="both")
    update = (steps[10][NAME] - start[NAME]).double()
    left, _, right = torch.linalg.svd(update)
    channel = found[NAME.removesuffix(".weight")]
    torch.testing.assert_close(
        channel.right.double() @ channel.right.double().T, right[:2].T @ right[:2], atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        channel.left.double() @ channel.left.double().T, left[:, :2] @ left[:, :2].T, atol=1e-5, rtol=0
    )
    model = Tiny(dtype=torch.float32)
    with SubspaceConstraint(model, path, step=10, K=2) as constraint:
        train(model, torch.optim.SGD(model.parameters(), lr=0.5))
    assert (constraint.report()["leak"] < 1e-5).all()
    assert constraint.report().sizes["matrix"] == 2


def test_what_a_store_does_not_hold_is_said(store):
    path, *_ = store
    with pytest.raises(ProtocolError, match="no step 15.*10, 20"):
        stored_channels(path, step=15)
    with pytest.raises(ProtocolError, match="K=5: .* holds 4 directions"):
        stored_channels(path, step=10, K=5)
    with pytest.raises(ProtocolError, match="pass step="):
        SubspaceConstraint(Tiny(), path)
    with pytest.raises(ProtocolError, match="passed as a mapping"):
        SubspaceConstraint(Tiny(), {NAME: V}, step=10)


def frozen(model):
    weight(model).requires_grad_(False)


def tied(model):
    model.blocks[0]["attention"]["key"].weight = weight(model)


def sharded(model):
    weight(model).placements = ("anything",)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(frozen, "is frozen"), (tied, "one parameter under the names"), (sharded, "sharded")],
)
def test_parameters_that_cannot_be_constrained_are_refused(spoil, message):
    model = Tiny()
    spoil(model)
    with pytest.raises(ProtocolError, match=message):
        SubspaceConstraint(model, {NAME: V})


@pytest.mark.parametrize(
    ("channel", "error", "message"),
    [
        ({"blocks.7.attention.query": V}, NamingError, "no such matrix.*blocks.0.attention.query"),
        ({NAME: basis(5, 2)}, ShapeError, r"shape \(5, 2\); the matrix is 8 x 6"),
        ({NAME: basis(6, 2)[:, 0]}, ShapeError, "expected"),
        ({NAME: 2 * V}, ProtocolError, "not orthonormal.*qr"),
        ({NAME: V * float("nan")}, NonFiniteError, "holds NaN"),
        ({}, ProtocolError, "names no matrix"),
        ({NAME: basis(8, 8)[:6]}, ShapeError, "has K=8 directions.* has 6"),
        ({NAME: V.to(torch.complex64)}, ProtocolError, "is complex numbers"),
        ({NAME: (U, V)}, ProtocolError, r"pair \(left, right\) only with side='both'"),
        ({NAME: None}, ProtocolError, "does not read as an array"),
        ({NAME: [[1.0], [2.0, 3.0]]}, ProtocolError, "does not read as an array"),
        ({NAME: Channel(right=V.numpy())}, ProtocolError, "is a ndarray"),
        ({3: V}, ProtocolError, "a key of type int"),
        ({"blocks.0.attention.query": V, NAME: V}, NamingError, "names one matrix twice"),
        ({"head.bias": V}, NamingError, "has 1 dims and is not a matrix"),
        ([V], ProtocolError, "the channel is a list"),
        (V, ProtocolError, "the channel is a Tensor"),
        (xr.Dataset(), ProtocolError, "Pass the store's path"),
    ],
)
def test_channels_that_do_not_belong_to_the_model_are_refused(channel, error, message):
    with pytest.raises(error, match=message):
        SubspaceConstraint(Tiny(), channel)


def test_settings_that_mean_nothing_are_refused():
    model = Tiny()
    for settings, message in (
        ({"project": "weights"}, "Choose 'gradient' or 'update'"),
        ({"project": "update"}, "needs optimizer="),
        ({"moments": "reset"}, "needs optimizer="),
        ({"moments": "zero"}, "Choose 'keep' or 'reset'"),
        ({"side": "up"}, "Choose 'right'"),
        ({"side": "both"}, r"a pair \(left, right\)"),
    ):
        with pytest.raises(ProtocolError, match=message):
            SubspaceConstraint(model, {NAME: V}, **settings)
    other = torch.optim.SGD(model.head.parameters(), lr=0.1)
    for optimizer, message in (
        (other, "does not train blocks.0.attention.query"),
        (torch.optim.SGD, "the class SGD"),
        ("adam", "a str; a torch optimizer"),
    ):
        with pytest.raises(ProtocolError, match=message):
            SubspaceConstraint(model, {NAME: V}, optimizer=optimizer)
    with pytest.raises(ProtocolError, match="model is a OrderedDict"):
        SubspaceConstraint(model.state_dict(), {NAME: V})


def test_two_constraints_on_one_side_of_a_matrix_are_refused_and_on_two_sides_both_hold():
    model = Tiny()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    settings = {"project": "update", "optimizer": optimizer}
    start = weight(model).detach().clone()
    with SubspaceConstraint(model, {NAME: V}, **settings):
        with (
            pytest.raises(ProtocolError, match="another constraint that is active, on its right side"),
            SubspaceConstraint(model, {NAME: basis(6, 2)}, **settings),
        ):
            pass
        with SubspaceConstraint(model, {NAME: U}, side="left", **settings):
            train(model, optimizer)
    moved = weight(model).detach() - start
    torch.testing.assert_close(moved, P_LEFT @ moved @ P_RIGHT, atol=1e-12, rtol=0)
    with SubspaceConstraint(model, {NAME: basis(6, 2)}, **settings):
        pass


def test_what_happens_to_the_model_before_the_block_is_seen():
    model = Tiny()
    constraint = SubspaceConstraint(model, {NAME: V})
    model.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    start = weight(model).detach().clone()
    with constraint:
        train(model, torch.optim.SGD(model.parameters(), lr=0.1))
    moved = weight(model).detach() - start
    assert moved.norm() > 0
    torch.testing.assert_close(moved, moved @ P_RIGHT)
    weight(model).requires_grad_(False)
    with pytest.raises(ProtocolError, match="is frozen"), constraint:
        pass


def test_a_gradient_from_before_the_block_is_told_where_it_counts():
    model = Tiny()
    loss_of(model, 0).backward()
    with (
        SubspaceConstraint(model, {NAME: V}),
        pytest.warns(GeostatWarning, match="added to one from before the constraint.*zero_grad"),
    ):
        loss_of(model, 0).backward()
    with SubspaceConstraint(model, {NAME: V}):
        train(model, torch.optim.SGD(model.parameters(), lr=0.1))


def test_a_sparse_gradient_is_refused_by_name():
    model = torch.nn.Embedding(6, 4, sparse=True)
    loss = model(torch.tensor([1, 2])).sum()
    with (
        SubspaceConstraint(model, {"weight": basis(4, 2).float()}),
        pytest.raises(ProtocolError, match="gradient of 'weight' is sparse"),
    ):
        loss.backward()


def test_bases_may_be_arrays_and_ready_channels():
    model = Tiny()
    for given in (V.numpy(), np.asarray(V, order="F"), Channel(right=V)):
        with SubspaceConstraint(model, {NAME: given}):
            loss_of(model, 0).backward()
        torch.testing.assert_close(weight(model).grad, weight(model).grad @ P_RIGHT)
        model.zero_grad()
