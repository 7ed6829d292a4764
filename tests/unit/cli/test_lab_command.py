"""``geostat lab``: both studies end to end on ten steps of each run."""

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from geostat.cli import main
from geostat.cli.lab import _compared, _followed, _told
from geostat.lab import Progress, Sufficiency, training
from geostat.lab.laboratory import LABORATORY
from geostat.lab.perturbations import PerturbedDistillation
from geostat.statistics import mean_ci

pytestmark = pytest.mark.filterwarnings("ignore::geostat.errors.GeostatWarning")  # ten steps gain nothing

QUICK = ["--quick", "--seeds", "2", "--workers", "1", "--no-progress", "--out"]


def test_sufficiency_is_trained_told_and_written(tmp_path):
    (tmp_path / "sufficiency.csv").write_text("of another choice\n")
    call = ["lab", "sufficiency", *QUICK, str(tmp_path), "--recipe", "opd", "--margin", "0.01"]
    said = CliRunner().invoke(main, call, catch_exceptions=False)
    assert said.exit_code == 0
    assert "opd, held in its channel of 16 directions" in said.output
    assert "(-0.01, 0.01)" in said.output
    assert "another choice of --at or --recipe: it is now sufficiency-1.csv" in said.output
    assert (tmp_path / "sufficiency-1.csv").read_text() == "of another choice\n"
    found = Sufficiency.read(tmp_path / "sufficiency.csv")
    assert [str(each) for each in found.data["run"].values] == ["opd-0", "opd-1"]


@pytest.mark.slow
def test_perturbations_are_trained_measured_and_compared(tmp_path):
    call = ["lab", "perturbations", *QUICK, str(tmp_path), "--recipe", "opd_random50"]
    said = CliRunner().invoke(main, call, catch_exceptions=False)
    assert said.exit_code == 0
    assert "opd_random50 against opd_sampled" in said.output
    stores = {path.name for path in (tmp_path / "stores-bf16").iterdir() if path.suffix == ".zarr"}
    assert stores == {f"{name}-{seed}.zarr" for name in ("opd_sampled", "opd_random50") for seed in (0, 1)}


def test_a_recipe_that_there_is_not_is_refused(tmp_path):
    said = CliRunner().invoke(main, ["lab", "sufficiency", *QUICK, str(tmp_path), "--recipe", "grpo"])
    assert said.exit_code == 1
    assert "'grpo' was asked for" in said.output


def gains(**seeds):
    """A figure of runs: the seeds that each recipe has."""
    runs = [(recipe, seed) for recipe, each in seeds.items() for seed in each]
    values = np.random.default_rng(0).normal(0.2, 0.01, len(runs))
    labels = {"recipe": ("run", [name for name, _ in runs]), "seed": ("run", [seed for _, seed in runs])}
    return xr.DataArray(values, dims="run", coords=labels, name="gain", attrs={"units": "1"})


def test_a_comparison_takes_the_seeds_that_both_have_and_says_which_are_left_out():
    told = _compared(gains(usual=range(5), changed=(0, 1, 3, 4)), "changed", "usual", 0.02)
    assert "changed against usual" in told
    assert told.endswith("Left out, without a partner: seeds 2 of usual.")
    assert "Left out" not in _compared(gains(usual=range(5), changed=range(5)), "changed", "usual", 0.02)


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        ({"usual": (0, 1)}, "no run of changed was left"),
        ({"changed": (0, 1)}, "no run of usual was left"),
        ({"usual": (0, 1), "changed": (2,)}, "no seed in common"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_a_line_and_no_end(seeds, told):
    found = _compared(gains(**seeds), "changed", "usual", 0.02)
    assert found.startswith("changed against usual: not compared.")
    assert told in found


@pytest.fixture
def diverging(monkeypatch):
    """Make the runs of one learning objective diverge, named by what is asked of it and in which run."""
    calls, real = {"count": 0, "lost": lambda count: False}, PerturbedDistillation.__call__

    def call(self, student, *asked):
        loss = real(self, student, *asked)
        calls["count"] += 1
        return loss * float("nan") if calls["lost"](calls["count"]) else loss

    monkeypatch.setattr(PerturbedDistillation, "__call__", call)
    return calls


@pytest.mark.slow
def test_a_lost_run_costs_its_own_comparison_one_seed_and_the_others_nothing(tmp_path, diverging):
    diverging["lost"] = lambda count: count == 1  # the first step of opd_random50-0
    recipes = ["--recipe", "opd_random50", "--recipe", "opd_random25"]
    said = CliRunner().invoke(
        main, ["lab", "perturbations", *QUICK, str(tmp_path), *recipes], catch_exceptions=False
    )
    assert said.exit_code == 0
    assert "opd_random50-0 is missing: the gradient" in said.output
    assert "Left out, without a partner: seeds 0 of opd_sampled." in said.output
    assert "opd_random25 against opd_sampled" in said.output


def test_a_lost_recipe_is_told_and_the_others_are_compared(tmp_path, diverging):
    diverging["lost"] = lambda count: (
        count <= 1 or count >= 12
    )  # opd_random50, one seed, then nothing else of its kind
    recipes = ["--recipe", "opd_random50"]
    call = ["lab", "perturbations", *QUICK, str(tmp_path), *recipes, "--seeds", "1"]
    said = CliRunner().invoke(main, call, catch_exceptions=False)
    assert said.exit_code == 0
    assert "opd_random50 against opd_sampled: not compared. no run of opd_random50 was left" in said.output


@pytest.mark.parametrize("command", ["sufficiency", "recipes", "perturbations"])
def test_a_study_of_which_no_run_is_left_says_what_to_do(tmp_path, monkeypatch, command):
    real = training._update

    def broken(model, loss, optimizer, gradient_norm, step):
        real(model, loss * float("nan"), optimizer, gradient_norm, step)

    monkeypatch.setattr(training, "_update", broken)
    call = ["lab", command, *QUICK, str(tmp_path), "--recipe", "opd", "--seeds", "1"]
    said = CliRunner().invoke(main, call, catch_exceptions=False)
    assert said.exit_code == 1
    assert "sft-0 is missing: its start base diverged" in said.output
    assert "no run was left" in said.output
    assert "Lower the learning rate" in said.output


def test_a_figure_without_runs_is_a_line_and_no_end():
    assert _told(lambda: mean_ci(gains(), dim=None)).startswith("No result: ")
    assert _told(lambda: mean_ci(gains(usual=(0, 1)), dim=None)).startswith("Mean over runs")


@pytest.mark.parametrize("command", ["sufficiency", "recipes", "perturbations"])
def test_help_names_every_recipe(command):
    said = " ".join(CliRunner().invoke(main, ["lab", command, "--help"]).output.split())
    assert all(f"{recipe.name}" in said for recipe in LABORATORY.recipes)
    assert "both studies" not in said
    assert ("--margin" in said) == (command != "recipes")


@pytest.mark.parametrize("asked", [["--seeds", "0"], ["--seeds", "-1"], ["--workers", "0"]])
def test_numbers_that_mean_nothing_are_refused(tmp_path, asked):
    said = CliRunner().invoke(main, ["lab", "recipes", "--out", str(tmp_path / "out"), *asked])
    assert said.exit_code == 2
    assert "x>=1" in said.output
    assert not (tmp_path / "out").exists()


def test_a_choice_that_leaves_no_step_or_no_folder_is_refused(tmp_path):
    said = CliRunner().invoke(main, ["lab", "sufficiency", *QUICK, str(tmp_path / "out"), "--at", "0.999"])
    assert (said.exit_code, "no step is left" in said.output) == (1, True)
    (tmp_path / "afile").write_text("")
    said = CliRunner().invoke(main, ["lab", "recipes", *QUICK, str(tmp_path / "afile")])
    assert (said.exit_code, "afile is a file" in said.output) == (1, True)


def test_the_bar_knows_all_steps_from_the_first_event_on(monkeypatch):
    class Bar:
        """What is asked of tqdm."""

        total = n = 0

        def __init__(self, **asked):
            bars.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *raised):
            return None

        def update(self, steps):
            self.n += steps

        def set_postfix_str(self, text):
            self.text = text

    bars = []
    monkeypatch.setattr("tqdm.tqdm", Bar)
    with _followed(True) as follow:
        follow(Progress("base", 1, 4, 10))
        assert bars[0].total == 10
        follow(Progress("sft-0", 1, 6, 10))
        assert (bars[0].total, bars[0].n) == (10, 2)
