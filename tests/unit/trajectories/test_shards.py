"""Shares of one measurement: each measures its own, and all of them meet in one journal."""

import errno
import json
import os

import pytest
import torch

import geostat as gs
from geostat.errors import JournalError, ProtocolError, StoreError
from geostat.testing import assert_same_store, synthetic_run
from geostat.trajectories import journal_path
from geostat.trajectories.engines import job
from geostat.trajectories.journal import Journal
from geostat.trajectories.schema import describe
from geostat.trajectories.shards import Shard, owners


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return synthetic_run(tmp_path_factory.mktemp("shards"), layers=2, rows=16, cols=12, steps=(10, 20))


@pytest.fixture(scope="module")
def undisturbed(run, tmp_path_factory):
    return gs.measure(
        run.base, run.checkpoints, store=tmp_path_factory.mktemp("whole") / "run.zarr", progress=False
    )


def _measure(run, store, shard=None, **settings):
    return gs.measure(run.base, run.checkpoints, store=store, shard=shard, progress=False, **settings)


def test_shares_in_any_order_make_the_whole(run, undisturbed, tmp_path):
    store, seen = tmp_path / "run.zarr", []
    for text in ("3/3", "1/3", "2/3"):
        share = _measure(run, store, text)
        seen += [str(name) for name in share.matrix.values]
        missing = json.loads(share.attrs["missing"])
        assert not set(missing) & set(seen)
        assert not store.exists()
    assert missing == []
    assert sorted(seen) == sorted(map(str, undisturbed.matrix.values))
    assert_same_store(gs.seal(store), undisturbed)
    assert not journal_path(store).exists()
    assert_same_store(gs.seal(store), undisturbed)  # a second time there is nothing to do
    assert_same_store(_measure(run, store, "2/3"), undisturbed)


def test_a_missing_share_is_named(run, tmp_path):
    _measure(run, tmp_path / "run.zarr", "1/3")
    with pytest.raises(
        JournalError, match=r"5 of 8 matrices are not measured.*share 2/3 lacks 3; share 3/3 lacks 2"
    ):
        gs.seal(tmp_path / "run.zarr")
    with pytest.raises(StoreError, match="no journal"):
        gs.seal(tmp_path / "other.zarr")


def test_a_whole_measurement_takes_over_what_shares_have_done(run, undisturbed, tmp_path, monkeypatch):
    store = tmp_path / "run.zarr"
    done = {str(name) for name in _measure(run, store, "1/2").matrix.values}
    measured, original = [], job.measure_matrix

    def spy(plan, ref, checkpoints, device):
        measured.append(ref.name)
        return original(plan, ref, checkpoints, device)

    monkeypatch.setattr(job, "measure_matrix", spy)
    assert_same_store(_measure(run, store), undisturbed)
    assert set(measured) == {str(name) for name in undisturbed.matrix.values} - done


def test_a_share_goes_on_where_it_was(run, tmp_path, monkeypatch):
    store, original, measured = tmp_path / "run.zarr", job.measure_matrix, []

    def interrupted(plan, ref, checkpoints, device):
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(ref.name)
        return original(plan, ref, checkpoints, device)

    monkeypatch.setattr(job, "measure_matrix", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _measure(run, store, "1/2")
    monkeypatch.setattr(job, "measure_matrix", lambda *a: measured.append(a[1].name) or original(*a))
    assert _measure(run, store, "1/2").sizes["matrix"] == 4
    assert len(set(measured)) == len(measured) == 4
    _measure(run, store, "1/2", resume=False)
    assert len(measured) == 8


def test_starting_a_share_anew_keeps_the_others(run, undisturbed, tmp_path):
    store = tmp_path / "run.zarr"
    _measure(run, store, "1/2")
    _measure(run, store, "2/2", resume=False)
    assert_same_store(gs.seal(store), undisturbed)


def _held(run, store, shard):
    asked = gs.plan(run.base, run.checkpoints)
    return Journal.start(journal_path(store), asked, describe(asked), resume=True, shard=shard)


def test_shares_work_at_once_but_not_the_same_one_twice_nor_beside_the_whole(run, tmp_path):
    store = tmp_path / "run.zarr"
    first, second = (_held(run, store, Shard(i, 3)) for i in (1, 2))
    with pytest.raises(JournalError, match="the same share"):
        _held(run, store, Shard(1, 3))
    with pytest.raises(JournalError, match="another process measures"):
        _held(run, store, None)
    with pytest.raises(JournalError, match="another process measures"):
        gs.seal(store)
    first.release()
    second.release()
    whole = _held(run, store, None)
    whole.release()
    _held(run, store, Shard(1, 3)).release()


def test_shares_of_different_measurements_do_not_mix(run, tmp_path):
    store = tmp_path / "run.zarr"
    held = _held(run, store, Shard(1, 2))  # it has no record yet
    with pytest.raises(JournalError, match="another measurement: .*diagnostics"):
        _measure(run, store, "2/2", diagnostics=["update_norm"])
    with pytest.raises(
        JournalError, match="remove that folder, for all shares"
    ):  # its own records are too few
        _measure(run, store, "2/2", diagnostics=["update_norm"], resume=False)
    held.release()


def test_a_disk_without_locks_is_named(run, tmp_path, monkeypatch):
    def refuse(lock):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    store = tmp_path / "run.zarr"
    _measure(run, store, "1/2")
    monkeypatch.setattr("filelock.FileLock._acquire", refuse)
    for call in (lambda: gs.seal(store), lambda: _measure(run, store, "2/2"), lambda: _measure(run, store)):
        with pytest.raises(StoreError, match="cannot lock .*Read-only file system.*put the store elsewhere"):
            call()


def test_shares_of_a_plan_are_even():
    rows = [{"rows": m, "cols": n} for m, n in [(64, 64), (64, 32), (64, 32), (64, 64)] * 14]
    owner = owners(rows, "exact", 4)
    loads = [
        sum(r["rows"] * r["cols"] * min(r.values()) for r, o in zip(rows, owner, strict=True) if o == i)
        for i in (1, 2, 3, 4)
    ]
    assert max(loads) <= min(loads) * 1.15
    assert len(set(owner)) == 4


def test_a_share_is_written_as_index_of_count():
    assert Shard.parse("2/3") == Shard(2, 3)
    for text in ("0/3", "4/3", "2", "a/b", "-1/3", "1/0", 2):
        with pytest.raises(ProtocolError, match="i runs from 1 to n"):
            Shard.parse(text)


def test_a_share_needs_a_store():
    start, end = ({"blocks.0.attention.query.weight": c * torch.eye(3)} for c in (1, 2))
    with pytest.raises(ProtocolError, match="needs a store"):
        gs.measure(start, {1: end}, shard="1/2", progress=False)
