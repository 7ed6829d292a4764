"""The declared questions: correlations over recipes and rates of one seed, and disturbed twins against free ones."""

import numpy as np
import pytest
import xarray as xr

from geostat.errors import SampleError
from geostat.lab.questions import INTERVENTION, PREDICTION, correlations, interventions, prediction
from geostat.lab.sufficiency_result import Sufficiency

CELLS = tuple("abcdefghi")


def runs(seeds=5, effect=1.0, by_displacement=0.0):
    """Runs whose accuracy follows early capture beyond the inputs', or their displacement."""
    rng = np.random.default_rng(0)
    labels = [(cell, seed) for seed in range(seeds) for cell in CELLS]
    n = len(labels)
    inputs, excess, moved = rng.normal(size=(3, n))
    excess = excess + by_displacement * moved
    accuracy = effect * excess + 5 * by_displacement * moved + 0.01 * rng.normal(size=n)
    steps = np.array([10, 20, 30])

    def at_every_step(values):
        """Right at the second checkpoint, a fifth of training, and nonsense at the others."""
        return np.stack([np.full(n, 7.0), values, -values], 1)[:, :, None] * np.ones(2)

    both = np.stack([np.zeros((n, 3, 2)), at_every_step(inputs + excess)], -1)
    return xr.Dataset(
        {
            "future_capture": (("run", "step", "matrix", "side"), both),
            "future_capture_activations": (("run", "step", "matrix"), at_every_step(inputs)),
            "relative_update_norm": (("run", "step", "matrix"), np.exp(at_every_step(moved))),
            "accuracy": ("run", accuracy),
        },
        {
            "run": [f"{cell}-{seed}" for cell, seed in labels],
            "recipe": ("run", [cell for cell, _ in labels]),
            "seed": ("run", [seed for _, seed in labels]),
            "step": steps,
            "progress": (("run", "step"), np.tile(steps / 100, (n, 1))),
            "side": ["left", "right"],
            "matrix": ["m", "n"],
        },
    )


def test_accuracy_that_follows_the_excess_is_found_and_nothing_else():
    found = prediction(runs())
    excess = found["correlation_of_capture_excess"]
    assert excess.estimate.item() == pytest.approx(1.0, abs=1e-3)
    assert found["correlation_of_capture_excess_given_displacement"].estimate.item() == pytest.approx(
        1.0, abs=1e-3
    )
    inputs = found["correlation_of_activation_capture"]
    assert inputs.low.item() < 0 < inputs.high.item()
    assert PREDICTION.hash[:8] in str(excess.settings) or excess.to_json().count(PREDICTION.hash)


def test_correlations_are_partial_where_they_say_so():
    data = runs(effect=0.3, by_displacement=0.4)
    found = correlations(data)
    first = data.isel(run=np.flatnonzero(data["seed"].values == 0), step=1, matrix=0)
    excess = first["future_capture"].sel(side="right") - first["future_capture_activations"]
    moved = np.log(first["relative_update_norm"])
    ab, ac, bc = (
        np.corrcoef(*pair)[0, 1]
        for pair in ((excess, first["accuracy"]), (excess, moved), (first["accuracy"], moved))
    )
    assert float(found["correlation_of_capture_excess"][0]) == pytest.approx(ab)
    partial = (ab - ac * bc) / np.sqrt((1 - ac**2) * (1 - bc**2))
    assert float(found["correlation_of_capture_excess_given_displacement"][0]) == pytest.approx(partial)


def test_displacement_that_explains_both_leaves_nothing_to_the_excess():
    found = prediction(runs(seeds=8, effect=0.0, by_displacement=1.0))
    assert found["correlation_of_capture_excess"].low.item() > 0
    given = found["correlation_of_capture_excess_given_displacement"]
    assert given.low.item() < 0 < given.high.item()


def test_seeds_without_some_recipe_are_refused():
    data = runs()
    with pytest.raises(SampleError, match="Train what is missing"):
        correlations(data.isel(run=slice(0, -1)))


def test_disturbed_twins_are_compared_with_free_ones_of_their_seed():
    rng = np.random.default_rng(0)
    arms = ("free", "reopened-16", "noise_inside-16", "noise_outside-16")
    shared = 0.2 + 0.1 * rng.standard_normal((6, 1))
    gains = shared + np.array([0, 0, 0, -0.1]) + 0.002 * rng.standard_normal((6, 4))
    kinds = [name.split("-")[0] for name in arms]
    found = Sufficiency(
        xr.Dataset(
            {"gain": (("run", "arm"), gains, {"units": "1"})},
            {
                "run": [f"opd-{i}" for i in range(6)],
                "recipe": ("run", ["opd"] * 6),
                "seed": ("run", list(range(6))),
                "arm": list(arms),
                "kind": ("arm", kinds),
                "K": ("arm", [0, 16, 16, 16]),
                "side": ("arm", ["right"] * 4),
                "project": ("arm", ["gradient"] * 4),
            },
        )
    )
    answers = dict(zip(INTERVENTION.analysis.contrasts, interventions(found, "opd"), strict=True))
    compared, same = answers["reopened-16", "free"]
    assert str(same.outcome.item()) == "equivalent"
    assert abs(compared.estimate.item()) < 0.005
    compared, same = answers["noise_outside-16", "noise_inside-16"]
    assert compared.high.item() < -0.09
    assert str(same.outcome.item()) == "different"
    with pytest.raises(SampleError, match="there is no recipe 'sft'"):
        interventions(found, "sft")
