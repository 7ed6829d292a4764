"""Conventions: presets, hashes, refusals."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

import geostat as gs
from geostat.errors import ProtocolError
from geostat.protocols import check_setting
from geostat.trajectories.sweep import swept_fields


def test_presets_have_the_published_settings():
    shen, zhu, yu, mukherjee = (
        gs.PROTOCOLS[name] for name in ("shen2026", "zhu2025", "yu2026", "mukherjee2025")
    )
    assert (shen.eta, shen.rule, shen.space, shen.k, shen.r, shen.alpha) == (
        1e-3,
        "relative",
        "bf16",
        512,
        64,
        (0.3, 0.5),
    )
    assert (shen.matrices, shen.sparsity_weighting, shen.K) == ("attention", "parameters", 16)
    assert zhu.matrices == "linear"
    assert zhu.replace(name="x", matrices="attention").hash == shen.hash
    assert (yu.rule, yu.k, yu.r) == ("absolute", (0.01, 0.05, 0.1, 0.2), 0.1)
    assert yu.side == ("left", "right")  # the source reports the left one; capture needs both
    assert set(yu.eta) == {0.0, 1e-5}
    assert set(yu.alpha) == {0.01, 0.05, 0.1, 0.2}
    assert yu.sparsity_weighting == "both"
    assert (mukherjee.eta, mukherjee.rule, mukherjee.space, mukherjee.matrices) == (
        1e-5,
        "absolute",
        "bf16",
        "all",
    )


@given(st.integers(1, 100), st.floats(0, 1), st.sampled_from(["bf16", "raw"]))
def test_json_round_trip_keeps_everything(K, eta, space):
    protocol = gs.Protocol(K=K, eta=(eta, 0.5), space=space)
    assert gs.Protocol.from_json(protocol.to_json()) == protocol


def test_hash_is_of_the_settings_and_not_of_the_name():
    assert gs.Protocol(name="a").hash == gs.Protocol(name="b").hash
    assert gs.Protocol(K=8).hash != gs.Protocol().hash


@pytest.mark.parametrize(
    "wrong",
    [{"alpha": 1.5}, {"k": 0}, {"k": 1.5}, {"eta": -1.0}, {"rule": "both"}, {"side": ("top",)}, {"K": 0.5}],
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ProtocolError, match=next(iter(wrong))):
        gs.Protocol(**wrong)


def test_swept_settings_become_dims(geostat_run):
    run = gs.measure(
        geostat_run.base, geostat_run.checkpoints, matrices="attention", protocol="yu2026", progress=False
    )
    assert run.update_sparsity.dims == ("step", "matrix", "eta")
    assert run.principal_mask_overlap.dims == ("step", "matrix", "alpha", "eta")
    assert run.mean_principal_sine.dims == ("step", "matrix", "k", "side")
    assert run.k_used.dims == ("matrix", "k")
    assert run.k_used.values[0].tolist() == [1, 2, 3, 6]  # 1, 5, 10 and 20% of 32
    assert (run.update_sparsity.sel(eta=0.0) <= run.update_sparsity.sel(eta=1e-5)).all()
    assert run.update_sparsity.attrs["weighting"] == "both"
    assert swept_fields(gs.DIAGNOSTICS["stable_rank"], gs.PROTOCOLS["yu2026"]) == ()
    with pytest.raises(gs.errors.GeostatError, match="weighting"):
        gs.mean_ci(run.update_sparsity)


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ({"eta": 0}, {"eta": 0.0}),
        ({"eta": -0.0}, {"eta": 0.0}),
        ({"eta": [0, 1e-5]}, {"eta": (0.0, 1e-5)}),
        ({"alpha": [0.3, 0.5]}, {"alpha": (0.3, 0.5)}),
        ({"alpha": np.float64(0.25)}, {"alpha": 0.25}),
        ({"k": np.int64(8), "K": np.int32(4)}, {"k": 8, "K": 4}),
        ({"side": ["left"], "energy_k": [4, np.int64(8)]}, {"side": ("left",), "energy_k": (4, 8)}),
    ],
)
def test_settings_that_mean_the_same_have_one_hash(one, same):
    first, second = gs.Protocol(**one), gs.Protocol(**same)
    assert first.hash == second.hash
    assert first == second
    assert first.to_json() == second.to_json()


def test_a_count_of_one_and_the_whole_share_stay_apart():
    assert gs.Protocol(k=1).hash != gs.Protocol(k=1.0).hash


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": True},
        {"K": True},
        {"energy_k": False},
        {"r": np.True_},
        {"eta": True},
        {"eta": float("inf")},
        {"eta": float("nan")},
        {"alpha": 2},
        {"alpha": []},
        {"space": "fp32"},
        {"rule": ["relative", "rel"]},
        {"matrices": 5},
        {"sparsity_weighting": "both "},
    ],
)
def test_booleans_misspellings_and_empty_sweeps_are_refused(wrong):
    with pytest.raises(ProtocolError, match=rf"protocol 'mine': {next(iter(wrong))}=.*Pass "):
        gs.Protocol(name="mine", **wrong)


def test_a_setting_is_checked_by_the_rule_of_its_field():
    check_setting("side", "right")
    check_setting("hill_k", 0.1)
    with pytest.raises(ProtocolError, match=r"side='rigth' means nothing\. Pass 'left' or 'right'"):
        check_setting("side", "rigth")
    with pytest.raises(ProtocolError, match=r"no setting 'sides'.*side"):
        check_setting("sides", "left")
