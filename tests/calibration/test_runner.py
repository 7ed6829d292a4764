"""The run of the full grid: what it writes, what it keeps, and when it fails."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from bars.bar import Bar, Number, Share
from loading import HERE, cell_text, collected
from records import (
    MEAN,
    MET,
    MISSED,
    REPORTED,
    WITHIN,
    Record,
    Shortfall,
    mean_record,
    outcome,
    read,
    record_of,
    unexplained,
    write,
)

DEMO = """
import time
from bars.bar import Bar, Number, Share

def heads(n_rep, rng, p=0.5, seconds=0.0, broken=False):
    time.sleep(seconds)
    if broken:
        raise ValueError("a measure that breaks")
    return Share(int((rng.random(n_rep) < p).sum()), n_rep)

def width(n_rep, rng, scale):
    values = scale * rng.random(n_rep)
    return Number(values.mean(), values.std() / n_rep**.5)

BARS = [
    Bar("fair", "1", heads, [{"p": 0.5}, {"p": 0.52}], [{"p": 0.5}], 400, at_least=0.4, at_most=0.6),
    Bar("narrow", "2", width, [{"scale": 1.0}], [{"scale": 1.0}], 100, at_most=0.7, quantity="width"),
    Bar("unfair coin", "2", heads, [{"p": 0.1}], [{"p": 0.1}], 300, at_most=0.2, control=True),
    Bar("looked at", "3", heads, [{"p": 0.3}], [{"p": 0.3}], 200, quantity="heads"),
]
"""


def share_bar(**bounds):
    return Bar("b", "1", lambda: Share(0, 1), [{"S": 2}, {"S": 3}], [{"S": 2}], 100, **bounds)


def record(value, cell="S=2", bar=None, error=0.01):
    return record_of(bar or share_bar(at_least=0.9), cell, Number(value, error), 100, 1.0)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the runner with bars of its own."""
    (tmp_path / "bars").mkdir()
    for name in ("run.py", "loading.py", "records.py", "shortfalls.toml", "bars/__init__.py", "bars/bar.py"):
        shutil.copy(HERE / name, tmp_path / name)
    (tmp_path / "shortfalls.toml").write_text("")
    (tmp_path / "bars" / "coins.py").write_text(DEMO)
    return tmp_path


def run(home, *words, **others):
    command = [sys.executable, home / "run.py", "--out", home / "out.csv", *words]
    return subprocess.run(command, capture_output=True, text=True, **others)


def values(path):
    return {(r.bar, r.cell): r.value for r in read(path)}


@pytest.mark.parametrize(
    ("value", "expected"), [(0.91, MET), (0.90, MET), (0.88, WITHIN), (0.86, MISSED), (float("nan"), MISSED)]
)
def test_what_lies_three_errors_outside_is_missed(value, expected):
    assert outcome(share_bar(at_least=0.9), Number(value, 0.01)) == expected


def test_without_a_bound_nothing_is_missed():
    assert outcome(share_bar(), Number(0.1, 0.01)) == REPORTED


def test_a_mean_shows_what_each_cell_hides_in_its_error():
    """Forty cells two errors below: each may be chance, all of them are not."""
    cells = [record(0.88)] * 40
    assert {each.outcome for each in cells} == {WITHIN}
    mean = mean_record(share_bar(at_least=0.9), cells)
    assert mean.error == pytest.approx(0.01 / 40**0.5, rel=1e-2)
    assert (mean.cell, mean.outcome) == (MEAN, MISSED)


def test_records_are_read_as_they_were_written(tmp_path):
    bounds = ({"at_least": 0.9}, {"at_most": 0.1}, {}, {"at_least": 0.93, "at_most": 0.97, "control": True})
    records = [record(0.123456, cell=f'a="x, {i}"', bar=share_bar(**each)) for i, each in enumerate(bounds)]
    write(tmp_path / "data" / "out.csv", records)
    assert read(tmp_path / "data" / "out.csv") == records
    assert read(tmp_path / "none.csv") == []


def test_a_shortfall_explains_the_cells_that_it_names():
    bar = share_bar(at_least=0.9)
    missed = [record(0.1, "S=2"), record(0.1, "S=3"), record(0.95, "S=3")]
    assert unexplained(missed, [bar], []) == missed[:2]
    assert unexplained(missed, [bar], [Shortfall("b", "why", ({"S": 3},))]) == missed[:1]
    assert unexplained(missed, [bar], [Shortfall("b", "why")]) == []
    assert unexplained(missed, [bar], [Shortfall("other", "why")]) == missed[:2]
    assert unexplained([record(0.1, MEAN)], [bar], [Shortfall("b", "why", ({"S": 3},))]) == []


def test_two_bars_of_one_name_are_refused():
    module = SimpleNamespace(__name__="m", BARS=[share_bar(), share_bar()])
    with pytest.raises(ValueError, match="two bars are called 'b'"):
        collected([module])


def test_a_cell_is_named_alike_in_any_order():
    assert cell_text({"b": 1, "a": 0.5}) == cell_text({"a": 0.5, "b": 1}) == "a=0.5, b=1"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_cell_is_written_with_its_bound_and_error(home, workers):
    found = run(home, "--workers", workers)
    assert found.returncode == 0, found.stderr
    records = read(home / "out.csv")
    assert [(r.bar, r.cell) for r in records] == [
        ("fair", "p=0.5"),
        ("fair", "p=0.52"),
        ("fair", MEAN),
        ("narrow", "scale=1.0"),
        ("unfair coin", "p=0.1"),
        ("looked at", "p=0.3"),
    ]
    fair = records[0]
    assert (fair.at_least, fair.at_most, fair.n_rep, fair.outcome) == (0.4, 0.6, 400, MET)
    assert fair.error == pytest.approx((fair.value * (1 - fair.value) / 400) ** 0.5, rel=0.01)
    assert records[4].control
    assert not (home / "out.csv.part").exists()


def test_the_number_of_workers_changes_no_figure(home):
    run(home, "--workers", "1")
    one = values(home / "out.csv")
    run(home, "--workers", "2")
    assert values(home / "out.csv") == one


def test_only_measures_those_bars_and_keeps_the_others(home):
    run(home, "--workers", "1")
    before = values(home / "out.csv")
    coins = home / "bars" / "coins.py"
    coins.write_text(DEMO.replace('"p": 0.3', '"p": 0.31').replace('"p": 0.1', '"p": 0.11'))
    assert run(home, "--workers", "1", "--only", "looked").returncode == 0
    after = values(home / "out.csv")
    assert ("looked at", "p=0.31") in after
    assert {key: value for key, value in after.items() if key[0] != "looked at"} == {
        key: value for key, value in before.items() if key[0] != "looked at"
    }
    assert run(home, "--only", "nothing").returncode != 0


def test_a_fraction_of_the_replicates_is_written_as_such(home):
    run(home, "--workers", "1", "--fraction", "0.1")
    assert [r.n_rep for r in read(home / "out.csv")][:3] == [40, 40, 40]


def test_a_killed_run_loses_nothing(home):
    slow = DEMO + (
        'BARS = [Bar("slow", "1", heads, [{"seconds": 0.3 + i / 1000} for i in range(12)], [{"seconds": 0.0}], 50)]\n'
    )
    (home / "bars" / "coins.py").write_text(slow)
    command = [sys.executable, home / "run.py", "--out", home / "out.csv", "--workers", "1"]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = home / "out.csv.part"
    for _ in range(600):
        if journal.exists() and len(journal.read_text().splitlines()) > 4:
            break
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    finished = len([line for line in journal.read_text().splitlines() if line.endswith("}")])
    assert 0 < finished < 12
    with journal.open("a") as file:
        file.write('\n{"digest": "torn')
    again = run(home, "--workers", "1")
    assert again.returncode == 0, again.stderr
    assert f"{finished} cells were finished before; {12 - finished} are left." in again.stdout
    assert len(read(home / "out.csv")) == 13


def test_figures_of_other_code_are_not_kept(home):
    run(home, "--workers", "1", "--only", "fair")
    line = '\n{"digest": "000000000000", "record": %s}\n'
    stale = (
        '{"bar": "narrow", "section": "2", "control": false, "quantity": "width", "cell": "scale=1.0", '
        '"value": 9.0, "error": 0.1, "at_least": null, "at_most": 0.7, "outcome": "met", "n_rep": 100, "seconds": 1.0}'
    )
    (home / "out.csv.part").write_text(line % stale)
    run(home, "--workers", "1")
    assert values(home / "out.csv")[("narrow", "scale=1.0")] < 1


def test_code_that_changes_meanwhile_is_told(home):
    """A measure that edits its own module stands for somebody at the keyboard."""
    edited = DEMO.replace("time.sleep(seconds)", "open(__file__, 'a').write('#')")
    (home / "bars" / "coins.py").write_text(edited)
    found = run(home, "--workers", "1")
    assert found.returncode == 2
    assert "changed meanwhile" in found.stderr


def test_a_missed_bar_fails_unless_its_reason_is_written_down(home):
    (home / "bars" / "coins.py").write_text(DEMO.replace("at_most=0.7", "at_most=0.3"))
    found = run(home, "--workers", "1")
    assert found.returncode == 1
    assert "missed without a reason in shortfalls.toml: narrow [scale=1.0]" in found.stdout
    (home / "shortfalls.toml").write_text(
        '[[shortfall]]\nbar = "narrow"\ncells = [{ scale = 1.0 }]\nreason = "The scale is one."\n'
    )
    assert run(home, "--workers", "1").returncode == 0


def test_a_control_that_does_not_fail_as_predicted_is_missed(home):
    (home / "bars" / "coins.py").write_text(DEMO.replace('[{"p": 0.1}], [{"p"', '[{"p": 0.5}], [{"p"'))
    assert run(home, "--workers", "1").returncode == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_measure_that_breaks_is_told_and_the_rest_is_kept(home, workers):
    (home / "bars" / "coins.py").write_text(DEMO.replace('{"p": 0.52}', '{"broken": True}'))
    found = run(home, "--workers", workers)
    assert found.returncode == 2
    assert "fair [broken=True] failed: a measure that breaks" in found.stderr
    assert not (home / "out.csv").exists()
    assert (home / "out.csv.part").read_text().count('"record"') == 4


def test_a_record_holds_what_the_docs_need():
    assert set(Record.__dataclass_fields__) >= {
        "bar",
        "section",
        "cell",
        "quantity",
        "value",
        "error",
        "n_rep",
    }
