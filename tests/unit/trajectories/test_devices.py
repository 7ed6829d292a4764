"""What happens when an accelerator fails, told with a device that is made to fail."""

import sys

import numpy as np
import pytest
import torch

import geostat as gs
from geostat.errors import NumericalWarning
from geostat.testing import assert_same_store
from geostat.trajectories.engines import devices, job

NAME = "blocks.0.attention.query"


def _pair():
    generator = torch.Generator().manual_seed(0)
    start = {f"{NAME}.weight": torch.randn(6, 5, generator=generator)}
    return start, {1: {f"{NAME}.weight": torch.randn(6, 5, generator=generator)}}


@pytest.fixture
def failing(monkeypatch):
    """Make every device but the CPU fail with a given error; returns what was tried."""
    tried, original = [], job.measure_matrix

    def install(error):
        def measured(plan, ref, checkpoints, device):
            tried.append(device)
            if device != "cpu":
                raise error
            return original(plan, ref, checkpoints, device)

        monkeypatch.setattr(job, "measure_matrix", measured)
        monkeypatch.setattr(
            sys.modules["geostat.trajectories.measuring"], "devices_here", lambda device: (device,)
        )
        return tried

    return install


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later"),
        RuntimeError("cusolver error: CUSOLVER_STATUS_EXECUTION_FAILED, when calling cusolverDnXgesvd"),
    ],
    ids=["memory", "lost", "library"],
)
def test_a_failing_device_falls_back_to_the_cpu_and_says_so(failing, tmp_path, error):
    start, end = _pair()
    expected = gs.measure(start, end, device="cpu", store=tmp_path / "cpu.zarr", progress=False)
    tried = failing(error)
    with pytest.warns(NumericalWarning, match=f"{NAME} was measured on the CPU: cuda:0 failed"):
        found = gs.measure(start, end, device="cuda:0", store=tmp_path / "cuda.zarr", progress=False)
    assert tried == ["cuda:0", "cpu"]
    assert_same_store(found, expected)
    assert found.computed_on.attrs["flag_meanings"].split()[int(found.computed_on[0])] == "cpu"


def test_an_error_of_ours_does_not_pass_for_one_of_the_device(failing):
    tried = failing(RuntimeError("the weights are wrong"))
    with pytest.raises(RuntimeError, match="the weights are wrong"):
        gs.measure(*_pair(), device="cuda:0", progress=False)
    assert tried == ["cuda:0"]


def test_every_accelerator_of_the_machine_is_used(monkeypatch):
    monkeypatch.setattr(devices, "choose_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert devices.devices_here("cuda") == ("cuda:0", "cuda:1", "cuda:2")
    assert devices.devices_here("cuda:1") == ("cuda:1",)
    assert devices.devices_here("cpu") == ("cpu",)


def test_the_device_of_a_matrix_is_kept_when_runs_are_combined():
    start, end = _pair()
    one = gs.measure(start, end, progress=False)
    other = gs.measure(
        {**start, f"{NAME}.more.weight": torch.eye(5)},
        {1: {**end[1], f"{NAME}.more.weight": 2 * torch.eye(5)}},
        matrices="all",
        progress=False,
    )
    both = gs.combine({("opd", 0): one, ("opd", 1): other})
    assert both.computed_on.dtype == np.int8
    assert both.computed_on.values.min() == 0  # the matrix that one run has not
