"""The figures in the docs are those that were measured, of every claim and cell there is."""

import importlib.util
import re

import pytest
from loading import HERE, ROOT, cell_text, load_bars
from records import MEAN, read, read_shortfalls, unexplained

DATA = ROOT / "docs" / "data" / "calibration.csv"
PAGE = ROOT / "docs" / "calibration.md"
AGAIN = "Run `tox -e calibration` and commit docs/data/calibration.csv."


@pytest.fixture(scope="module")
def extension():
    spec = importlib.util.spec_from_file_location(
        "geostat_calibration", ROOT / "docs" / "_ext" / "geostat_calibration.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_cell_of_every_bar_was_measured():
    expected = {(bar.name, cell_text(cell), bar.n_rep) for bar in load_bars() for cell in bar.cells}
    found = {(r.bar, r.cell, r.n_rep) for r in read(DATA) if r.cell != MEAN}
    assert sorted(expected - found) == [], f"not measured, or with fewer replicates. {AGAIN}"
    assert sorted(found - expected) == [], f"measured, but no longer claimed. {AGAIN}"


def test_bounds_are_those_of_the_bars():
    bars = {bar.name: bar for bar in load_bars()}
    for record in read(DATA):
        bar = bars[record.bar]
        told = (record.section, record.control, record.quantity, record.at_least, record.at_most)
        assert told == (bar.section, bar.control, bar.quantity, bar.at_least, bar.at_most), (
            f"{bar.name}: {AGAIN}"
        )


def test_every_miss_has_its_reason():
    missed = unexplained(read(DATA), load_bars(), read_shortfalls(HERE / "shortfalls.toml"))
    assert [(r.bar, r.cell, r.value) for r in missed] == []


def test_every_shortfall_speaks_of_cells_that_there_are():
    bars = {bar.name: bar for bar in load_bars()}
    for shortfall in read_shortfalls(HERE / "shortfalls.toml"):
        assert shortfall.bar in bars
        assert shortfall.reason.endswith(".")
        entries = shortfall.cells or ({},)
        for entry in entries:
            cells = bars[shortfall.bar].cells
            assert any(all(cell.get(k) == v for k, v in entry.items()) for cell in cells), (
                shortfall.bar,
                entry,
            )


def test_the_page_shows_the_file_and_no_figure_of_its_own():
    text = PAGE.read_text(encoding="utf-8")
    tables = ("calibration-table} claim", "calibration-table} control", "calibration-table} reported")
    for directive in ("calibration-facts", *tables, "calibration-cells"):
        assert f"{{{directive}" in text
    assert not re.search(r"\.\d\d", text), "a figure is typed by hand"
    assert "|---" not in text


def test_the_table_follows_the_file(extension, tmp_path):
    """A figure that changes in the file changes in the table, and the worst cell is found."""
    path = tmp_path / "calibration.csv"
    header = "bar,section,control,quantity,cell,value,error,at_least,at_most,outcome,n_rep,seconds\n"
    lines = [
        "b,1,False,coverage,S=2,0.951,0.005,0.93,0.97,met,2000,1.0",
        "b,1,False,coverage,S=3,0.921,0.006,0.93,0.97,within error,2000,2.0",
        f"b,1,False,coverage,{MEAN},0.936,0.004,0.93,0.97,met,2000,3.0",
    ]
    path.write_text(header + "\n".join(lines) + "\n")
    (own,) = extension.bars(extension.read(path))
    row = extension.summary_row(own, [])
    assert "0.921 ± 0.006 (S=3)" in row
    assert "0.936 ± 0.004" in row
    assert row[-1] == "met in 1 of 2 cells; met up to Monte Carlo error in 1 of 2 cells"
    path.write_text(
        (header + "\n".join(lines) + "\n").replace("0.921", "0.811").replace("within error", "missed")
    )
    (own,) = extension.bars(extension.read(path))
    row = extension.summary_row(own, ["Runs are few."])
    assert "0.811 ± 0.006 (S=3)" in row
    assert row[-1] == "met in 1 of 2 cells; not met in 1 of 2 cells. Runs are few."


def test_every_bar_of_the_file_has_its_row(extension):
    row_of = {"reported": extension.reported_row}
    rows = [
        row_of.get(extension.kind(own), lambda own: extension.summary_row(own, []))(own)
        for own in extension.bars(extension.read(DATA))
    ]
    assert sorted(row[0] for row in rows) == sorted(bar.name for bar in load_bars())


def test_reasons_are_those_of_the_hand_written_file(extension):
    found = extension.reasons(HERE / "shortfalls.toml")
    expected = [each.reason for each in read_shortfalls(HERE / "shortfalls.toml")]
    assert sorted(reason for told in found.values() for reason in told) == sorted(expected)
    assert (
        ROOT / "docs" / ".." / HERE.relative_to(ROOT) / "shortfalls.toml"
        == ROOT / "docs" / extension.SHORTFALLS
    )
