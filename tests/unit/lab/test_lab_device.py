"""Training on another device: the same problems and samples, the same figures up to rounding."""

import pytest
import torch

from geostat.errors import ProtocolError
from geostat.lab import Arm, functional_sufficiency, train_runs
from geostat.lab.laboratory import LABORATORY, LARGE
from geostat.lab.model import build_model
from geostat.lab.recipes import Scale

SHORT = Scale(
    "short",
    LABORATORY.pretraining.shortened(steps=4, batch=8),
    tuple(recipe.shortened(steps=6, batch=8) for recipe in LABORATORY.recipes),
    checkpoints=2,
    problems=32,
)


@pytest.mark.parametrize("device", ["nonsense", "cuda:77"])
def test_a_device_that_there_is_not_is_refused_before_anything_is_written(tmp_path, device):
    with pytest.raises(ProtocolError, match=rf"device='{device}' was asked for.*Pass 'cpu'"):
        train_runs(tmp_path / "study", 1, ("opd",), scale=SHORT, device=device)
    assert not (tmp_path / "study").exists()


def test_the_larger_student_has_the_sizes_that_it_says():
    model = build_model(LARGE.model, torch.Generator().manual_seed(0))
    assert sum(each.numel() for each in model.parameters()) == pytest.approx(3.2e6, rel=0.02)
    assert len([name for name, each in model.named_parameters() if "blocks" in name and each.ndim == 2]) == 24


@pytest.mark.gpu
@pytest.mark.parametrize(
    "recipe", ["opd", "opd_top25", "opd_random50", "rlvr", "continued_sft", "opd_mixed50"]
)
def test_an_accelerator_trains_as_the_cpu_does(tmp_path, recipe):
    ends = {}
    for device in ("cpu", "cuda"):
        (branch,) = train_runs(tmp_path / device, 1, (recipe,), scale=SHORT, device=device)
        ends[device] = branch.end.expected
    assert ends["cuda"] == pytest.approx(ends["cpu"], abs=1e-3)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore::geostat.errors.GeostatWarning")
def test_twins_part_on_an_accelerator(tmp_path):
    arms = (Arm("channel", 4), Arm("activations", 4), Arm("random", 4), Arm("noise_outside", 4))
    found = functional_sufficiency(
        "opd", 4, out=tmp_path, seeds=1, at=0.5, arms=arms, scale=SHORT, device="cuda"
    )
    assert found.data["accuracy"].notnull().all()
