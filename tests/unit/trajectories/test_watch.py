"""Checkpoints come and go: what is measured of them is what a measurement at leisure gives."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import geostat as gs
from geostat.errors import CheckpointError, JournalError, MissingTensorWarning, StoreError
from geostat.spec import Reason
from geostat.testing import assert_same_store, synthetic_run
from geostat.trajectories import plan, vectors, watch
from geostat.trajectories.watching import loop
from geostat.trajectories.watching.folder import WatchFolder, watch_path

STEPS = (10, 20, 30, 40)
FAST = {"interval": 0.02, "settle": 0.02, "progress": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return synthetic_run(tmp_path_factory.mktemp("run"), layers=1, rows=40, cols=48, steps=STEPS)


@pytest.fixture(scope="module")
def measured(run, tmp_path_factory):
    store = tmp_path_factory.mktemp("measured") / "run.zarr"
    gs.measure(run.base, run.checkpoints, store=store, vectors=True, progress=False)
    return store


@pytest.fixture
def appearing(tmp_path):
    folder = tmp_path / "training"
    folder.mkdir()
    return folder


def _arrive(run, folder, step, name=None):
    source = run.base.replace("base", f"step-{step}")
    shutil.copytree(source, folder / (name or f"step-{step}"))


def _bits(dataset, leaving=()):
    return {
        str(name): np.asarray(variable.values)
        for name, variable in dataset.variables.items()
        if name not in leaving and variable.dtype.kind in "fiu"
    }


def _same_bits(first, second, leaving=()):
    one, other = _bits(first, leaving), _bits(second, leaving)
    assert set(one) == set(other)
    return [name for name in one if one[name].tobytes() != other[name].tobytes()]


def _at(dataset, diagnostic):
    return dataset.reason.sel(diagnostic=diagnostic).values


def test_watching_gives_the_store_of_measuring_bit_for_bit(run, measured, appearing, tmp_path):
    for step in STEPS:
        _arrive(run, appearing, step)
    found = watch(
        run.base, appearing, store=tmp_path / "w.zarr", idle=0, settle=0, vectors=True, progress=False
    )
    expected = gs.open_trajectory(measured)
    assert _same_bits(found, expected) == []
    for matrix in expected.matrix.values:
        assert _same_bits(vectors(tmp_path / "w.zarr", matrix), vectors(measured, matrix)) == []


def test_a_watched_store_is_the_one_that_measuring_the_same_files_would_make(run, tmp_path):
    folder = run.base.removesuffix("/base")
    found = watch(run.base, folder, store=tmp_path / "w.zarr", idle=0, settle=0, progress=False)
    assert found.attrs["identity"] == plan(run.base, run.checkpoints).identity
    again = gs.measure(run.base, run.checkpoints, store=tmp_path / "w.zarr", progress=False)
    assert_same_store(found, again)


def test_deleting_each_checkpoint_after_its_turn_costs_only_future_capture(
    run, measured, appearing, tmp_path
):
    store = tmp_path / "w.zarr"
    for step in STEPS:
        _arrive(run, appearing, step)
        with pytest.raises(KeyboardInterrupt):
            _watch_until_measured(run, appearing, store, step)
        shutil.rmtree(appearing / f"step-{step}")
    _arrive(run, appearing, STEPS[-1])  # the end itself stays
    found = watch(run.base, appearing, store=store, idle=0, settle=0, progress=False)
    expected = gs.open_trajectory(measured)
    assert _same_bits(found, expected, {"future_capture", "reason", "method", "residual"}) == []
    earlier = _at(found, "future_capture")[:-2]
    assert (earlier == Reason.checkpoint_deleted.value).all()
    assert (_at(found, "future_capture")[-1] == Reason.no_later_checkpoint.value).all()
    assert found.attrs["identity"] != expected.attrs["identity"]
    assert gs.validate(found) == []


def _watch_until_measured(run, folder, store, step):
    """Watch, and press Ctrl-C as soon as a step is measured."""
    room = WatchFolder(watch_path(store))

    def sleep(_):
        if step in room.finished():
            raise KeyboardInterrupt
        time.sleep(0.01)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop.time, "sleep", sleep)
        watch(run.base, folder, store=store, progress=False, interval=0.01, settle=0)


def test_files_written_in_pieces_are_waited_for(run, measured, appearing, tmp_path):
    def write():
        for step in STEPS:
            content = Path(run.base.replace("base", f"step-{step}"), "model.safetensors").read_bytes()
            (appearing / f"step-{step}").mkdir()
            with open(appearing / f"step-{step}" / "model.safetensors", "wb") as stream:
                for start in range(0, len(content), 1 + len(content) // 4):
                    stream.write(content[start : start + 1 + len(content) // 4])
                    stream.flush()
                    time.sleep(0.04)

    writer = threading.Thread(target=write)
    writer.start()
    found = watch(run.base, appearing, store=tmp_path / "w.zarr", until=40, **FAST)
    writer.join()
    assert _same_bits(found, gs.open_trajectory(measured)) == []


def test_temporary_names_are_not_looked_at(run, appearing, tmp_path):
    _arrive(run, appearing, 10)
    for name in ("tmp-checkpoint-20", ".step-20", "step-20.tmp", "tmp_step-20", "_step-20"):
        _arrive(run, appearing, 20, name)
    found = watch(run.base, appearing, store=tmp_path / "w.zarr", idle=0, settle=0, progress=False)
    assert list(found.step.values) == [10]


def test_an_index_waits_for_its_last_shard(run, appearing, tmp_path, capsys):
    weights = load_file(run.base.replace("base", "step-10") + "/model.safetensors")
    names = sorted(weights)
    folder = appearing / "step-10"
    folder.mkdir()
    shards = {"model-00001-of-00002.safetensors": names[:2], "model-00002-of-00002.safetensors": names[2:]}
    index = {"weight_map": {name: shard for shard, held in shards.items() for name in held}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    first, second = shards

    def write():
        save_file({name: weights[name] for name in shards[first]}, folder / first)
        time.sleep(0.3)
        save_file({name: weights[name] for name in shards[second]}, folder / second)

    writer = threading.Thread(target=write)
    writer.start()
    found = watch(run.base, appearing, store=tmp_path / "w.zarr", until=10, interval=0.02, settle=0.02)
    writer.join()
    assert found.sizes["matrix"] == 4
    assert f"waiting for step 10: model.safetensors.index.json names '{second}'" in capsys.readouterr().err


def test_an_archive_of_torch_waits_for_its_end(run, appearing, tmp_path):
    weights = load_file(run.base.replace("base", "step-10") + "/model.safetensors")
    torch.save(weights, tmp_path / "whole.pt")
    content = (tmp_path / "whole.pt").read_bytes()

    def write():
        with open(appearing / "step-10.pt", "wb") as stream:
            stream.write(content[: len(content) // 2])
            stream.flush()
            time.sleep(0.2)
            stream.write(content[len(content) // 2 :])

    writer = threading.Thread(target=write)
    writer.start()
    found = watch(run.base, appearing, store=tmp_path / "w.zarr", until=10, **FAST)
    writer.join()
    expected = gs.measure(run.base, {10: weights}, progress=False)
    np.testing.assert_array_equal(found.stable_rank, expected.stable_rank)


def test_an_unfinished_watch_can_be_opened_and_says_what_it_waits_for(run, appearing, tmp_path):
    store = tmp_path / "w.zarr"
    for step in STEPS[:2]:
        _arrive(run, appearing, step)
    with pytest.raises(KeyboardInterrupt):
        _watch_until_measured(run, appearing, store, 20)
    found = gs.open_trajectory(store)
    assert found.attrs["complete"] == 0
    assert list(found.step.values) == [10, 20]
    assert found.stable_rank.notnull().all()
    assert (_at(found, "similarity_to_end") == Reason.not_known_yet.value).all()
    assert (_at(found, "forward_capture")[0] == Reason.defined.value).all()
    assert gs.validate(found) == ["the measurement is not finished"]


def test_copies_are_kept_for_one_horizon_only(run, appearing, tmp_path):
    store = tmp_path / "w.zarr"
    for step in STEPS:
        _arrive(run, appearing, step)
    with pytest.raises(KeyboardInterrupt):
        _watch_until_measured(run, appearing, store, 40)
    folder = watch_path(store)
    assert sorted({path.parent.name for path in folder.glob("*/*.copy")}) == ["step-40"]


def test_a_checkpoint_that_cannot_be_measured_is_left_out_and_the_others_are_not(
    run, appearing, tmp_path, capsys
):
    for step in (10, 30):
        _arrive(run, appearing, step)
    weights = load_file(appearing / "step-10" / "model.safetensors")
    name = sorted(weights)[0]
    weights[name] = weights[name].clone().fill_(float("nan"))
    (appearing / "step-20").mkdir()
    save_file(weights, appearing / "step-20" / "model.safetensors")
    found = watch(run.base, appearing, store=tmp_path / "w.zarr", idle=0, settle=0)
    assert list(found.step.values) == [10, 30]
    assert "step 20 is left out: matrix" in capsys.readouterr().err


def test_a_checkpoint_deleted_before_its_turn_is_reported(run, appearing, tmp_path, capsys):
    _arrive(run, appearing, 10)
    _arrive(run, appearing, 20)
    original = loop.measure_arrival

    def delete_the_next(*arguments):
        shutil.rmtree(appearing / "step-20", ignore_errors=True)
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "measure_arrival", delete_the_next)
        found = watch(run.base, appearing, store=tmp_path / "w.zarr", idle=0, settle=0)
    assert list(found.step.values) == [10]
    assert "step 20 was deleted before it was measured" in capsys.readouterr().err


def test_a_checkpoint_that_appears_after_a_later_one_is_named_once(run, appearing, tmp_path, capsys):
    _arrive(run, appearing, 20)
    with pytest.raises(KeyboardInterrupt):
        _watch_until_measured(run, appearing, tmp_path / "w.zarr", 20)
    _arrive(run, appearing, 10)
    _arrive(run, appearing, 30)
    found = watch(run.base, appearing, store=tmp_path / "w.zarr", idle=0.1, interval=0.02, settle=0)
    assert list(found.step.values) == [20, 30]
    told = capsys.readouterr().err
    assert told.count("is left out") == 1
    assert "step 10 is left out: a later one is measured already" in told


def test_a_store_written_meanwhile_is_not_replaced_by_the_watch(run, appearing, tmp_path, monkeypatch):
    _arrive(run, appearing, 10)
    store = tmp_path / "w.zarr"
    original = loop.measure_arrival

    def write_meanwhile(*arguments):
        if not store.exists():
            gs.measure(run.base, run.checkpoints, store=store, progress=False, diagnostics=["update_norm"])
        return original(*arguments)

    monkeypatch.setattr(loop, "measure_arrival", write_meanwhile)
    with pytest.raises(StoreError, match=r"not replaced.*kept in .*w\.zarr\.watch.*move that store away"):
        watch(run.base, appearing, store=store, idle=0, settle=0, progress=False)
    assert list(gs.open_trajectory(store).diagnostic.values) == ["update_norm"]
    shutil.move(store, tmp_path / "other.zarr")
    found = watch(run.base, appearing, store=store, idle=0, settle=0, progress=False)
    assert list(found.step.values) == [10]


def test_a_folder_that_cannot_be_made_or_locked_is_named_by_the_watch(run, appearing, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot make .*Choose another place"):
        watch(run.base, appearing, store=tmp_path / "file" / "w.zarr", idle=0, progress=False)
    monkeypatch.setattr("filelock.FileLock._acquire", _without_locks)
    with pytest.raises(StoreError, match="cannot lock .*No locks available.*put the store elsewhere"):
        watch(run.base, appearing, store=tmp_path / "w.zarr", idle=0, progress=False)


def _without_locks(lock):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def test_a_watch_killed_between_two_matrices_goes_on_in_the_same_bits(run, measured, appearing, tmp_path):
    for step in STEPS:
        _arrive(run, appearing, step)
    original, calls = loop.measure_arrival, []

    def die(arrival, ref, *rest):
        calls.append(ref.name)
        if len(calls) in (3, 9):
            raise SystemExit  # no handler of the watch sees it, as it sees no kill
        return original(arrival, ref, *rest)

    store = tmp_path / "w.zarr"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "measure_arrival", die)
        for _ in range(2):
            with pytest.raises(SystemExit):
                watch(run.base, appearing, store=store, idle=0, settle=0, progress=False)
    found = watch(run.base, appearing, store=store, idle=0, settle=0, progress=False)
    assert _same_bits(found, gs.open_trajectory(measured)) == []


def test_a_watch_that_the_system_kills_goes_on_in_the_same_bits(run, measured, appearing, tmp_path):
    for step in STEPS:
        _arrive(run, appearing, step)
    store = tmp_path / "w.zarr"
    call = f"watch({run.base!r}, {str(appearing)!r}, store={str(store)!r}, until=40, settle=0, vectors=True)"
    killed = subprocess.Popen([sys.executable, "-c", f"from geostat.trajectories import watch; {call}"])
    while killed.poll() is None and len(list(watch_path(store).glob("step-*/*.record"))) < 6:
        time.sleep(0.002)
    killed.kill()
    killed.wait()
    assert len(list(watch_path(store).glob("step-*/*.record"))) >= 6  # killed before it was sealed
    found = watch(run.base, appearing, store=store, idle=0, settle=0, vectors=True, progress=False)
    assert _same_bits(found, gs.open_trajectory(measured)) == []


def test_uneven_steps_leave_look_ahead_undefined_as_measuring_does(run, appearing, tmp_path):
    for step in (10, 20, 40):
        _arrive(run, appearing, step)
    found = watch(run.base, appearing, store=tmp_path / "w.zarr", idle=0, settle=0, progress=False)
    expected = gs.measure(run.base, str(appearing / "step-*"), store=tmp_path / "m.zarr", progress=False)
    assert _same_bits(found, expected) == []
    assert (_at(found, "forward_capture")[0] == Reason.uneven_steps.value).all()


@pytest.mark.parametrize("horizon", [20, 30])
def test_a_declared_horizon_reaches_over_checkpoints_between(run, appearing, tmp_path, horizon):
    for step in STEPS:
        _arrive(run, appearing, step)
    settings = {"protocol": gs.PROTOCOLS["shen2026"].replace(horizon=horizon), "progress": False}
    found = watch(run.base, appearing, store=tmp_path / "w.zarr", idle=0, settle=0, **settings)
    expected = gs.measure(run.base, run.checkpoints, store=tmp_path / "m.zarr", **settings)
    assert _same_bits(found, expected) == []


@pytest.mark.parametrize("tier", ["elementwise", "top", "angles"])
def test_cheaper_tiers_are_watched_in_the_same_bits(run, tmp_path, tier):
    folder = run.base.removesuffix("/base")
    found = watch(run.base, folder, store=tmp_path / "w.zarr", idle=0, settle=0, tier=tier, progress=False)
    expected = gs.measure(run.base, run.checkpoints, store=tmp_path / "m.zarr", tier=tier, progress=False)
    assert _same_bits(found, expected) == []


def test_another_measurement_is_kept_out_of_the_folder(run, appearing, tmp_path):
    _arrive(run, appearing, 10)
    store = tmp_path / "w.zarr"
    with pytest.raises(KeyboardInterrupt):
        _watch_until_measured(run, appearing, store, 10)
    with pytest.raises(JournalError, match="another measurement: diagnostics, tier other than asked"):
        watch(run.base, appearing, store=store, idle=0, tier="top", progress=False)


def test_a_watch_without_checkpoints_makes_no_store(run, appearing, tmp_path):
    with pytest.raises(StoreError, match="no checkpoint of .* was measured"):
        watch(run.base, appearing, store=tmp_path / "w.zarr", idle=0.05, **FAST)
    assert not watch_path(tmp_path / "w.zarr").exists()


def test_a_watch_of_a_finished_run_measures_what_has_just_been_written(run, appearing, tmp_path):
    _arrive(run, appearing, 10)
    (appearing / "step-10" / "model.safetensors").touch()
    found = watch(
        run.base, appearing, store=tmp_path / "w.zarr", idle=0, settle=0.3, interval=0.02, progress=False
    )
    assert list(found.step.values) == [10]


def test_a_checkpoint_that_never_becomes_whole_is_passed_over(run, appearing, tmp_path, capsys):
    (appearing / "step-10").mkdir()
    (appearing / "step-10" / "model.safetensors").write_bytes(b"\x00\x00\x00")
    _arrive(run, appearing, 20)
    found = watch(run.base, appearing, store=tmp_path / "w.zarr", until=20, interval=0.02, settle=0.01)
    assert list(found.step.values) == [20]
    told = capsys.readouterr().err
    assert "waiting for step 10:" in told
    assert "step 10 is passed over:" in told


def test_a_base_that_cannot_be_read_ends_the_watch_at_once(run, appearing, tmp_path):
    _arrive(run, appearing, 10)
    with pytest.raises(CheckpointError, match="does not exist"):
        watch(tmp_path / "no", appearing, store=tmp_path / "w.zarr", idle=0, progress=False)


def test_a_choice_of_other_matrices_is_another_measurement(run, appearing, tmp_path):
    _arrive(run, appearing, 10)
    store = tmp_path / "w.zarr"
    with pytest.raises(KeyboardInterrupt):
        _watch_until_measured(run, appearing, store, 10)
    with pytest.raises(JournalError, match="another measurement: matrices other than asked"):
        watch(run.base, appearing, store=store, idle=0, matrices="*query*", progress=False)


def test_a_matrix_that_one_checkpoint_lacks_is_left_out_where_that_is_allowed(run, appearing, tmp_path):
    for step in (10, 20):
        _arrive(run, appearing, step)
    file = appearing / "step-20" / "model.safetensors"
    weights = load_file(file)
    del weights[sorted(weights)[0]]
    save_file(weights, file)
    with pytest.warns(MissingTensorWarning):
        found = watch(
            run.base, appearing, store=tmp_path / "w.zarr", idle=0, settle=0, strict=False, progress=False
        )
    assert found.sizes["matrix"] == 3
    with pytest.warns(MissingTensorWarning):
        expected = gs.measure(
            run.base, str(appearing / "step-*"), strict=False, store=tmp_path / "m.zarr", progress=False
        )
    assert _same_bits(found, expected) == []
    assert found.attrs["matrices_left_out"] == expected.attrs["matrices_left_out"]


def test_a_later_call_finds_its_plan_when_all_measured_checkpoints_are_gone(run, appearing, tmp_path):
    store = tmp_path / "w.zarr"
    for step in STEPS[:2]:
        _arrive(run, appearing, step)
    with pytest.raises(KeyboardInterrupt):
        _watch_until_measured(run, appearing, store, 20)
    for step in STEPS[:2]:
        shutil.rmtree(appearing / f"step-{step}")
    found = watch(run.base, appearing, store=store, idle=0, progress=False)
    assert list(found.step.values) == [10, 20]
    assert found.similarity_to_end.notnull().all()
