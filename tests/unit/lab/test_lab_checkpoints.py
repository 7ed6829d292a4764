import json

import pytest
import torch
from safetensors.torch import load_file

from geostat.errors import EmptyCheckpointError
from geostat.lab.checkpoints import load_checkpoint, save_checkpoint
from geostat.lab.model import GPTConfig, build_model
from geostat.lab.teacher import load_teacher, save_teacher


@pytest.fixture
def model():
    return build_model(GPTConfig(width=16, layers=1), torch.Generator().manual_seed(0))


def test_fp32_comes_back_bit_for_bit(model, tmp_path):
    back = load_checkpoint(save_checkpoint(model, tmp_path / "step-1", "fp32"))
    assert back.config == model.config
    assert all(torch.equal(p, model.state_dict()[name]) for name, p in back.state_dict().items())


def test_bf16_rounds_what_is_stored_and_not_the_model(model, tmp_path):
    before = model.head.weight.detach().clone()
    directory = save_checkpoint(model, tmp_path / "step-1")
    stored = load_file(directory / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    assert torch.equal(stored["head.weight"], before.bfloat16())
    assert torch.equal(model.head.weight, before)
    assert torch.equal(load_checkpoint(directory).head.weight, before.bfloat16().float())


def test_a_checkpoint_says_what_it_is_and_leaves_nothing_beside_it(model, tmp_path):
    directory = save_checkpoint(model, tmp_path / "step-1")
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"]
    config = json.loads((directory / "config.json").read_text())
    assert (config["model_type"], config["torch_dtype"], config["width"]) == ("geostat_lab", "bfloat16", 16)


def test_a_loaded_model_can_be_trained_further(model, tmp_path):
    back = load_checkpoint(save_checkpoint(model, tmp_path / "step-1"))
    back(torch.zeros(1, 3, dtype=torch.long))[0].sum().backward()
    assert back.blocks[0].attention.query.weight.grad is not None


def test_a_directory_without_weights_is_named(tmp_path):
    with pytest.raises(EmptyCheckpointError, match=r"no config\.json and no model\.safetensors"):
        load_checkpoint(tmp_path)


def test_a_teacher_comes_back_frozen(tmp_path):
    save_teacher(load_teacher(), tmp_path / "teacher.safetensors")
    back = load_teacher(tmp_path / "teacher.safetensors")
    assert not any(parameter.requires_grad for parameter in back.parameters())
    assert torch.equal(back.head.weight, load_teacher().head.weight)
    assert back.config.layers == 3


def test_a_missing_teacher_says_how_to_make_it(monkeypatch, tmp_path):
    monkeypatch.setattr("geostat.lab.teacher.__file__", str(tmp_path / "a" / "b" / "teacher.py"))
    monkeypatch.setattr("geostat.lab.teacher.resources.files", lambda package: tmp_path)
    with pytest.raises(EmptyCheckpointError, match="train_teacher"):
        load_teacher()
