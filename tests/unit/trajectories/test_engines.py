"""Whoever computes, the store is the same, byte for byte; whoever dies costs one matrix."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import save_file

import geostat as gs
from geostat.errors import EngineError, NonFiniteError, ProtocolError
from geostat.spec import _REGISTRY
from geostat.testing import assert_same_store, synthetic_run
from geostat.trajectories import journal_path
from geostat.trajectories.engines import find_engine
from geostat.trajectories.engines.order import shares

_MEASURE = """
import sys
import geostat as gs
base, checkpoints, store, engine, share = sys.argv[1:]
if __name__ == "__main__":
    gs.measure(
        base, checkpoints, store=store, engine=engine, workers=2, shard=share or None, vectors=2000, progress=False
    )
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return synthetic_run(tmp_path_factory.mktemp("engines"), layers=1, rows=40, cols=32, steps=(10, 20, 30))


def _measure_elsewhere(run, store, engine, share="", threads=None):
    """In a process of its own, which may use as many threads as it likes."""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    if threads is not None:
        environment |= {
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
        }
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        _MEASURE,
        run.base,
        run.checkpoints,
        str(store),
        engine,
        share,
    ]
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
    return store


def _bytes(store):
    """Every file of a store; of the metadata all but who made it when."""
    found = {}
    for path in sorted(store.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(store))] = path.read_bytes()
    for name in [name for name in found if name.endswith("zarr.json")]:
        metadata = json.loads(found[name])
        metadata.get("attributes", {}).pop("provenance", None)
        found[name] = metadata
    return found


@pytest.fixture(scope="module")
def serial(run, tmp_path_factory):
    return _bytes(
        _measure_elsewhere(run, tmp_path_factory.mktemp("serial") / "run.zarr", "serial", threads="1")
    )


@pytest.mark.parametrize(
    ("engine", "threads"),
    [
        ("serial", None),
        pytest.param("processes", "1", marks=pytest.mark.slow),
        ("processes", None),
        ("dask", None),
    ],
)
def test_every_engine_writes_the_same_bytes_whatever_the_threads(run, serial, tmp_path, engine, threads):
    assert _bytes(_measure_elsewhere(run, tmp_path / "run.zarr", engine, threads=threads)) == serial


def test_three_shares_at_once_write_the_same_bytes(run, serial, tmp_path):
    store = tmp_path / "run.zarr"
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", _MEASURE, run.base, run.checkpoints, str(store), "serial"]
    begun = [subprocess.Popen([*command, f"{i}/3"], env=environment) for i in (1, 2, 3)]
    assert [process.wait() for process in begun] == [0, 0, 0]
    assert not store.exists()
    gs.seal(store)
    assert _bytes(store) == serial
    assert not journal_path(store).exists()


def test_an_engine_of_another_name_is_refused():
    with pytest.raises(ProtocolError, match="'gpu' is not known.*serial, processes, dask.*tcp://"):
        find_engine("gpu")


def test_a_scheduler_that_does_not_answer_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setattr("geostat.trajectories.engines.cluster._CONNECT_SECONDS", 0.5)
    with pytest.raises(EngineError, match="no dask scheduler answers at tcp://127.0.0.1:9"):
        gs.measure(
            run.base, run.checkpoints, store=tmp_path / "run.zarr", engine="tcp://127.0.0.1:9", progress=False
        )


_WRONG_ADDRESS = """
import sys
import geostat as gs
from geostat.errors import EngineError
try:
    gs.measure(sys.argv[1], sys.argv[2], store=sys.argv[3], engine=sys.argv[4], progress=False)
except EngineError as error:
    print(error)
"""


@pytest.mark.parametrize("address", ["tcp://127.0.0.1", "tls://127.0.0.1:9"])
def test_an_address_that_is_none_ends_at_once_and_without_traceback(run, tmp_path, address):
    call = [sys.executable, "-c", _WRONG_ADDRESS, run.base, run.checkpoints, tmp_path / "run.zarr", address]
    found = subprocess.run(call, capture_output=True, text=True, timeout=60, check=True)
    assert f"no dask scheduler answers at {address}" in found.stdout
    assert "Traceback" not in found.stderr


def test_no_worker_or_half_of_one_is_refused(run, tmp_path):
    for workers in (0, -2, True, 1.5):
        with pytest.raises(ProtocolError, match=r"workers=.* 1 or more"):
            gs.measure(run.base, run.checkpoints, workers=workers, progress=False)


def test_ctrl_c_in_a_terminal_stops_a_local_cluster_in_one_line(tmp_path):
    """A terminal tells every process of its foreground group, workers included."""
    base, steps = _weights(tmp_path, 900)
    store = tmp_path / "run.zarr"
    call = [sys.executable, "-c", "from geostat.cli import main; main()", "measure", base, steps[1]]
    call += ["-o", store, "--no-progress", "--engine", "dask", "--workers", "2"]
    with subprocess.Popen(
        call, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        while process.poll() is None and not list(journal_path(store).glob("*.record")):
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert said.strip().startswith("Stopped. What was finished is kept")
    assert "Traceback" not in said


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "geostat.trajectories.engines.cluster", raising=False)
    with pytest.raises(EngineError, match=r"geostat-training\[distributed\]"):
        find_engine("dask")


def test_a_cluster_refuses_weights_in_memory():
    start, end = ({"blocks.0.attention.query.weight": c * torch.eye(3)} for c in (1, 2))
    with pytest.raises(ProtocolError, match="lie in memory"):
        gs.measure(start, {1: end}, engine="dask", progress=False)


@pytest.fixture
def scheduler():
    """A running cluster of one worker, in threads of this process, which listens as any other does."""
    import distributed

    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp", dashboard_address=":0"
    ) as cluster:
        yield cluster


def test_a_running_cluster_is_joined_and_left_running(run, tmp_path, scheduler):
    arguments = {"vectors": False, "diagnostics": ["update_norm", "stable_rank"], "progress": False}
    expected = gs.measure(run.base, run.checkpoints, store=tmp_path / "serial.zarr", **arguments)
    for attempt in range(2):
        store = tmp_path / f"joined-{attempt}.zarr"
        joined = gs.measure(
            run.base, run.checkpoints, store=store, engine=scheduler.scheduler_address, **arguments
        )
        assert_same_store(joined, expected)
    (worker,) = scheduler.workers.values()
    assert not [name for name in worker.plugins if name.startswith("geostat")]


def test_paths_that_a_worker_does_not_see_are_named(run, tmp_path, scheduler, monkeypatch):
    monkeypatch.setattr(
        "geostat.trajectories.engines.cluster._absolute", lambda paths: tuple(f"/elsewhere{p}" for p in paths)
    )
    with pytest.raises(
        EngineError, match="the worker tcp://.* cannot open the checkpoints.*/elsewhere.*under the same path"
    ):
        gs.measure(
            run.base,
            run.checkpoints,
            store=tmp_path / "run.zarr",
            engine=scheduler.scheduler_address,
            progress=False,
        )


def test_a_scheduler_without_workers_is_told_so(run, tmp_path, monkeypatch):
    import distributed

    monkeypatch.setattr("geostat.trajectories.engines.cluster._WORKERS_SECONDS", 0.5)
    with (
        distributed.LocalCluster(
            n_workers=0, processes=False, protocol="tcp", dashboard_address=":0"
        ) as cluster,
        pytest.raises(EngineError, match="has no worker after .*dask worker tcp://"),
    ):
        gs.measure(
            run.base,
            run.checkpoints,
            store=tmp_path / "run.zarr",
            engine=cluster.scheduler_address,
            progress=False,
        )


_FATAL = '''
import os, signal
from geostat.spec import diagnostic

@diagnostic(units="1", bounds=(0.0, 2.0), symbol="f", reference="geostat, test", invariances=("permutation",),
            weighting="matrix", default=False)
def fatal(update):
    """Death of the process, as often as asked, for the matrix with one large entry."""
    marks = os.environ["GEOSTAT_TEST_MARKS"]
    with open(f"{marks}/calls", "a") as calls:
        calls.write("x")
    if abs(float(update.values[0, 0])) > 1000:
        for attempt in range(int(os.environ["GEOSTAT_TEST_DEATHS"])):
            try:
                os.close(os.open(f"{marks}/{attempt}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
    return 1.0
'''


@pytest.fixture
def fatal(tmp_path, monkeypatch):
    """A diagnostic that kills its process, known to workers by its entry point; and where it leaves marks."""
    plugin = tmp_path / "plugin"
    information = plugin / "fatal-1.dist-info"
    information.mkdir(parents=True)
    (plugin / "geostat_test_fatal.py").write_text(_FATAL)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: fatal\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[geostat.diagnostics]\nfatal = geostat_test_fatal\n")
    marks = tmp_path / "marks"
    marks.mkdir()
    monkeypatch.syspath_prepend(plugin)
    monkeypatch.setenv("PYTHONPATH", f"{plugin}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("GEOSTAT_TEST_MARKS", str(marks))
    importlib.import_module("geostat_test_fatal")
    yield marks
    del _REGISTRY["fatal"], sys.modules["geostat_test_fatal"]


def _weights(folder, names, spoiled=None):
    generator = torch.Generator().manual_seed(0)
    for place, factor in (("base", 0.0), ("step-1", 0.1)):
        (folder / place).mkdir(parents=True)
        weights = {
            f"blocks.{i}.attention.query.weight": torch.eye(6)
            + factor * torch.randn(6, 6, generator=generator)
            for i in range(names)
        }
        if spoiled is not None and factor:
            weights["blocks.0.attention.query.weight"][0, 0] = spoiled
        save_file(weights, folder / place / "model.safetensors")
    return folder / "base", {1: folder / "step-1"}


@pytest.mark.parametrize("engine", ["processes", "dask"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_killed_worker_costs_only_its_unfinished_matrix(fatal, tmp_path, monkeypatch, engine):
    monkeypatch.setenv("GEOSTAT_TEST_DEATHS", "1")
    base, checkpoints = _weights(tmp_path, 6, spoiled=1e4)
    dataset = gs.measure(
        base,
        checkpoints,
        store=tmp_path / "run.zarr",
        diagnostics=["fatal"],
        vectors=False,
        engine=engine,
        workers=2,
        progress=False,
    )
    assert (fatal / "0").exists()
    assert dataset.fatal.notnull().all()
    assert len((fatal / "calls").read_text()) == 6 + 1


def test_what_kills_its_worker_twice_is_reported_after_all_others_are_kept(fatal, tmp_path, monkeypatch):
    monkeypatch.setenv("GEOSTAT_TEST_DEATHS", "99")
    base, checkpoints = _weights(tmp_path, 6, spoiled=1e4)
    arguments = {
        "store": tmp_path / "run.zarr",
        "diagnostics": ["fatal"],
        "vectors": False,
        "engine": "processes",
        "workers": 2,
        "progress": False,
    }
    with pytest.raises(EngineError, match=r"blocks\.0\.attention\.query was killed 2 times"):
        gs.measure(base, checkpoints, **arguments)
    assert gs.open_trajectory(tmp_path / "run.zarr").sizes["matrix"] == 5
    monkeypatch.setenv("GEOSTAT_TEST_DEATHS", "0")
    assert gs.measure(base, checkpoints, **arguments).sizes["matrix"] == 6
    assert len((fatal / "calls").read_text()) == 5 + 2 + 1


@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_an_error_in_a_worker_is_the_error_of_the_call(tmp_path, engine):
    base, checkpoints = _weights(tmp_path, 3, spoiled=float("nan"))
    with pytest.raises(NonFiniteError, match=r"blocks\.0\.attention\.query.*1 NaN"):
        gs.measure(base, checkpoints, store=tmp_path / "run.zarr", engine=engine, workers=1, progress=False)


def test_a_script_without_its_guard_is_told_so(run, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, geostat as gs\n"
        "gs.measure(sys.argv[1], sys.argv[2], store=sys.argv[3], engine='processes', workers=1, progress=False)"
    )
    command = [sys.executable, str(script), run.base, run.checkpoints, str(tmp_path / "run.zarr")]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 1
    assert "outside `if __name__ == '__main__':`" in found.stderr


def test_shares_are_even_and_the_same_everywhere():
    costs = [7, 7, 6, 6, 5, 5, 4, 4, 4]
    owner = shares(costs, 4)
    loads = [sum(c for c, o in zip(costs, owner, strict=True) if o == share) for share in range(4)]
    assert sorted(loads) == [11, 11, 11, 15]  # Graham's worst case: 15 against an optimum of 12
    assert shares(costs, 4) == owner
    assert set(shares([1] * 10, 3)) == {0, 1, 2}
