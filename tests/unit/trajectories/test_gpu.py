"""Figures of an accelerator against those of the CPU, both in float64; and what happens when it fails."""

import pytest
import torch

import geostat as gs
from geostat.errors import NumericalWarning
from geostat.testing import assert_values_close, synthetic_run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator on this machine"),
]


def _device(dataset):
    kinds = dataset.computed_on.attrs["flag_meanings"].split()
    return {kinds[int(code)] for code in dataset.computed_on.values}


def _assert_close(found, expected):
    for name in expected.diagnostic.values:
        rtol, atol = (1e-8, 1e-9) if "angle" in name else (1e-11, 1e-13)
        assert_values_close(found[name], expected[name], rtol=rtol, atol=atol, what=name)


def test_an_accelerator_gives_the_figures_of_the_cpu(geostat_run):
    on_cpu, on_gpu = (
        gs.measure(geostat_run.base, geostat_run.checkpoints, device=device, progress=False)
        for device in ("cpu", "cuda")
    )
    _assert_close(on_gpu, on_cpu)
    assert (_device(on_cpu), _device(on_gpu)) == ({"cpu"}, {"cuda"})


@pytest.mark.parametrize("shape", [(512, 512), (768, 256)])
def test_larger_matrices_agree_with_the_cpu(tmp_path, shape):
    rows, cols = shape
    run = synthetic_run(tmp_path, layers=1, rows=rows, cols=cols, steps=(10, 20))
    sample = {"matrices": "*query*", "progress": False}
    on_cpu, on_gpu = (gs.measure(run.base, run.checkpoints, device=d, **sample) for d in ("cpu", "cuda"))
    _assert_close(on_gpu, on_cpu)


def test_one_process_for_each_accelerator_gives_the_same_store(geostat_run, tmp_path):
    serial, parallel = (
        gs.measure(
            geostat_run.base,
            geostat_run.checkpoints,
            store=tmp_path / f"{engine}.zarr",
            device="cuda",
            engine=engine,
            progress=False,
        )
        for engine in ("serial", "processes")
    )
    _assert_close(parallel, serial)
    assert _device(parallel) == {"cuda"}


def test_a_device_without_memory_leaves_the_matrix_to_the_cpu(tmp_path):
    run = synthetic_run(tmp_path, layers=1, rows=512, cols=512, steps=(10,))
    expected = gs.measure(run.base, run.checkpoints, device="cpu", progress=False)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        with pytest.warns(NumericalWarning, match="was measured on the CPU: cuda failed"):
            found = gs.measure(run.base, run.checkpoints, device="cuda", progress=False)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    _assert_close(found, expected)
    assert _device(found) == {"cpu"}
