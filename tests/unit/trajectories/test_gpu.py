"""Figures of an accelerator against those of the CPU, both in float64."""

import pytest
import torch

import geostat as gs
from geostat.testing import assert_values_close


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator on this machine")
def test_an_accelerator_gives_the_figures_of_the_cpu(geostat_run):
    on_cpu, on_gpu = (
        gs.measure(geostat_run.base, geostat_run.checkpoints, device=device, progress=False)
        for device in ("cpu", "cuda")
    )
    for name in on_cpu.diagnostic.values:
        rtol, atol = (1e-8, 1e-9) if "angle" in name else (1e-11, 1e-13)
        assert_values_close(on_gpu[name], on_cpu[name], rtol=rtol, atol=atol, what=name)
