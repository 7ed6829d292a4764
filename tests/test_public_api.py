"""What `import geostat` costs and offers, and what the layers may load."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import geostat


def _fresh(script):
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


def test_import_loads_no_heavy_library():
    loaded = set(_fresh("import sys, geostat; print(*sys.modules)"))
    assert not loaded & {
        "torch",
        "pandas",
        "scipy",
        "scipy.stats",
        "statsmodels",
        "numpy",
        "xarray",
        "matplotlib",
    }


def test_statistics_and_report_load_no_torch():
    loaded = set(_fresh("import sys, geostat.statistics, geostat.report; print(*sys.modules)"))
    assert not loaded & {"torch", "statsmodels"}


def test_the_pytest_plugin_loads_no_heavy_library():
    loaded = set(_fresh("import sys, geostat.testing.plugin; print(*sys.modules)"))
    assert not loaded & {"torch", "pandas", "scipy", "hypothesis", "xarray"}


def test_a_worker_process_loads_only_what_measures_a_matrix():
    loaded = set(_fresh("import sys, geostat.trajectories.engines.worker; print(*sys.modules)"))
    assert not loaded & {"xarray", "zarr", "pandas", "dask", "statsmodels", "matplotlib"}


def test_a_stored_run_is_analysed_without_torch(geostat_run, tmp_path):
    store = tmp_path / "run.zarr"
    geostat.measure(geostat_run.base, geostat_run.checkpoints, store=store, vectors=False, progress=False)
    script = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import xarray, geostat as gs\n"
        f"ds = xarray.open_zarr({str(store)!r})\n"
        "print(float(gs.mean_ci(ds.stable_rank).estimate.isel(step=-1)))"
    )
    expected = geostat.open_trajectory(store).stable_rank.isel(step=-1).mean()
    assert float(_fresh(script)[-1]) == pytest.approx(float(expected))


@pytest.mark.parametrize("name", geostat.__all__)
def test_every_public_name_resolves_and_is_documented(name):
    found = getattr(geostat, name)
    assert name in dir(geostat)
    if callable(found):
        assert found.__doc__


def test_a_wrong_name_says_what_there_is():
    with pytest.raises(AttributeError, match="stable_rnk.*stable_rank"):
        _ = geostat.stable_rnk


def _modules():
    return [m.name for m in pkgutil.walk_packages(geostat.__path__, "geostat.")]


@pytest.mark.parametrize("name", _modules())
def test_what_a_module_exports_is_there(name):
    module = importlib.import_module(name)
    for exported in getattr(module, "__all__", ()):
        assert getattr(module, exported) is not None


def test_every_diagnostic_is_a_public_name():
    assert set(geostat.DIAGNOSTICS) <= set(geostat.__all__)


def test_import_takes_a_fifth_of_a_second_of_cpu_at_most():
    script = "import time; t = time.process_time(); import geostat; print(time.process_time() - t)"
    assert min(float(_fresh(script)[0]) for _ in range(3)) <= 0.2
