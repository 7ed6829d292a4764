"""The demonstration end to end, on a few training steps: real files, the public path, honest words."""

import hashlib
import json

import numpy as np
import pytest

import geostat as gs
from geostat.demo import run_demo
from geostat.demo.summary import _gains
from geostat.lab import RECIPES, Scale, load_teacher
from geostat.lab.recipes import PRETRAINING
from geostat.linalg import Method, Policy, using
from geostat.results import Result
from geostat.statistics import LockResult
from geostat.testing import assert_agrees_with_plain, assert_same_store

# a few steps reward nothing, so RLVR does not move: its seeds are equal and some cells undefined, of which is warned
pytestmark = pytest.mark.filterwarnings("ignore::geostat.errors.GeostatWarning")

TINY = Scale(
    "tiny",
    PRETRAINING.shortened(steps=4),
    tuple(RECIPES[name].shortened(steps=steps) for name, steps in {"sft": 9, "opd": 6, "rlvr": 6}.items()),
    checkpoints=3,
    problems=256,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def demo(folder):
    return run_demo(folder, seeds=2, workers=1, scale=TINY, progress=False)


def test_every_recipe_and_seed_is_measured(demo):
    assert [str(run) for run in demo.runs.run.values] == [
        "sft-0",
        "opd-0",
        "rlvr-0",
        "sft-1",
        "opd-1",
        "rlvr-1",
    ]
    assert demo.runs.sizes["matrix"] == 12
    assert demo.runs.update_sparsity.sel(recipe="sft", step=[3, 6, 9]).notnull().all()
    assert demo.runs.update_sparsity.sel(recipe="opd", step=[2, 4, 6]).notnull().all()


def test_what_it_says_it_wrote_is_there(demo):
    for path in demo.files.values():
        assert path.exists()
    assert demo.files["figure"].read_bytes()[:4] == b"\x89PNG"
    assert r"\begin{tabular}" in demo.files["table"].read_text()
    assert len(json.loads(demo.files["results"].read_text())) == len(demo.summary.results)


def test_table_numbers_are_those_of_the_stores(demo):
    per_run = demo.runs.stable_rank.sel(step=6).mean("matrix").sel(recipe="opd")
    log = np.log(per_run.values)
    half = 12.706204736174694 * log.std(ddof=1) / np.sqrt(2)  # t quantile with one degree of freedom
    result = next(r for r in demo.summary.results if "stable_rank" in r.variables)
    row = next(row for row in result.rows() if row["recipe"] == "opd")
    assert row["low"] == pytest.approx(np.exp(log.mean() - half))
    assert row["high"] == pytest.approx(np.exp(log.mean() + half))


def test_lock_outcomes_are_told_although_recipes_differ_in_length(demo):
    locks = next(result for result in demo.summary.results if isinstance(result, LockResult))
    outcomes = {row["recipe"]: row["outcome"] for row in locks.rows()}
    assert {"sft", "opd"} <= set(outcomes)
    assert outcomes["sft"] != "undefined"
    assert outcomes["opd"] != "undefined"


def test_a_second_call_trains_and_measures_nothing(demo, folder, monkeypatch):
    monkeypatch.setattr("geostat.lab.branches.train", None)
    monkeypatch.setattr("geostat.trajectories.engines.job.measure_matrix", None)
    again = run_demo(folder, seeds=2, workers=1, scale=TINY, progress=False)
    assert again.summary.paragraph == demo.summary.paragraph


def test_measuring_by_hand_gives_the_same_store(demo, folder, tmp_path):
    run = folder / "runs" / "opd-0" / "bf16"
    steps = [str(path) for path in run.iterdir() if path.name != "step-0"]
    by_hand = gs.measure(
        run / "step-0", steps, store=tmp_path / "run.zarr", matrices="linear", progress=False
    )
    assert_same_store(by_hand, gs.open_trajectory(folder / "stores" / "opd-0.zarr"))


@pytest.mark.parametrize("recipe", ["sft", "opd", "rlvr"])
def test_the_fast_path_gives_the_plain_paths_store(demo, folder, recipe):
    run = folder / "runs" / f"{recipe}-0" / "bf16"
    steps = [str(path) for path in run.iterdir() if path.name != "step-0"]
    with using(Policy(spectra="plain")):
        plain = gs.measure(run / "step-0", steps, matrices="linear", progress=False)
    assert (plain.method.sel(operand="updated") == Method.svd).all()
    fast = gs.open_trajectory(folder / "stores" / f"{recipe}-0.zarr")
    assert (fast.method.sel(operand="updated") == Method.tridiagonal).any()
    assert_agrees_with_plain(fast, plain)


def test_a_gain_within_noise_is_not_claimed():
    row = {"recipe": "rlvr", "estimate": 0.01, "low": -0.02, "high": 0.04}
    assert _gains([row], "Accuracy").endswith("[-0.020, +0.040] under rlvr; no change is claimed for rlvr.")
    assert "no change" not in _gains([{**row, "low": 0.005}], "Accuracy")
    single = _gains([{**row, "low": float("nan"), "high": float("nan")}], "Accuracy")
    assert single == "Accuracy changed by +0.010 under rlvr."


def test_paragraph_names_its_limits(demo):
    for words in ("does not show", "share a base", "bf16", "higher rate"):
        assert words in demo.summary.paragraph


@pytest.mark.slow
def test_a_retrained_teacher_is_kept_and_used(tmp_path, monkeypatch):
    trained = []

    def quick(*, on_step):
        trained.append(1)
        on_step(1600)
        return load_teacher()

    monkeypatch.setattr("geostat.demo.run.train_teacher", quick)
    for _ in range(2):
        run_demo(tmp_path, seeds=1, workers=1, scale=TINY, retrain_teacher=True, progress=False)
    assert trained == [1]
    made = json.loads((tmp_path / "runs" / "study.json").read_text())
    content = (tmp_path / "teacher.safetensors").read_bytes()
    assert made["teacher_sha256"] == hashlib.sha256(content).hexdigest()


def test_one_seed_gives_no_interval_and_says_so(folder):
    single = run_demo(folder, seeds=1, workers=1, scale=TINY, progress=False)
    assert "With one seed no interval over seeds exists" in single.summary.paragraph
    assert "cannot be tested" in single.summary.paragraph
    assert all(
        result.ci is None for result in single.summary.results if isinstance(result, Result) and result.level
    )
