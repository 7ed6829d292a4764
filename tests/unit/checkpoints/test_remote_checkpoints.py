"""Checkpoints behind fsspec URLs: here a file system in memory."""

import json
import pickle
import uuid

import fsspec
import pytest
import torch
from safetensors.torch import save

from geostat.checkpoints import discover_run, list_matrices, open_checkpoint, run_storage
from geostat.errors import CheckpointError, EmptyCheckpointError

NAME = "layers.0.self_attn.q_proj.weight"


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """Folder in a remote file system, and a cache of the test's own."""
    monkeypatch.setenv("GEOSTAT_CACHE", str(tmp_path / "cache"))
    folder = f"memory://runs-{uuid.uuid4().hex}"
    yield folder
    fsspec.filesystem("memory").rm(folder, recursive=True)


def write(path, content):
    with fsspec.open(path, "wb") as file:
        file.write(content)


def tensors(scale=1.0):
    return {NAME: scale * torch.arange(12.0).reshape(3, 4)}


def test_a_remote_file_is_fetched_once_into_the_cache(remote, tmp_path):
    write(f"{remote}/model.safetensors", save(tensors()))
    for _ in range(2):
        checkpoint = open_checkpoint(f"{remote}/model.safetensors")
        assert torch.equal(checkpoint[NAME], tensors()[NAME])
    assert checkpoint.path == f"{remote}/model.safetensors"
    cached = [
        path for path in (tmp_path / "cache").iterdir() if path.stat().st_size == checkpoint.files[0][1]
    ]
    assert len(cached) == 1


def test_a_remote_folder_with_shards_and_config_is_a_checkpoint(remote):
    write(f"{remote}/one.safetensors", save(tensors()))
    write(f"{remote}/config.json", b'{"n_head": 2}')
    index = {"weight_map": {NAME: "one.safetensors"}}
    write(f"{remote}/model.safetensors.index.json", json.dumps(index).encode())
    checkpoint = open_checkpoint(remote)
    assert checkpoint.config == {"n_head": 2}
    assert checkpoint.files == ((f"{remote}/one.safetensors", len(save(tensors()))),)
    (ref,) = list_matrices(checkpoint)
    assert torch.equal(ref.read(pickle.loads(pickle.dumps(checkpoint))), tensors()[NAME])


def test_a_remote_file_that_changed_is_fetched_anew(remote):
    path = f"{remote}/model.safetensors"
    write(path, save(tensors()))
    assert torch.equal(open_checkpoint(path)[NAME], tensors()[NAME])
    write(path, save(tensors(2.0)))
    assert torch.equal(open_checkpoint(path)[NAME], tensors(2.0)[NAME])


def test_a_remote_run_is_found_by_glob_and_by_folder(remote):
    for step in (2, 10):
        write(f"{remote}/step-{step}/model.safetensors", save(tensors(step)))
    write(f"{remote}/base/model.safetensors", save(tensors()))
    by_glob = discover_run(f"{remote}/base", f"{remote}/step-*")
    by_folder = discover_run(f"{remote}/base", remote)
    assert list(by_glob.steps) == list(by_folder.steps) == [2, 10]
    assert torch.equal(open_checkpoint(by_glob.steps[10])[NAME], tensors(10.0)[NAME])
    assert run_storage(by_folder.base, by_folder.steps) == "fp32"
    with pytest.raises(CheckpointError, match="base is also step 2"):
        discover_run(f"{remote}/step-2", f"{remote}/step-*")
    with pytest.raises(EmptyCheckpointError, match="'base', 'step-10', 'step-2'"):
        discover_run(f"{remote}/base", f"{remote}/ckpt-*")


def test_an_unknown_protocol_says_what_to_install():
    with pytest.raises(CheckpointError, match=r"nosuch://x.*fsspec"):
        open_checkpoint("nosuch://x/model.safetensors")
