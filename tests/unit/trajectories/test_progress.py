"""What the bar says: by cost, so that it is right early although matrices differ a hundredfold."""

import sys
from dataclasses import dataclass

import pytest

from geostat.checkpoints import MatrixRef
from geostat.trajectories.engines.order import relative_cost
from geostat.trajectories.progress import followed

_SHAPES = [(1024, 128), (1024, 1024), (256, 256), (4096, 1024), (64, 64), (1024, 3072)] * 20


@dataclass
class _Stub:
    """What the bar needs of a plan and of a record."""

    steps: tuple[int, ...] = (1, 2)
    tier: str = "exact"
    matrix: str = ""


class _Clock:
    """Time that passes as work is done."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def _refs():
    return [MatrixRef(f"m{i}", f"t{i}", 0, "m", -1, rows, cols) for i, (rows, cols) in enumerate(_SHAPES)]


def _seconds(ref):
    """What a matrix takes: near its cost, not at it."""
    return 1e-6 * relative_cost(ref.rows, ref.cols, "exact") * (1.15 if ref.rows > ref.cols else 0.9)


@pytest.mark.parametrize("done", [0, 30])
def test_the_estimate_is_right_after_five_percent_of_the_work(monkeypatch, done):
    clock, bars = _Clock(), []
    progress = sys.modules["geostat.trajectories.progress"]
    original = progress.tqdm

    def kept(**settings):
        bars.append(original(**settings))
        return bars[-1]

    monkeypatch.setattr(progress, "tqdm", kept)
    refs = _refs()
    takes = sum(_seconds(ref) for ref in refs[done:])

    def work():
        for ref in refs[done:]:
            clock.now += _seconds(ref)
            yield _Stub(matrix=ref.name)

    checked, before = 0, 0.0
    for _ in followed(work(), refs, _Stub(), {ref.name for ref in refs[:done]}):
        state = bars[
            0
        ].format_dict  # of the moment before this record: the bar moves when the next is asked for
        finished = state["n"] - state["initial"]
        if before >= 0.05 * takes:
            told = before + before * (state["total"] - state["n"]) / finished
            assert told == pytest.approx(takes, rel=0.2)
            checked += 1
        before = clock.now
    assert checked > 10


def test_the_bar_counts_matrices(capsys):
    refs = _refs()[:3]
    records = [_Stub(matrix=ref.name) for ref in refs]
    list(followed(iter(records), refs, _Stub()))
    shown = capsys.readouterr().err
    assert "3/3 matrices" in shown
    assert "100%" in shown


def test_the_bar_is_silent_when_told(capsys):
    refs = _refs()[:3]
    records = [_Stub(matrix=ref.name) for ref in refs]
    assert list(followed(iter(records), refs, _Stub(), show=False)) == records
    assert capsys.readouterr().err == ""
