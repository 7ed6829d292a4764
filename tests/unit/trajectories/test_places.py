"""Where stores may stand, and what is never overwritten."""

import os

import fsspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save, save_file

import geostat as gs
from geostat.errors import JournalError, ProtocolError, StoreError
from geostat.testing import synthetic_run
from geostat.trajectories import journal_path, vectors
from geostat.trajectories.engines import job as engines

NAME = "blocks.0.attention.query.weight"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return synthetic_run(tmp_path_factory.mktemp("places"), layers=1, rows=12, cols=8, steps=(1, 2))


def _measure(run, store, **settings):
    return gs.measure(
        run.base, run.checkpoints, store=store, **{"vectors": False, "progress": False, **settings}
    )


def test_a_folder_that_is_no_store_is_never_replaced(run, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").write_text("years")
    for resume in (True, False):
        with pytest.raises(StoreError, match="thesis"):
            _measure(run, tmp_path / "thesis", resume=resume)
    assert (tmp_path / "thesis" / "thesis.txt").read_text() == "years"


def test_a_file_is_never_replaced(run, tmp_path):
    (tmp_path / "file").write_text("data")
    with pytest.raises(StoreError):
        _measure(run, tmp_path / "file", resume=False)
    assert (tmp_path / "file").read_text() == "data"


def test_the_weights_are_never_replaced(tmp_path):
    run = synthetic_run(tmp_path / "run", layers=1, rows=12, cols=8, steps=(1, 2))
    for place in ("run", "run/base", "run/step-1"):
        with pytest.raises(StoreError):
            _measure(run, tmp_path / place, resume=False)
    assert gs.open_checkpoint(run.base)[NAME].shape == (12, 8)


def test_a_home_folder_is_expanded(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    _measure(run, "~/run.zarr")
    assert (tmp_path / "run.zarr" / "zarr.json").exists()
    assert gs.open_trajectory("~/run.zarr").sizes["matrix"] == 4


def test_a_url_is_refused_before_work(run, monkeypatch):
    monkeypatch.setattr("geostat.trajectories.engines.job.measure_matrix", None)
    for place in ("s3://bucket/run.zarr", "memory://run.zarr", 5):
        with pytest.raises(StoreError, match="local folder"):
            _measure(run, place)


def test_a_link_to_a_store_stays_a_link(run, tmp_path):
    _measure(run, tmp_path / "real.zarr")
    (tmp_path / "link.zarr").symlink_to(tmp_path / "real.zarr")
    _measure(run, tmp_path / "link.zarr", diagnostics=["update_norm"], resume=False)
    assert (tmp_path / "link.zarr").is_symlink()
    assert "stable_rank" not in gs.open_trajectory(tmp_path / "real.zarr")
    (tmp_path / "dangling.zarr").symlink_to(tmp_path / "elsewhere.zarr")
    _measure(run, tmp_path / "dangling.zarr")
    assert (tmp_path / "elsewhere.zarr").is_dir()


def test_a_refused_journal_does_not_stay_locked(run, tmp_path):
    store, caught = tmp_path / "run.zarr", []
    other = synthetic_run(tmp_path / "other", layers=1, rows=10, cols=8, steps=(1, 2))
    measured = _measure(other, None)
    assert measured.sizes["matrix"] == 4
    _interrupted(other, store)
    with pytest.raises(JournalError, match="another measurement: inputs .the files changed") as refused:
        _measure(run, store)
    caught.append(refused)  # as a notebook keeps the last traceback
    assert _measure(run, store, resume=False).sizes["matrix"] == 4


def _interrupted(run, store):
    """Leave a journal with one record behind."""
    original, calls = engines.measure_matrix, []

    def stopping(*arguments):
        if calls:
            raise KeyboardInterrupt
        calls.append(1)
        return original(*arguments)

    engines.measure_matrix = stopping
    try:
        with pytest.raises(KeyboardInterrupt):
            _measure(run, store)
    finally:
        engines.measure_matrix = original


def test_a_journal_without_records_blocks_nothing(run, tmp_path, monkeypatch):
    store = tmp_path / "run.zarr"

    def failing(*arguments):
        raise MemoryError

    monkeypatch.setattr("geostat.trajectories.engines.job.measure_matrix", failing)
    with pytest.raises(MemoryError):
        _measure(run, store)
    monkeypatch.undo()
    assert journal_path(store).exists()
    assert "update_norm" in _measure(run, store, diagnostics=["update_norm"])


def test_a_device_that_is_not_there_is_refused_before_work(run, tmp_path):
    for device in ("cuda:99", "nonsense"):
        with pytest.raises(ProtocolError, match="cannot compute in float64"):
            _measure(run, tmp_path / "run.zarr", device=device)
    assert not journal_path(tmp_path / "run.zarr").exists()


def test_a_store_of_another_measurement_says_what_differs(run, tmp_path):
    _measure(run, tmp_path / "run.zarr")
    with pytest.raises(StoreError, match="another measurement: protocol, diagnostics other than asked"):
        _measure(
            run,
            tmp_path / "run.zarr",
            diagnostics=["update_norm"],
            protocol="mukherjee2025",
            matrices="attention",
        )


def test_touched_weights_are_measured_anew_only_when_told(run, tmp_path):
    fresh = synthetic_run(tmp_path / "run", layers=1, rows=12, cols=8, steps=(1, 2))
    _measure(fresh, tmp_path / "run.zarr")
    os.utime(tmp_path / "run" / "step-1" / "model.safetensors", (1, 1))
    with pytest.raises(StoreError, match="another measurement: inputs .the files changed"):
        _measure(fresh, tmp_path / "run.zarr")


def test_names_that_look_alike_keep_their_own_vectors(tmp_path):
    generator = torch.Generator().manual_seed(0)
    names = ["a/b", "a|b", "..", "zarr.json", "x" * 300, "ü.ж", "a%2Fb"]
    start = {name: torch.randn(6, 5, generator=generator) for name in names}
    end = {name: weight + 0.1 * torch.randn(6, 5, generator=generator) for name, weight in start.items()}
    gs.measure(start, {1: end}, store=tmp_path / "run.zarr", matrices="*", progress=False)
    for name in names:
        truth = np.linalg.svd((end[name].double() - start[name].double()).numpy())[2][0]
        found = vectors(tmp_path / "run.zarr", name).right.isel(step=0, component=0).values
        assert abs(truth @ found) == pytest.approx(1.0, abs=1e-6)


def test_a_failing_matrix_leaves_the_others_of_all_workers(tmp_path):
    run = synthetic_run(tmp_path / "run", layers=1, rows=12, cols=8, steps=(1, 2))
    weights = load_file(tmp_path / "run" / "step-2" / "model.safetensors")
    weights[NAME.replace("query", "value")][0, 0] = float("nan")
    save_file(weights, tmp_path / "run" / "step-2" / "model.safetensors")
    with pytest.raises(gs.errors.NonFiniteError, match="value"):
        _measure(run, tmp_path / "run.zarr", engine="processes", workers=2)
    assert gs.open_trajectory(tmp_path / "run.zarr").sizes["matrix"] >= 1


def test_remote_weights_overwritten_in_place_are_not_taken_for_the_old_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOSTAT_CACHE", str(tmp_path / "cache"))
    files = fsspec.filesystem("memory")
    for folder, factor in (("base", 1), ("step-1", 2)):
        files.pipe(f"/places/{folder}/model.safetensors", save({NAME: factor * torch.eye(4)}))
    arguments = {"store": tmp_path / "run.zarr", "progress": False}
    places = ("memory://places/base", {1: "memory://places/step-1"})
    first = gs.measure(*places, **arguments)
    assert float(first.update_norm[0, 0]) == pytest.approx(2.0)
    files.pipe("/places/step-1/model.safetensors", save({NAME: 3 * torch.eye(4)}))
    with pytest.raises(StoreError, match="another measurement: inputs"):
        gs.measure(*places, **arguments)
    anew = gs.measure(*places, **arguments, resume=False)
    assert float(anew.update_norm[0, 0]) == pytest.approx(4.0)
