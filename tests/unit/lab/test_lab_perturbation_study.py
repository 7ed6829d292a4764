"""The study of perturbations: measured runs with the labels of what was changed."""

import numpy as np
import pytest

from geostat.errors import ProtocolError, SampleError
from geostat.lab.laboratory import LABORATORY
from geostat.lab.measuring import measured_runs
from geostat.lab.perturbation_study import perturbation_study
from geostat.lab.recipe_study import recipe_study
from geostat.lab.recipes import Scale

SHORT = Scale(
    "short",
    LABORATORY.pretraining.shortened(steps=4, batch=8),
    tuple(recipe.shortened(steps=4, batch=8) for recipe in LABORATORY.recipes),
    checkpoints=2,
    problems=32,
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    names = ("opd_sampled", "opd_top25", "opd_off_policy", "opd_mixed5")
    return perturbation_study(names, out=tmp_path_factory.mktemp("study"), seeds=1, scale=SHORT)


def test_every_run_says_what_was_changed(runs):
    def of(name):
        return runs.sel(run=f"{name}-0")

    assert float(of("opd_mixed5")["opd_share"]) == 0.05
    assert np.isnan(float(of("opd_sampled")["opd_share"]))
    assert (float(of("opd_top25")["tokens_kept"]), str(of("opd_top25")["tokens_chosen"].item())) == (
        0.25,
        "top_kl",
    )
    assert str(of("opd_off_policy")["rollouts"].item()) == "teacher"
    assert float(of("opd_off_policy")["tokens_kept"]) == 1.0


def test_shares_of_the_objectives_are_not_confused_with_those_of_masks(runs):
    masks = runs["low_magnitude_mask_overlap"]
    assert set(masks["alpha"].values) == {0.3, 0.5}
    assert masks.sel(alpha=0.3).sizes["run"] == runs.sizes["run"]


def test_runs_are_measured_and_have_their_accuracies(runs):
    assert runs["stable_rank"].sel(step=4).notnull().all()
    assert runs["gain"].notnull().all()
    assert len(np.unique(runs["update_norm"].isel(step=-1, matrix=0))) == runs.sizes["run"]


def test_storages_that_cannot_be_measured_are_refused_before_training(tmp_path):
    with pytest.raises(ProtocolError, match=r"what is measured is bf16\. Add it"):
        perturbation_study(out=tmp_path / "out", dtypes=("fp32",), scale=SHORT)
    with pytest.raises(ProtocolError, match="'fp16'"):
        recipe_study(out=tmp_path / "out", dtype="fp16", scale=SHORT)
    assert not (tmp_path / "out").exists()


def test_a_study_of_which_no_run_is_left_says_what_to_do(tmp_path):
    with pytest.raises(SampleError, match=r"no run was left in .*all diverged\. Lower the learning rate"):
        measured_runs((), tmp_path / "stores-bf16")
