"""What the inputs hold of an update, against plain linear algebra on the checkpoints."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from geostat.lab import load_checkpoint, train_runs
from geostat.lab.baselines import activation_baselines
from geostat.lab.directions import input_moments
from geostat.lab.laboratory import LABORATORY
from geostat.lab.recipe_study import recipe_study
from geostat.lab.recipes import Scale

K = 16
SHORT = Scale(
    "short",
    LABORATORY.pretraining.shortened(steps=4, batch=8),
    tuple(recipe.shortened(steps=6, batch=8) for recipe in LABORATORY.recipes),
    checkpoints=3,
    problems=32,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def runs(folder):
    return recipe_study(("opd", "continued_sft_lr3e-04"), out=folder, seeds=1, scale=SHORT, dtype="fp32")


def weights(folder, step, name="blocks.1.attention.value.weight"):
    return load_file(folder / "opd-0" / "fp32" / f"step-{step}" / "model.safetensors")[name].double()


def test_figures_are_those_of_the_leading_directions_of_the_inputs(folder, runs):
    moments = input_moments(load_checkpoint(folder / "opd-0" / "fp32" / "step-0"))
    inputs = torch.linalg.svd(moments["blocks.1.attention.value.weight"]).U[:, :K]
    start, first, second, end = (weights(folder, step) for step in (0, 2, 4, 6))
    found = runs.sel(run="opd-0", step=2, matrix="blocks.1.attention.value")

    def captured(increment):
        values = torch.linalg.svdvals(increment)
        held = float((increment @ inputs).square().sum() / increment.square().sum())
        best = float(values[:K].square().sum() / values.square().sum())
        return (held - K / 128) / (best - K / 128)

    def similar(update):
        right = torch.linalg.svd(update).Vh[:K]
        return float((right @ inputs).square().sum()) / K

    assert float(found["forward_capture_activations"]) == pytest.approx(captured(second - first), rel=1e-6)
    assert float(found["future_capture_activations"]) == pytest.approx(captured(end - first), rel=1e-6)
    assert float(found["similarity_to_end_activations"]) == pytest.approx(similar(end - start), rel=1e-6)
    assert float(found["lagged_similarity_activations"]) == pytest.approx(similar(second - start), rel=1e-6)
    assert float(found["past_next_similarity_activations"]) == pytest.approx(
        similar(second - first), rel=1e-6
    )
    assert float(found["activation_similarity"]) == pytest.approx(similar(first - start), rel=1e-6)
    assert float(found["lagged_similarity_haar"]) == K / 128


def test_every_capture_and_similarity_has_its_baselines(runs):
    names = [
        name for name in runs.data_vars if name.endswith(("_capture", "similarity", "similarity_to_end"))
    ]
    measured = [name for name in names if "side" in runs[name].dims]
    assert len(measured) == 5
    for name in measured:
        right = runs[name].sel(side="right", drop=True)
        assert (runs[f"{name}_activations"].notnull() == right.notnull()).all(), name
        assert f"{name}_haar" in runs


def test_recipes_at_another_rate_differ_in_it_alone(folder, runs):
    assert [float(each) for each in runs["accuracy_before"].values] == [float(runs["accuracy_before"][0])] * 2
    by_name = {recipe.name: recipe.training for recipe in LABORATORY.recipes}
    assert by_name["continued_sft_lr3e-04"].learning_rate == 3e-4
    assert by_name["continued_sft_lr3e-04"].steps == by_name["continued_sft"].steps
    assert len(by_name) == len(LABORATORY.recipes)


def test_both_storages_are_kept_and_agree_at_the_start(folder, runs):
    for dtype in ("bf16", "fp32"):
        assert (folder / "opd-0" / dtype / "step-6").is_dir()
    (branch,) = train_runs(folder, 1, ("opd",), scale=SHORT, dtypes=("bf16", "fp32"))
    stored = activation_baselines(branch, dtype="bf16")
    masters = activation_baselines(branch, dtype="fp32")
    np.testing.assert_allclose(
        stored["similarity_to_end_activations"], masters["similarity_to_end_activations"], atol=0.15
    )
