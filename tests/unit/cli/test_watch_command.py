"""The watch as it is typed."""

import shutil

from click.testing import CliRunner

import geostat as gs
from geostat.cli import main
from geostat.testing import assert_same_store


def _call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_watch_seals_what_is_there_and_says_what_it_measured(geostat_run, tmp_path):
    folder = geostat_run.base.removesuffix("/base")
    found = _call(
        "watch", geostat_run.base, folder, "-o", tmp_path / "w.zarr", "--idle", "0s", "--settle", "0s"
    )
    assert found.exit_code == 0, found.output
    assert "step 40: 8 matrices in" in found.output
    assert "of entries unchanged, stable rank" in found.output
    assert "8 matrices at 4 checkpoints" in found.output
    expected = gs.measure(
        geostat_run.base, geostat_run.checkpoints, store=tmp_path / "m.zarr", progress=False
    )
    assert_same_store(gs.open_trajectory(tmp_path / "w.zarr"), expected)


def test_a_watch_of_an_empty_folder_ends_in_one_sentence(geostat_run, tmp_path):
    (tmp_path / "empty").mkdir()
    found = _call("watch", geostat_run.base, tmp_path / "empty", "-o", tmp_path / "w.zarr", "--idle", "0s")
    assert found.exit_code == 1
    assert "StoreError: no checkpoint of" in found.output


def test_a_duration_that_is_none_is_refused_before_anything_is_read(geostat_run, tmp_path):
    found = _call("watch", geostat_run.base, tmp_path, "-o", tmp_path / "w.zarr", "--idle", "soon")
    assert found.exit_code == 1
    assert "'soon' is no duration. Write for example 45s, 90m, 1h30m or 2h." in found.output


def test_inspect_shows_a_watch_that_was_stopped(geostat_run, tmp_path, monkeypatch):
    folder = tmp_path / "training"
    folder.mkdir()
    for step in (10, 20):
        shutil.copytree(geostat_run.base.replace("base", f"step-{step}"), folder / f"step-{step}")

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("geostat.trajectories.watching.loop.time.sleep", interrupt)
    stopped = _call("watch", geostat_run.base, folder, "-o", tmp_path / "w.zarr", "--settle", "0s")
    assert stopped.exit_code == 130
    assert "stopped with 2 checkpoints measured" in stopped.output
    assert "run the same command again to go on" in stopped.output
    found = _call("inspect", tmp_path / "w.zarr")
    assert "watched so far" in found.output
    assert "10, 20" in found.output
