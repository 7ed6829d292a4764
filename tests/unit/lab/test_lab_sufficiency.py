"""Functional sufficiency end to end on a few steps, and what its results say of figures that are known."""

import numpy as np
import pytest
import xarray as xr

from geostat.errors import GeostatWarning, ProtocolError, SampleError, StoreError
from geostat.lab import Arm, functional_sufficiency, train_runs, training
from geostat.lab.recipes import PRETRAINING, RECIPES, Scale
from geostat.lab.sufficiency_result import Sufficiency
from geostat.lab.sufficiency_table import keep_another_choice

SHORT = Scale(
    "short",
    PRETRAINING.shortened(steps=4, batch=8),
    tuple(recipe.shortened(steps=6, batch=4) for recipe in RECIPES.values()),
    checkpoints=2,
    problems=32,
)
FAST = 0.125
ARMS = (Arm("channel", 2), Arm("random", 2))


def quick(out, recipes=("opd",), **changes):
    return functional_sufficiency(
        recipes, out=out, **({"seeds": 2, "arms": ARMS, "scale": SHORT, "at": 0.5} | changes)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def found(folder):
    return quick(folder, ("opd", "continued_sft"))


def test_every_run_and_arm_is_there_with_its_labels(found):
    data = found.data
    assert [str(each) for each in data["arm"].values] == ["free", "channel-2", "random-2"]
    assert sorted(map(str, data["run"].values)) == ["continued_sft-0", "continued_sft-1", "opd-0", "opd-1"]
    assert data["accuracy"].notnull().all()
    assert (data["difference"].sel(arm="free") == 0).all()
    assert (data["kept"].sel(arm="channel-2") > data["kept"].sel(arm="random-2")).all()


def test_a_second_call_trains_nothing(folder, found):
    trained = []
    again = quick(folder, ("opd", "continued_sft"), progress=trained.append)
    assert trained == []
    xr.testing.assert_identical(again.data, found.data)


@pytest.mark.slow
def test_more_processes_change_nothing(found, tmp_path):
    two = quick(tmp_path, workers=2)
    xr.testing.assert_identical(two.data, found.data.isel(run=found.data["recipe"].values == "opd"))


def test_twins_come_back_from_a_file(found, tmp_path):
    found.write(tmp_path / "twins.csv")
    xr.testing.assert_identical(Sufficiency.read(tmp_path / "twins.csv").data, found.data)
    assert found.data["parted_at"].values.tolist() == [3] * 4
    (tmp_path / "other.csv").write_text("run,accuracy\nopd-0,high\n")
    with pytest.raises(SampleError, match=r"other\.csv was expected to hold twins"):
        Sufficiency.read(tmp_path / "other.csv")


def test_a_file_with_other_twins_is_put_aside_and_one_with_the_same_is_not(found, tmp_path):
    path = tmp_path / "twins.csv"
    assert keep_another_choice(found.data, path) is None
    Sufficiency(found.data.isel(run=[0], arm=[0, 1])).write(path)
    assert keep_another_choice(found.data, path) is None
    later = found.data.assign_coords(parted_at=("run", [4] * 4))
    others = (found.data.isel(run=[1, 2]), found.data.isel(arm=[0, 2]), later)
    asides = [keep_another_choice(other, written(found, path)) for other in others]
    assert [each.name for each in asides] == ["twins-1.csv", "twins-2.csv", "twins-3.csv"]
    assert not path.exists()


def written(found, path):
    found.write(path)
    return path


def test_a_folder_of_another_study_is_refused(folder, found):
    other = Scale("other", SHORT.pretraining, SHORT.recipes, checkpoints=3, problems=32)
    with pytest.raises(StoreError, match="holds a study with other settings"):
        quick(folder, scale=other)


def test_settings_that_mean_nothing_are_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(ProtocolError, match="share of training"):
        quick(tmp_path / "out", at=1.0)
    with pytest.raises(ProtocolError, match=r"opd-0 would part at step 6 of 6, where no step is left"):
        quick(tmp_path / "out", at=0.999)
    for changes in ({"seeds": 0}, {"recipes": ()}, {"workers": 0}, {"dtypes": "bf16"}):
        with pytest.raises(ProtocolError, match="asked for"):
            quick(tmp_path / "out", **changes)
    with pytest.raises(ProtocolError, match="'grpo' was asked for"):
        quick(tmp_path / "out", ("grpo",))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"arms": [Arm("random", 129)]}, r"random-129: .* have 128\. Take K up to 128"),
        ({"arms": [Arm("activations", 200)]}, "activations-200"),
        ({"arms": [Arm("complement", 128)]}, "below it for what is outside"),
        ({"arms": None, "K": (2, 256)}, "channel-256"),
        ({"arms": None, "K": 2.5}, "whole number"),
        ({"arms": None, "K": "16"}, "whole number"),
    ],
)
def test_more_directions_than_matrices_have_are_refused_before_anything_is_trained(tmp_path, changes, told):
    with pytest.raises(ProtocolError, match=told):
        quick(tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_a_run_that_diverges_is_left_out_and_the_others_go_on(tmp_path, monkeypatch):
    real = training._update

    def breaking(model, loss, optimizer, gradient_norm, step):
        broken = optimizer.param_groups[0]["lr"] == FAST
        real(model, loss * float("nan") if broken else loss, optimizer, gradient_norm, step)

    recipes = tuple(
        each.shortened(learning_rate=FAST) if each.name == "opd" else each for each in SHORT.recipes
    )
    scale = Scale("breaking", SHORT.pretraining, recipes, checkpoints=2, problems=32)
    monkeypatch.setattr(training, "_update", breaking)
    with pytest.warns(GeostatWarning, match=r"opd-0 is missing: the gradient.*diverged"):
        branches = train_runs(tmp_path / "runs", 1, ("opd", "continued_sft"), scale=scale)
    assert [branch.recipe for branch in branches] == ["continued_sft"]
    with pytest.warns(GeostatWarning, match="opd-0-at-3 is missing"):
        told = quick(tmp_path / "twins", ("opd", "continued_sft"), seeds=1, scale=scale)
    assert [str(each) for each in told.data["run"].values] == ["continued_sft-0"]
    with (
        pytest.warns(GeostatWarning),
        pytest.raises(SampleError, match=r"no run was left in .*Lower the learn"),
    ):
        quick(tmp_path / "twins", seeds=1, scale=scale)


def known(gains, arms=("free", "channel-2", "channel-16"), K=(0, 2, 16)):
    """A result whose gains are given, over (run, arm)."""
    gains = np.asarray(gains, dtype=float)
    half = len(gains) // 2
    both = ("run", "arm")
    attrs = {"units": "1"}
    return Sufficiency(
        xr.Dataset(
            {
                "gain": (both, gains, attrs),
                "difference": (both, gains - gains[:, :1], attrs),
                "retained": (both, gains / gains[:, :1], attrs),
            },
            {
                "run": [f"r{i}" for i in range(len(gains))],
                "recipe": ("run", ["opd"] * half + ["continued_sft"] * half),
                "seed": ("run", [*range(half), *range(half)]),
                "width": ("run", [128] * len(gains)),
                "arm": list(arms),
                "kind": ("arm", ["free" if k == 0 else "channel" for k in K]),
                "K": ("arm", list(K)),
                "side": ("arm", ["right"] * len(K)),
                "project": ("arm", ["gradient"] * len(K)),
            },
        )
    )


@pytest.fixture
def told():
    rng = np.random.default_rng(0)
    free = 0.2 + 0.03 * rng.standard_normal(10)
    share = np.stack(
        [np.ones(10), 0.5 + 0.02 * rng.standard_normal(10), 0.98 + 0.01 * rng.standard_normal(10)], 1
    )
    share[5:, 1] -= 0.2
    return known(free[:, None] * share)


def test_shares_and_differences_are_means_over_seeds(told):
    shares = told.retained()
    expected = told.data["retained"].isel(run=slice(0, 5)).sel(arm="channel-2").mean()
    assert float(shares.estimate.sel(recipe="opd", arm="channel-2")) == pytest.approx(float(expected))
    assert "free" not in [str(each) for each in shares.estimate["arm"].values]
    difference = told.differences()
    assert (
        float(difference.high.sel(recipe="opd", arm="channel-2"))
        < 0
        < float(-difference.low.sel(recipe="opd", arm="channel-2"))
    )


@pytest.mark.parametrize("share", [True, False])
def test_a_picture_has_a_row_for_each_arm_and_a_point_for_each_recipe(told, share):
    axes = told.plot(share=share)
    result = told.retained() if share else told.differences()
    arms = [text.get_text() for text in axes.get_yticklabels()]
    assert arms == [str(arm) for arm in result.estimate["arm"].values]
    points = {
        round(float(line.get_xdata()[0]), 9)
        for line in axes.lines
        if line.get_marker() != "None" and len(line.get_xdata())
    }
    assert points == {round(row["estimate"], 9) for row in result.rows()}
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["opd", "continued_sft"]


def test_equivalence_is_declared_for_each_recipe(told):
    outcome = {
        recipe: str(each.outcome.item())
        for recipe, each in told.equivalent("channel-16", margin=0.02).items()
    }
    assert outcome == {"opd": "equivalent", "continued_sft": "equivalent"}
    far = told.equivalent("channel-2", margin=0.02)
    assert str(far["opd"].outcome.item()) == "different"
    with pytest.raises(SampleError, match="there is no arm 'channel-3'"):
        told.equivalent("channel-3", margin=0.02)


def test_recipes_are_compared_by_seed(told):
    found = told.between("channel-2", "opd", "continued_sft")
    assert float(found.low) > 0.1
    assert float(found.estimate) == pytest.approx(0.2, abs=0.05)


def test_doses_run_from_the_smallest_channel_to_the_free_twin(told):
    found = told.doses("opd", margin=0.03)
    rows = found.rows()
    assert [row["K"] for row in rows] == [2.0, 16.0, 128.0]
    assert [row["verdict"] for row in rows][1:] == ["equivalent", "reference"]
    assert rows[0]["verdict"] != "equivalent"
    with pytest.raises(SampleError, match="no recipe 'sft'"):
        told.doses("sft", margin=0.03)
