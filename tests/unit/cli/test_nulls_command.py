"""Nulls of a measured run, as they are asked for on the shell."""

import shutil

import pytest
import xarray as xr
from click.testing import CliRunner

import geostat as gs
from geostat.cli import main
from geostat.nulls.whole_runs import loop as run_nulls_loop
from geostat.testing.synthetic import synthetic_run

PROTOCOL = gs.Protocol(name="small", k=8, r=8, K=4, energy_k=4, hill_k=6)


def _call(*arguments):
    return CliRunner().invoke(main, ["nulls", *map(str, arguments)])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nulls-command")
    run = synthetic_run(folder, layers=1, rows=96, cols=128, steps=(10, 20), size=0.02)
    gs.measure(run.base, run.checkpoints, store=folder / "run.zarr", protocol=PROTOCOL, progress=False)
    return folder / "run.zarr"


QUICK = ("--matrices", "*query", "--draws", 19, "--no-progress")


def test_the_table_shows_observed_null_excess_and_floor(store, tmp_path):
    found = _call(store, *QUICK, "-o", tmp_path / "nulls.zarr")
    assert found.exit_code == 0, found.output
    lines = found.output.splitlines()
    assert lines[0].split() == ["metric", "observed", "null", "excess", "floor", "p", "<=", "0.05"]
    written = xr.open_zarr(tmp_path / "nulls.zarr")
    row = next(line for line in lines if line.startswith("update_sparsity"))
    last = written.isel(step=-1, matrix=0)
    observed, null = (float(text) for text in row.split()[1:3])
    assert observed == pytest.approx(float(last.update_sparsity_observed), abs=1e-3)
    assert null == pytest.approx(float(last.update_sparsity_null), abs=1e-3)
    assert any(line.startswith("relative_update_norm") for line in lines)
    assert "onditions on the stored magnitudes of W_0" in found.output
    assert "Cannot see" in found.output
    assert "matrices are no random sample" in found.output


def test_steps_statistics_and_method_restrict(store, tmp_path):
    found = _call(
        store,
        *QUICK,
        "--steps",
        "last",
        "--statistic",
        "principal_mask_overlap",
        "--method",
        "strata",
        "--no-floors",
        "-o",
        tmp_path / "n.zarr",
    )
    assert found.exit_code == 0, found.output
    written = xr.open_zarr(tmp_path / "n.zarr")
    assert written.sizes == {"step": 1, "matrix": 1, "alpha": 2, "null_metric": 1}
    assert not any(str(name).endswith("_floor") for name in written)
    assert _call(store, "--steps", "soon").exit_code == 2


def test_weights_that_moved_are_asked_for(store, tmp_path):
    for name in ("run.zarr", "base", "step-10", "step-20"):
        shutil.copytree(store.parent / name, tmp_path / "first" / name)
    here = tmp_path / "first"
    gs.measure(
        here / "base",
        f"{here}/step-*",
        store=here / "own.zarr",
        protocol=PROTOCOL,
        diagnostics=["update_sparsity"],
        progress=False,
    )
    shutil.move(here / "base", tmp_path / "start")
    found = _call(here / "own.zarr", *QUICK)
    assert found.exit_code == 1
    assert "--base" in found.output
    arguments = (
        "--base",
        tmp_path / "start",
        "--checkpoints",
        f"{here}/step-*",
        "--statistic",
        "update_sparsity",
    )
    moved = _call(here / "own.zarr", *QUICK, *arguments, "--no-floors")
    assert moved.exit_code == 0, moved.output


@pytest.mark.parametrize(
    ("output", "told"), [((), "Nothing was kept"), (("-o", "n.zarr"), "What was finished is kept")]
)
def test_a_stopped_call_says_what_is_kept(store, tmp_path, monkeypatch, output, told):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_nulls_loop, "run_nulls", stopped)
    found = _call(store, *output)
    assert found.exit_code == 130
    assert told in found.output
