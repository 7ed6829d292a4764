"""A measurement killed anywhere goes on where it was, and ends in the same store."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

import geostat as gs
from geostat.testing import assert_same_store, synthetic_run
from geostat.trajectories.engines import job as engines
from geostat.trajectories.journal import Journal, journal_path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return synthetic_run(tmp_path_factory.mktemp("killed"), layers=1, rows=16, cols=12, steps=(10, 20, 30))


@pytest.fixture(scope="module")
def undisturbed(run, tmp_path_factory):
    store = tmp_path_factory.mktemp("undisturbed") / "run.zarr"
    return gs.measure(run.base, run.checkpoints, store=store, progress=False)


def _measure(run, store):
    return gs.measure(run.base, run.checkpoints, store=store, progress=False)


def _renames_in_child(run, store, kill_at=None, before=True):
    """Measure in a forked child that SIGKILLs itself at its n-th rename; returns how many it made.

    While the store is sealed, aside, zarr renames hundreds of chunks: every fortieth of those counts.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        made = within = 0
        for name in ("replace", "rename"):
            original = getattr(os, name)

            def counted(source, target, original=original):
                nonlocal made, within
                if ".sealing" in str(target) and (within := within + 1) % 40:
                    return original(source, target)
                if before and made == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                original(source, target)
                made += 1
                if not before and made - 1 == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

            setattr(os, name, counted)
        try:
            _measure(run, store)
            os.write(writing, str(made).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as stream:
        text = stream.read()
    return int(text) if text else None


def _finished(run, store):
    folder = journal_path(store)
    if not (folder / "manifest.json").exists():
        return set()
    names = tuple(row["matrix"] for row in Journal(folder).content["description"]["matrices"])
    return Journal(folder).finished(names)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # Python 3.12 on
@pytest.mark.parametrize(
    "before", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["before", "after"]
)
def test_a_kill_at_every_rename_loses_no_finished_unit(run, undisturbed, tmp_path, before, monkeypatch):
    total = _renames_in_child(run, tmp_path / "whole.zarr")
    assert total is not None
    assert total >= 6  # manifest, four records, the store
    measured = []
    original = engines.measure_matrix

    def spy(plan, ref, checkpoints, device):
        measured.append(ref.name)
        return original(plan, ref, checkpoints, device)

    monkeypatch.setattr(engines, "measure_matrix", spy)
    for boundary in range(total):
        store = tmp_path / f"run-{boundary}.zarr"
        assert _renames_in_child(run, store, boundary, before) is None
        sealed, done = store.exists(), _finished(run, store)
        measured.clear()
        resumed = _measure(run, store)
        assert not set(measured) & done, "a finished unit was measured again"
        assert sealed or len(measured) + len(done) == 4
        assert_same_store(resumed, undisturbed)
        assert not journal_path(store).exists()
        assert not list(tmp_path.glob(f".run-{boundary}*"))


_SCRIPT = "import geostat as gs, sys; gs.measure(sys.argv[1], sys.argv[2], store=sys.argv[3], progress=False)"


def _kill_at_random_moments(run, undisturbed, tmp_path, times):
    rng = random.Random(20260101)
    store = tmp_path / "run.zarr"
    started = time.monotonic()
    command = [sys.executable, "-c", _SCRIPT, run.base, run.checkpoints, str(store)]
    subprocess.run(command, check=True)
    duration = time.monotonic() - started
    for attempt in range(times):
        store = tmp_path / f"run-{attempt}.zarr"
        process = subprocess.Popen([*command[:-1], str(store)])
        try:
            process.wait(rng.uniform(0.3, 1.0) * duration)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert_same_store(_measure(run, store), undisturbed)


@pytest.mark.slow
def test_three_kills_at_random_moments_end_in_the_same_store(run, undisturbed, tmp_path):
    _kill_at_random_moments(run, undisturbed, tmp_path, 3)


@pytest.mark.slow
def test_fifty_kills_at_random_moments_end_in_the_same_store(run, undisturbed, tmp_path):
    _kill_at_random_moments(run, undisturbed, tmp_path, 50)


def test_ctrl_c_keeps_what_was_finished(run, undisturbed, tmp_path, monkeypatch):
    original = engines.measure_matrix
    calls = []

    def interrupted(plan, ref, checkpoints, device):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(ref.name)
        return original(plan, ref, checkpoints, device)

    monkeypatch.setattr(engines, "measure_matrix", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _measure(run, tmp_path / "run.zarr")
    assert _finished(run, tmp_path / "run.zarr") == set(calls)
    so_far = gs.open_trajectory(tmp_path / "run.zarr")
    assert so_far.sizes["matrix"] == 2
    assert so_far.attrs["complete"] == 0
    monkeypatch.setattr(engines, "measure_matrix", original)
    assert_same_store(_measure(run, tmp_path / "run.zarr"), undisturbed)
