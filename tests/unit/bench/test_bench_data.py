"""The table in the docs is what the command wrote, of every bar there is."""

import importlib.util
import re
from pathlib import Path

import pytest

from geostat.bench.catalogue import JOBS
from geostat.bench.table import COLUMNS

ROOT = Path(__file__).parents[3]
DATA = ROOT / "docs" / "data" / "bench.csv"
PAGE = ROOT / "docs" / "benchmarks.md"
AGAIN = "Run `geostat bench --nightly --csv docs/data/bench.csv`."
BOUNDS = ("at_least", "at_most", "goal", "error_bar")
BARS = {bar.name: (job, bar) for job in JOBS for bar in job.bars}


@pytest.fixture(scope="module")
def extension():
    spec = importlib.util.spec_from_file_location(
        "geostat_bench", ROOT / "docs" / "_ext" / "geostat_bench.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_bar_was_measured_and_none_beside(extension):
    records = extension.read(DATA)
    assert [record["measured"] for record in records] == list(BARS), AGAIN
    assert tuple(records[0]) == COLUMNS


def test_bounds_are_those_of_the_bars(extension):
    for record in extension.read(DATA):
        job, bar = BARS[record["measured"]]
        told = [float(record[name]) if record[name] else None for name in BOUNDS]
        assert told == [getattr(bar, name) for name in BOUNDS], f"{bar.name}: {AGAIN}"
        assert (record["job"], record["quantity"]) == (job.name, bar.quantity), AGAIN


def test_every_record_stands_in_one_table(extension):
    records = extension.read(DATA)
    tables = [extension.chosen(records, wanted) for wanted in ("bars", "tried")]
    assert all(tables)
    assert sorted(r["measured"] for table in tables for r in table) == sorted(BARS)
    assert {r["job"].split("-")[0] for r in tables[1]} == {"rotation", "refinement"}


def test_a_row_shows_its_record(extension):
    record = dict.fromkeys(COLUMNS, "") | {
        "measured": "speed",
        "naive_seconds": "2.123",
        "fast_seconds": "0.5",
        "quantity": "ratio",
        "value": "4.2468",
        "at_least": "4.0",
        "error": "1.5e-12",
        "error_bar": "1e-09",
        "outcome": "met",
    }
    row = extension.row(record)
    assert row == ["speed", "2.12", "0.5", "4.25 ratio", "≥ 4", "", "1.5e-12", "1e-09", "met"]
    absent = extension.row(record | {"value": "", "outcome": "skipped", "note": "no accelerator here"})
    assert (absent[3], absent[-1]) == ("", "not measured: no accelerator here")


def test_the_page_shows_the_file_and_no_figure_of_its_own():
    text = PAGE.read_text(encoding="utf-8")
    assert "```{bench-table} bars" in text
    assert "```{bench-table} tried" in text
    assert not re.search(r"\d\.\d|\d x\b(?! 4096)", text), "a figure is typed by hand"
    assert "|---" not in text
