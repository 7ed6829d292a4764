"""Each format gives the same weights, lazily, and says what it is made of."""

import json
import multiprocessing
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from geostat.checkpoints import Checkpoint, list_matrices, open_checkpoint
from geostat.checkpoints.safetensors_file import SafetensorsFile

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32, "fp16": torch.float16, "fp64": torch.float64}


def weights(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    names = [f"model.layers.{i}.self_attn.{p}_proj.weight" for i in range(2) for p in "qkvo"]
    return {name: torch.randn(4, 4, generator=generator).to(dtype) for name in names} | {
        "model.norm.weight": torch.ones(4, dtype=dtype)
    }


def save_sharded(tensors, folder, suffix):
    """Shards and index, written by hand as the Hugging Face libraries lay them out."""
    folder.mkdir()
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    shards = {f"{stem}-0000{i + 1}-of-00002.{suffix}": dict(list(tensors.items())[i::2]) for i in range(2)}
    for name, part in shards.items():
        save = save_file if suffix == "safetensors" else torch.save
        save(part, folder / name)
    weight_map = {tensor: name for name, part in shards.items() for tensor in part}
    (folder / f"{stem}.{suffix}.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )
    return folder


def as_format(kind, tensors, tmp_path):
    """What to hand to open_checkpoint for each format."""
    folder = tmp_path / kind.replace(" ", "-")
    if kind == "state dict":
        return tensors
    if kind.startswith("sharded"):
        return save_sharded(tensors, folder, kind.split()[1])
    folder.mkdir()
    if kind == "safetensors file":
        save_file(tensors, folder / "weights.safetensors")
        return folder / "weights.safetensors"
    if kind == "folder":
        save_file(tensors, folder / "model.safetensors")
        (folder / "optimizer.pt").write_bytes(b"not weights")
        (folder / "training_args.bin").write_bytes(b"not weights")
        return folder
    if kind == "torch folder":
        torch.save(tensors, folder / "pytorch_model.bin")
        return folder
    path = folder / f"weights.{kind.split()[0]}"
    torch.save({"nested": {"model": tensors, "epoch": 3}, "flat": tensors}[kind.split()[1]], path)
    return path


KINDS = [
    "state dict",
    "safetensors file",
    "folder",
    "torch folder",
    "pt flat",
    "pth nested",
    "bin flat",
    "sharded safetensors",
    "sharded bin",
]
FILE_KINDS = KINDS[1:]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("storage", DTYPES)
def test_every_format_gives_the_same_tensors_bit_by_bit(kind, storage, tmp_path):
    expected = weights(DTYPES[storage])
    with open_checkpoint(as_format(kind, expected, tmp_path)) as checkpoint:
        assert isinstance(checkpoint, Checkpoint)
        assert set(checkpoint) == set(expected)
        assert len(checkpoint) == 9
        for name, tensor in expected.items():
            assert checkpoint.shape(name) == tuple(tensor.shape)
            assert checkpoint.dtype(name) == tensor.dtype
            assert checkpoint[name].dtype == tensor.dtype
            assert torch.equal(checkpoint[name], tensor)
            assert torch.equal(checkpoint.read_part(name, slice(1, 3)), tensor[1:3])
        assert checkpoint.storage == storage
        assert len(list_matrices(checkpoint)) == 8


@pytest.mark.parametrize("kind", FILE_KINDS)
def test_a_checkpoint_on_disk_reopens_in_a_worker_process(kind, tmp_path):
    expected = weights()
    checkpoint = open_checkpoint(as_format(kind, expected, tmp_path))
    checkpoint["model.norm.weight"]
    ref = list_matrices(checkpoint)[3]
    data = pickle.dumps(checkpoint)
    assert len(data) < 400  # its path, not its header
    assert torch.equal(ref.read(pickle.loads(data)), expected[ref.tensor])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("kind", ["folder", "sharded safetensors", "pt flat"])
def test_a_forked_child_reads_what_its_parent_opened(kind, tmp_path):
    expected = weights()
    checkpoint = open_checkpoint(as_format(kind, expected, tmp_path))
    name = next(iter(expected))
    checkpoint[name]
    receive, send = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        try:
            send.send_bytes(bytes(checkpoint[name].view(torch.uint8).flatten().tolist()))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert receive.poll()
    assert receive.recv_bytes() == bytes(expected[name].view(torch.uint8).flatten().tolist())
    assert torch.equal(checkpoint[name], expected[name])


@pytest.mark.parametrize("kind", FILE_KINDS)
def test_files_name_every_weights_file_with_its_size(kind, tmp_path):
    checkpoint = open_checkpoint(as_format(kind, weights(), tmp_path))
    assert len(checkpoint.files) == (2 if kind.startswith("sharded") else 1)
    for path, size in checkpoint.files:
        assert Path(path).stat().st_size == size
    files = {path for path, _ in checkpoint.files}
    assert {checkpoint.file_of(name) for name in checkpoint} == files


@pytest.mark.parametrize("kind", FILE_KINDS)
def test_config_json_beside_the_weights_is_the_config(kind, tmp_path):
    path = as_format(kind, weights(), tmp_path)
    folder = path if path.is_dir() else path.parent
    assert open_checkpoint(path).config is None
    (folder / "config.json").write_text('{"num_attention_heads": 2}')
    assert open_checkpoint(path).config == {"num_attention_heads": 2}
    assert open_checkpoint(path, config={"n_head": 3}).config == {"n_head": 3}


def test_opening_reads_headers_only(tmp_path, monkeypatch):
    path = save_sharded(weights(), tmp_path / "model", "safetensors")
    monkeypatch.setattr(SafetensorsFile, "_open", None)
    checkpoint = open_checkpoint(path)
    assert checkpoint.storage == "fp32"
    assert len(list_matrices(checkpoint)) == 8


@pytest.mark.parametrize("kind", FILE_KINDS)
def test_a_closed_checkpoint_reopens_when_asked_again(kind, tmp_path):
    checkpoint = open_checkpoint(as_format(kind, weights(), tmp_path))
    before = checkpoint["model.norm.weight"].clone()
    checkpoint.close()
    assert torch.equal(checkpoint["model.norm.weight"], before)


def test_a_path_may_be_a_string_a_path_or_the_index(tmp_path):
    folder = save_sharded(weights(), tmp_path / "model", "safetensors")
    for path in (str(folder), folder, f"{folder}/", folder / "model.safetensors.index.json"):
        assert len(open_checkpoint(path)) == 9


def test_a_file_saved_before_zip_archives_is_read(tmp_path):
    torch.save(weights(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert len(open_checkpoint(tmp_path / "old.pt")) == 9


@pytest.mark.parametrize("key", ["state_dict", "model", "module", "model_state_dict"])
def test_weights_are_found_under_the_usual_keys(key, tmp_path):
    torch.save({key: {"state_dict": weights()}, "optimizer": {"lr": 1.0}}, tmp_path / "nested.pt")
    assert set(open_checkpoint(tmp_path / "nested.pt")) == set(weights())


def test_a_module_gives_its_parameters_and_its_config():
    class Config:
        def to_dict(self):
            return {"num_attention_heads": 2}

    module = torch.nn.Module()
    module.q_proj = torch.nn.Linear(4, 4)
    module.config = Config()
    checkpoint = open_checkpoint(module)
    assert checkpoint.config == {"num_attention_heads": 2}
    assert torch.equal(checkpoint["q_proj.weight"], module.q_proj.weight)
    assert not checkpoint["q_proj.weight"].requires_grad


def test_weights_of_two_types_are_mixed_and_one_dimensional_ones_do_not_count():
    tensors = weights(torch.bfloat16)
    tensors["model.norm.weight"] = torch.ones(4)
    tensors["model.layers.0.self_attn.bias"] = torch.ones(1, 1, 4, 4)
    assert open_checkpoint(tensors).storage == "bf16"
    tensors["model.layers.0.mlp.gate.weight"] = torch.ones(2, 4)
    assert open_checkpoint(tensors).storage == "mixed"


def test_two_checkpoints_are_equal_only_if_they_are_the_same_object():
    tensors = weights()
    first, second = open_checkpoint(tensors), open_checkpoint(tensors)
    assert first == first
    assert first != second
    assert open_checkpoint(first) is first
    assert len({first, second}) == 2
