"""Files and folders that may not be read: one paragraph that names them, and no traceback of the system."""

import builtins
import os
import pathlib

import pytest
import torch
from safetensors.torch import save_file

from geostat.checkpoints import discover_run, open_checkpoint
from geostat.errors import CheckpointError

DENIED = r"cannot be read: permission denied.*owner"
WEIGHTS = {"layers.0.q_proj.weight": torch.ones(2, 2)}


@pytest.fixture
def deny(monkeypatch):
    """Make the system refuse a path, as it does for mode 000 to all but root."""

    def refuse(path):
        def guard(function):
            def guarded(given, *args, **kwargs):
                if os.fspath(given).startswith(str(path)):
                    raise PermissionError(13, "Permission denied", str(path))
                return function(given, *args, **kwargs)

            return guarded

        monkeypatch.setattr(builtins, "open", guard(builtins.open))
        monkeypatch.setattr(os, "listdir", guard(os.listdir))
        monkeypatch.setattr(pathlib.Path, "read_bytes", guard(pathlib.Path.read_bytes))

    return refuse


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt"])
def test_a_weights_file_that_may_not_be_read(tmp_path, deny, name):
    path = tmp_path / name
    (save_file if name.endswith("safetensors") else torch.save)(WEIGHTS, path)
    deny(path)
    with pytest.raises(CheckpointError, match=rf"{path} {DENIED}") as caught:
        open_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_may_not_be_listed(tmp_path, deny):
    (tmp_path / "run" / "step-1").mkdir(parents=True)
    deny(tmp_path / "run")
    with pytest.raises(CheckpointError, match=rf"{tmp_path}/run {DENIED}"):
        open_checkpoint(tmp_path / "run")
    with pytest.raises(CheckpointError, match=rf"{tmp_path}/run {DENIED}"):
        discover_run(tmp_path / "base", tmp_path / "run")


def test_a_config_that_may_not_be_read(tmp_path, deny):
    save_file(WEIGHTS, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    deny(tmp_path / "config.json")
    with pytest.raises(CheckpointError, match=rf"config.json {DENIED}"):
        _ = open_checkpoint(tmp_path / "model.safetensors").config


def test_a_place_that_may_not_be_entered_is_not_called_absent(tmp_path, monkeypatch):
    plain = os.stat

    def stat(path, *args, **kwargs):
        if os.fspath(path) == str(tmp_path / "run" / "step-1"):
            raise PermissionError(13, "Permission denied")
        return plain(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(CheckpointError, match=rf"step-1 {DENIED}"):
        open_checkpoint(tmp_path / "run" / "step-1")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_mode_000(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(WEIGHTS, path)
    path.chmod(0)
    with pytest.raises(CheckpointError, match=DENIED):
        open_checkpoint(path)


def test_another_failure_of_the_disk_is_told_in_words(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    save_file(WEIGHTS, path)

    def fail(*args, **kwargs):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(builtins, "open", fail)
    with pytest.raises(CheckpointError, match=rf"{path} cannot be read: Input/output error.*try again"):
        open_checkpoint(path)
