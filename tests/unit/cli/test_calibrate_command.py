"""``geostat calibrate`` as a newcomer types it."""

import json

import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

from geostat.cli import main
from geostat.statistics.calibration.calibration import calibrate
from geostat.statistics.calibration.catalogue import SCENARIOS
from geostat.statistics.calibration.procedures import PROCEDURES
from geostat.statistics.calibration.words import calibration_sentence, calibration_table

SMALL = ("--n-rep", "40", "--seed", "0", "--no-progress")


def call(*words):
    return CliRunner().invoke(main, ["calibrate", *map(str, words)])


def test_it_prints_what_the_function_finds():
    found = call("mean_ci", "--scenario", "fixed_layers", "-T", 8, "-L", 144, "-S", 3, "--rho", 0.5, *SMALL)
    assert found.exit_code == 0, found.output
    expected = calibrate(
        "mean_ci", "fixed_layers", {"S": 3, "T": 8, "L": 144, "rho": 0.5}, n_rep=40, rng=0, progress=False
    )
    assert calibration_table(expected) in found.output
    assert calibration_sentence(expected) in " ".join(found.output.split())


def test_settings_given_twice_make_a_table():
    found = call("compare", "-S", 2, "-S", 3, "--set", "difference=0,2.5", *SMALL)
    assert found.exit_code == 0, found.output
    header, _, *lines = found.output.split("\n\n")[1].splitlines()
    assert header.split()[:2] == ["S", "difference"]
    assert [line.split()[:2] for line in lines] == [["2", "0"], ["2", "2.5"], ["3", "0"], ["3", "2.5"]]


def test_the_scenario_is_the_first_that_fits():
    assert "scenario two_recipes" in call("compare", *SMALL).output


def test_the_steps_of_the_user_are_one_study():
    found = call("band_entry", "--steps", "63,127,191,255,299", "-S", 5, *SMALL)
    assert found.exit_code == 0, found.output
    assert "steps" not in found.output.split("\n\n")[1]


def test_list_names_everything():
    text = call("--list").output
    for name in (*PROCEDURES, *SCENARIOS):
        assert name in text
    assert "layer_correlation=0.3" in text


def test_a_fresh_seed_is_told_and_gives_the_same_again():
    first = call("mean_ci", "-L", 4, "--n-rep", 20, "--no-progress").output
    seed = first.splitlines()[0].rsplit(" ", 1)[1]
    again = call("mean_ci", "-L", 4, "--n-rep", 20, "--no-progress", "--seed", seed).output
    assert first == again


@pytest.mark.parametrize("ending", ["zarr", "csv", "json"])
@pytest.mark.parametrize("several", [False, True])
def test_figures_are_written(tmp_path, ending, several):
    path = tmp_path / f"out.{ending}"
    grid = ("-S", 3, "-S", 4, "--set", "distribution=normal,t5") if several else ("-S", 3)
    found = call("mean_ci", "-L", 4, *grid, "-o", path, *SMALL)
    assert found.exit_code == 0, found.output
    cell = {"S": [3, 4], "distribution": ["normal", "t5"]} if several else {"S": 3}
    expected = calibrate("mean_ci", "fixed_layers", {"L": 4} | cell, n_rep=40, rng=0, progress=False)
    coverage = {
        "zarr": lambda: xr.open_zarr(path, consolidated=False).coverage.values.ravel().tolist(),
        "csv": lambda: pd.read_csv(path).coverage.tolist(),
        "json": lambda: [each["coverage"] for each in json.loads(path.read_text())["cells"]],
    }[ending]()
    assert coverage == expected.coverage.values.ravel().tolist()


def test_a_json_file_says_where_it_comes_from(tmp_path):
    call("mean_ci", "-L", 4, "-o", tmp_path / "out.json", *SMALL)
    attrs = json.loads((tmp_path / "out.json").read_text())["attrs"]
    assert (attrs["procedure"], attrs["seed"], attrs["n_rep"]) == ("mean_ci", 0, 40)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 2, "--list says which"),
        (("mean_cis",), 1, "There are: mean_ci"),
        (("mean_ci", "--scenario", "hinge"), 1, "Choose among: fixed_layers"),
        (("mean_ci", "--set", "foo=1"), 1, "no setting 'foo'"),
        (("mean_ci", "--set", "foo"), 2, "is not NAME=VALUE"),
        (("mean_ci", "--steps", "a,b"), 2, "no steps"),
        (("mean_ci", "--level", "95"), 1, "Did you mean 0.95"),
        (("mean_ci", "-o", "out.txt"), 2, "ends neither"),
        (("mean_ci", "--n-rep", "0"), 2, "n-rep"),
        (("mean_ci", "-S", "0"), 1, "S=0"),
        (("band_entry", "--steps", "5,3"), 1, "increasing order"),
        (("band_entry", "--rho", "2"), 1, "rho=2.0"),
    ],
)
def test_mistakes_are_told_without_a_traceback(words, code, told):
    found = call(*words)
    assert found.exit_code == code, found.output
    assert told in found.output


def test_nothing_is_overwritten(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("mine")
    found = call("mean_ci", "-o", path, *SMALL)
    assert found.exit_code == 2
    assert path.read_text() == "mine"


def test_an_impossible_place_is_told_before_anything_is_simulated(tmp_path):
    found = call("mean_ci", "-o", tmp_path / "nowhere" / "out.csv", *SMALL)
    assert found.exit_code != 0
    assert "no folder" in found.output
