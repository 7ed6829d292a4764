"""Telling a weights file from one written in its place."""

import os
import uuid

import fsspec
import pytest
import torch
from safetensors.torch import save, save_file

from geostat.checkpoints import open_checkpoint
from geostat.checkpoints.versions import version

NAME = "layers.0.self_attn.q_proj.weight"


@pytest.fixture
def remote(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOSTAT_CACHE", str(tmp_path / "cache"))
    folder = f"memory://versions-{uuid.uuid4().hex}"
    yield folder
    fsspec.filesystem("memory").rm(folder, recursive=True)


def write(path, scale):
    with fsspec.open(path, "wb") as file:
        file.write(save({NAME: scale * torch.ones(2, 2)}))


def versions(checkpoint):
    return [checkpoint.version_of(path) for path, _ in checkpoint.files]


def test_a_local_file_is_known_by_its_time_of_change(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({NAME: torch.ones(2, 2)}, path)
    os.utime(path, ns=(0, 1_234_567_891))
    checkpoint = open_checkpoint(path)
    assert versions(checkpoint) == ["1234567891"]
    os.utime(path, ns=(0, 1_234_567_892))
    assert versions(checkpoint) == ["1234567892"]


def test_a_remote_file_overwritten_in_place_has_another_version(remote):
    path = f"{remote}/model.safetensors"
    write(path, 1.0)
    before = versions(open_checkpoint(path))
    assert before[0] is not None
    assert versions(open_checkpoint(path)) == before
    size = open_checkpoint(path).files[0][1]
    write(path, 2.0)
    changed = open_checkpoint(path)
    assert changed.files[0][1] == size  # the size does not tell
    assert versions(changed) != before


def test_weights_in_memory_have_no_files_and_an_absent_file_no_version(tmp_path, remote):
    checkpoint = open_checkpoint({NAME: torch.ones(2, 2)})
    assert versions(checkpoint) == []
    assert checkpoint.version_of(str(tmp_path / "absent")) is None
    write(f"{remote}/here", 1.0)
    assert checkpoint.version_of(f"{remote}/absent") is None


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"ETag": '"a1"', "LastModified": "today", "size": 3}, 'ETag "a1"'),
        ({"ETag": None, "LastModified": "today"}, "LastModified today"),
        ({"mtime": 12.5, "created": 3.0, "atime": 99}, "mtime 12.5"),
        ({"size": 3, "name": "x"}, None),
    ],
)
def test_the_surest_sign_that_a_file_system_gives_counts(remote, monkeypatch, info, expected):
    memory = type(fsspec.filesystem("memory"))
    write(f"{remote}/x", 1.0)
    monkeypatch.setattr(memory, "info", lambda self, path, **kwargs: info)
    found = version(f"{remote}/x")
    monkeypatch.undo()
    assert found == expected


def test_a_listing_from_before_the_change_is_not_trusted(remote, monkeypatch):
    write(f"{remote}/x", 1.0)
    asked = []
    memory = type(fsspec.filesystem("memory"))
    monkeypatch.setattr(memory, "invalidate_cache", lambda self, path=None: asked.append(path))
    version(f"{remote}/x")
    monkeypatch.undo()
    assert len(asked) == 1
