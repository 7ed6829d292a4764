"""``geostat bench`` runs what is asked for, and says by its exit code whether all bars are met."""

import csv
import json

import pytest
from click.testing import CliRunner

from geostat.bench import running
from geostat.bench.bars import Bar, Measured
from geostat.bench.catalogue import JOBS
from geostat.bench.running import chosen_jobs
from geostat.bench.settings import Job
from geostat.bench.table import COLUMNS
from geostat.cli import main
from geostat.errors import ProtocolError

QUICK, SLOW = Bar("quick", "ratio", at_least=2.0), Bar("slow", "ratio", at_least=2.0)


def job(bar, value, **more):
    return Job(bar.name, "for a test", (bar,), lambda settings: iter([(bar, Measured(value))]), **more)


@pytest.fixture
def two_jobs(monkeypatch):
    monkeypatch.setattr(running, "JOBS", (job(QUICK, 3.0), job(SLOW, 1.0, nightly=True)))


def call(*words):
    return CliRunner().invoke(main, ["bench", *map(str, words)])


@pytest.mark.usefixtures("two_jobs")
def test_a_missed_bar_is_an_exit_code():
    assert call().exit_code == 0
    found = call("--nightly")
    assert found.exit_code == 1
    assert "1 of 2 bars missed: slow." in found.output
    assert call("--nightly", "--no-strict").exit_code == 0


@pytest.mark.usefixtures("two_jobs")
def test_a_job_that_is_named_runs_by_day_too():
    assert call("--job", "slow").exit_code == 1
    assert [j.name for j in chosen_jobs()] == ["quick"]
    assert [j.name for j in chosen_jobs(["slow"])] == ["slow"]


@pytest.mark.usefixtures("two_jobs")
def test_files_hold_the_table(tmp_path):
    found = call("--csv", tmp_path / "t.csv", "--json", tmp_path / "t.json", "--nightly", "--no-strict")
    assert found.exit_code == 0, found.output
    with (tmp_path / "t.csv").open(newline="") as file:
        records = list(csv.DictReader(file))
    assert tuple(records[0]) == COLUMNS
    assert [(r["measured"], r["value"], r["outcome"]) for r in records] == [
        ("quick", "3.0", "met"),
        ("slow", "1.0", "missed"),
    ]
    written = json.loads((tmp_path / "t.json").read_text())
    assert [row["value"] for row in written["rows"]] == [3.0, 1.0]
    assert written["machine"]["torch"]


def test_an_unknown_job_names_those_that_there_are(tmp_path):
    with pytest.raises(ProtocolError, match="suite-1024"):
        chosen_jobs(["suit"])
    found = call("--job", "suit")
    assert found.exit_code == 1
    assert "accuracy" in found.output


def test_a_file_in_no_folder_is_refused_before_anything_is_measured(tmp_path):
    found = call("--csv", tmp_path / "nowhere" / "t.csv")
    assert found.exit_code == 2
    assert "no folder" in found.output


def test_list_names_every_job():
    text = call("--list").output
    assert [line.split()[0] for line in text.splitlines()] == [j.name for j in JOBS]


@pytest.mark.parametrize("name", ["import", "accelerator"])
def test_a_job_finds_something_for_each_of_its_bars(name):
    (found,) = chosen_jobs([name])
    rows = list(running.run_bench([name], repeats=1))
    assert [row.bar for row in rows] == list(found.bars)
    assert all(row.found.value is not None or row.found.note for row in rows)


def test_importing_geostat_loads_nothing_heavy():
    rows = {row.bar.name: row for row in running.run_bench(["import"], repeats=1)}
    assert rows["heavy libraries that import geostat loads"].outcome == "met"


@pytest.mark.usefixtures("two_jobs")
def test_rows_of_other_jobs_stay_in_the_file(tmp_path, monkeypatch):
    assert call("--csv", tmp_path / "t.csv", "--nightly", "--no-strict").exit_code == 0
    monkeypatch.setattr(running, "JOBS", (job(QUICK, 4.0), job(SLOW, 9.0, nightly=True)))
    assert call("--csv", tmp_path / "t.csv", "--job", "quick").exit_code == 0
    with (tmp_path / "t.csv").open(newline="") as file:
        found = {r["measured"]: float(r["value"]) for r in csv.DictReader(file)}
    assert found == {"quick": 4.0, "slow": 1.0}
