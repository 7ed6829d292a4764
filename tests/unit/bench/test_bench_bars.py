"""When a bar is met, and how a line of the table reads."""

import pytest

from geostat.bench.bars import Bar, Measured, Row
from geostat.bench.catalogue import JOBS
from geostat.bench.clock import interleaved
from geostat.bench.table import COLUMNS, bench_table, record

FAST = Bar("speed", "ratio", at_least=2.0, goal=3.0, error_bar=1e-9)


@pytest.mark.parametrize(
    ("bar", "found", "outcome"),
    [
        (FAST, Measured(2.0, error=1e-9), "met"),
        (FAST, Measured(1.9, error=0.0), "missed"),
        (FAST, Measured(5.0, error=1e-8), "missed"),
        (FAST, Measured(5.0), "missed"),  # fast, and nobody knows how wrong
        (FAST, Measured(float("nan"), error=0.0), "missed"),
        (FAST, Measured(None, note="no accelerator here"), "skipped"),
        (Bar("error", "degree", at_most=1e-9), Measured(2e-9), "missed"),
        (Bar("error", "degree", at_most=1e-9), Measured(0.0), "met"),
        (Bar("seconds", "CPU-s"), Measured(4.0), "reported"),
    ],
)
def test_a_bar_is_met_where_value_and_error_keep_their_bounds(bar, found, outcome):
    assert Row("job", bar, found).outcome == outcome


def test_a_line_shows_what_was_found_beside_its_bounds():
    row = Row("job", FAST, Measured(2.5, 5.0, 2.0, 1e-12))
    line = bench_table([row]).splitlines()[1].split()
    assert line == ["speed", "5", "2", "2.5", "ratio", ">=", "2", "3", "1.0e-12", "1.0e-09", "met"]
    assert tuple(record(row)) == COLUMNS
    assert record(row)["outcome"] == "met"


def test_every_line_of_the_table_has_a_name_of_its_own():
    names = [bar.name for job in JOBS for bar in job.bars]
    assert len(names) == len(set(names))
    assert len({job.name for job in JOBS}) == len(JOBS)


def test_both_sides_are_called_in_turn():
    calls = []
    interleaved(lambda: calls.append("naive"), lambda: calls.append("fast"), 2, inner=3)
    assert calls == ["fast", *(["naive", "fast", "fast", "fast"] * 2)]
