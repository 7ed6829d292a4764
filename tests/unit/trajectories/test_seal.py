"""Stores are sealed block by block: the same store, in memory that does not grow with the matrices."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr

import geostat as gs
from geostat.checkpoints import MatrixRef
from geostat.errors import JournalError
from geostat.protocols import protocol
from geostat.testing import assert_same_store, synthetic_run
from geostat.trajectories import Plan, chunks, journal_path
from geostat.trajectories.journal import Journal
from geostat.trajectories.record import DECOMPOSED, Record
from geostat.trajectories.schema import describe, labelled
from geostat.trajectories.sweep import sweep_shape


def _synthetic_plan(n_matrices, n_steps):
    refs = tuple(
        MatrixRef(
            f"model.layers.{i // 250}.experts.{i}.q_proj", f"t{i}", i // 250, "q_proj", i % 250, 1024, 512
        )
        for i in range(n_matrices)
    )
    names = tuple(name for name, spec in gs.DIAGNOSTICS.items() if spec.default)
    steps = tuple(range(1, n_steps + 1))
    return Plan(("-",) * (n_steps + 1), steps, refs, protocol("shen2026"), names, (), n_steps, "bf16", (), ())


def _synthetic_records(plan):
    rng, T = np.random.default_rng(0), len(plan.steps)
    shapes = {s.name: (T, *sweep_shape(s, plan.protocol), *plan.own_shape(s)) for s in plan.specs}
    figures = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    for index, ref in enumerate(plan.refs):
        yield Record(
            matrix=ref.name,
            values={name: values + index for name, values in figures.items()},
            reasons={name: np.full(T, index % 3, dtype=np.int8) for name in figures},
            audit=np.zeros(T, dtype=np.int8),
            used=plan.used(ref),
            initial_hash=f"{index:016x}",
            methods=np.full((T, len(DECOMPOSED)), 2, dtype=np.int8),
            residuals=np.full((T, len(DECOMPOSED)), 1e-15 * index, dtype=np.float32),
        )


def _journal(plan, store):
    journal = Journal.start(journal_path(store), plan, describe(plan), resume=True)
    for record in _synthetic_records(plan):
        journal._file(record.matrix).write_bytes(record.to_bytes())
    journal.release()


def test_many_blocks_make_the_dataset_that_one_makes(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "_BLOCK_BYTES", 8 * 4000)  # blocks of 8 matrices, the last one of 5
    monkeypatch.setattr(chunks, "_CHUNK_BYTES", 8 * 4 * 10)
    plan = _synthetic_plan(21, 10)
    _journal(plan, tmp_path / "run.zarr")
    sealed = gs.seal(tmp_path / "run.zarr")
    assert sealed.stable_rank.encoding["chunks"] == (10, 4)
    expected = labelled(describe(plan), list(_synthetic_records(plan)))
    assert_same_store(sealed.copy(), expected)
    assert {str(v.dtype) for v in sealed.variables.values()} == {
        str(v.dtype) for v in expected.variables.values()
    }
    assert sealed.attrs["identity"] == plan.identity


def test_a_record_damaged_before_sealing_is_named_and_nothing_is_lost(tmp_path):
    plan, store = _synthetic_plan(5, 3), tmp_path / "run.zarr"
    _journal(plan, store)
    path = Journal(journal_path(store))._file(plan.refs[3].name)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(JournalError, match=r"experts\.3\.q_proj.*cut short or altered"):
        gs.seal(store)
    assert not store.exists()
    assert not list(tmp_path.glob(".run*"))
    path.write_bytes(whole)
    assert gs.seal(store).sizes["matrix"] == 5


def test_every_chunk_lies_within_one_block():
    for n_matrices in (1, 5, 64, 1000, 36_000):
        for one in (8, 2_400, 60_000, 5_000_000):
            length = chunks.block_length(40 * one, n_matrices)
            variable = xr.Variable(("step", "matrix"), np.empty((one // 8, length)))
            _, chunk = chunks.chunk_shape(variable, length, n_matrices)
            assert length % chunk == 0 or length == n_matrices
            assert length * 40 * one <= max(40 * one, 96 * 2**20)


def test_vectors_are_sealed_from_the_records_that_hold_them(tmp_path):
    run = synthetic_run(tmp_path / "run", layers=1, rows=12, cols=8, steps=(1, 2))
    budget = 2 * 4 * 2 * 16 * (12 + 8)
    gs.measure(run.base, run.checkpoints, store=tmp_path / "run.zarr", vectors=budget, progress=False)
    assert len(list((tmp_path / "run.zarr" / "vectors").iterdir())) - 1 == 2


_SEAL = """
import json, resource, sys, time
import geostat as gs
from geostat.trajectories import seal
seal(sys.argv[1])
began = time.perf_counter()
gs.open_trajectory(sys.argv[1])
opened = time.perf_counter() - began
print(json.dumps({"opened": opened, "rss": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""


def _seal_elsewhere(store):
    began = time.perf_counter()
    found = subprocess.run(
        [sys.executable, "-c", _SEAL, str(store)], capture_output=True, text=True, check=True
    )
    return json.loads(found.stdout) | {"sealed": time.perf_counter() - began}


def test_a_store_of_720_matrices_is_whole(tmp_path):
    _journal(_synthetic_plan(720, 300), tmp_path / "run.zarr")
    assert _seal_elsewhere(tmp_path / "run.zarr")["rss"] < 2**30
    sealed = gs.open_trajectory(tmp_path / "run.zarr")
    assert dict(sealed.stable_rank.sizes) == {"step": 300, "matrix": 720}
    differences = np.diff(sealed.stable_rank.values, axis=1)
    np.testing.assert_allclose(differences, 1.0, rtol=1e-9)


@pytest.mark.slow
def test_a_store_of_36000_matrices_and_300_steps_is_sealed_within_its_bars(tmp_path):
    store = tmp_path / "run.zarr"
    _journal(_synthetic_plan(36_000, 300), store)
    found = _seal_elsewhere(store)
    assert found["rss"] < 2**30
    assert found["sealed"] < 120
    assert found["opened"] < 1
    assert gs.open_trajectory(store).sizes["matrix"] == 36_000
