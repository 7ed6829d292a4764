"""Each way in which weights cannot be read: the error names the file, the tensor and the way out."""

import json
import os
import re
import struct
from argparse import Namespace

import pytest
import torch
from safetensors.torch import save_file

from geostat.checkpoints import list_matrices, open_checkpoint
from geostat.errors import (
    CheckpointError,
    EmptyCheckpointError,
    MissingTensorError,
    QuantizedTensorError,
    TruncatedFileError,
)


class Payload:
    """Pickles to a call that leaves a trace."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def save_weights(path):
    tensors = {"layers.0.q_proj.weight": torch.ones(8, 8), "layers.0.k_proj.weight": torch.ones(8, 8)}
    (save_file if str(path).endswith(".safetensors") else torch.save)(tensors, path)
    return path


def says(*parts):
    return "(?s)" + ".*".join(re.escape(str(part)) for part in parts)


def test_a_truncated_safetensors_file_says_both_sizes(tmp_path):
    path = save_weights(tmp_path / "model.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    found, expected = len(whole) - 100, len(whole)
    with pytest.raises(TruncatedFileError, match=says(path, found, expected, "again")):
        open_checkpoint(path)


@pytest.mark.parametrize("kept", [0, 5, 40])
def test_a_safetensors_file_that_ends_in_its_header_is_truncated(tmp_path, kept):
    path = save_weights(tmp_path / "model.safetensors")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(TruncatedFileError, match=says(path, f"{kept} bytes", "again")):
        open_checkpoint(path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_truncated_torch_file_says_so(tmp_path, zipped, share):
    path = tmp_path / "model.pt"
    torch.save({"w": torch.randn(50, 50)}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(TruncatedFileError, match=says(path, "truncated", f"{path.stat().st_size} bytes")):
        open_checkpoint(path)


def test_what_is_no_pickle_is_refused_without_advice_to_run_its_code(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"\x80\x02garbage")
    with pytest.raises(
        CheckpointError, match=says("model.pt", "Unsupported operand", "save the state dict")
    ) as found:
        open_checkpoint(tmp_path / "model.pt")
    assert "weights_only" not in str(found.value)


def test_a_truncated_shard_is_found_before_any_entry_is_read(tmp_path):
    save_file({"layers.0.q_proj.weight": torch.ones(8, 8)}, tmp_path / "a.safetensors")
    save_file({"layers.0.k_proj.weight": torch.ones(8, 8)}, tmp_path / "b.safetensors")
    weight_map = {"layers.0.q_proj.weight": "a.safetensors", "layers.0.k_proj.weight": "b.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    os.truncate(tmp_path / "b.safetensors", 100)
    checkpoint = open_checkpoint(tmp_path)
    with pytest.raises(TruncatedFileError, match=says(tmp_path / "b.safetensors")):
        list_matrices(checkpoint)


def test_bytes_after_the_last_tensor_are_refused(tmp_path):
    path = save_weights(tmp_path / "model.safetensors")
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(CheckpointError, match=says(path, "its header speaks of")):
        open_checkpoint(path)


@pytest.mark.parametrize("name", ["model.safetensors", "model.bin"])
def test_a_git_lfs_pointer_is_recognised(tmp_path, name):
    path = tmp_path / name
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n")
    with pytest.raises(CheckpointError, match=says(path, "git lfs pull")):
        open_checkpoint(path)


@pytest.mark.parametrize("header", [b"[1, 2]", b"{broken", b'{"w": {"dtype": "F32"}}', b'{"w": 3}'])
def test_a_header_that_is_none_is_refused(tmp_path, header):
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CheckpointError, match=says(path, "not a safetensors file")):
        open_checkpoint(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_is_refused_and_runs_none(tmp_path, zipped):
    path, trace = tmp_path / "model.pt", tmp_path / "trace"
    content = {"w": torch.ones(2, 2), "payload": Payload(trace)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        CheckpointError, match=says(path, "mkdir", "may run code", "safetensors", "trust=True")
    ):
        open_checkpoint(path)
    assert not trace.exists()


def test_a_harmless_object_beside_the_weights_needs_trust(tmp_path):
    torch.save({"model": {"w": torch.ones(2, 2)}, "args": Namespace(lr=1.0)}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=says("argparse.Namespace", "trust=True")):
        open_checkpoint(tmp_path / "model.pt")
    assert list(open_checkpoint(tmp_path / "model.pt", trust=True)) == ["w"]


def test_an_empty_folder_says_what_was_looked_for_and_found(tmp_path):
    with pytest.raises(EmptyCheckpointError, match=says(tmp_path, "*.safetensors", "found nothing")):
        open_checkpoint(tmp_path)
    (tmp_path / "optimizer.pt").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(EmptyCheckpointError, match=says(tmp_path, "found 'notes.txt', 'optimizer.pt'")):
        open_checkpoint(tmp_path)


def test_a_file_without_tensors_says_what_it_holds(tmp_path):
    torch.save({"actor": {"w": torch.ones(2)}, "epoch": 3}, tmp_path / "model.pt")
    with pytest.raises(EmptyCheckpointError, match=says(tmp_path, "'actor', 'epoch'", "state_dict")):
        open_checkpoint(tmp_path / "model.pt")
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match=says("list.pt", "holds a list")):
        open_checkpoint(tmp_path / "list.pt")
    save_file({}, tmp_path / "model.safetensors")
    with pytest.raises(EmptyCheckpointError, match=says("model.safetensors", "holds 0 tensors")):
        list_matrices(open_checkpoint(tmp_path / "model.safetensors"))
    with pytest.raises(EmptyCheckpointError, match="no weight with two or more dims"):
        _ = open_checkpoint(tmp_path / "model.safetensors").storage


def test_weights_under_two_keys_are_ambiguous():
    with pytest.raises(CheckpointError, match="'state_dict', 'model'"):
        open_checkpoint({"model": {"w": torch.ones(2)}, "state_dict": {"w": torch.ones(2)}})


def test_a_path_that_does_not_exist_says_what_would_be_taken(tmp_path):
    with pytest.raises(CheckpointError, match=says(tmp_path / "nowhere", "does not exist", "hf download")):
        open_checkpoint(tmp_path / "nowhere")


def test_an_unknown_format_lists_the_known_ones(tmp_path):
    (tmp_path / "model.h5").write_bytes(b"")
    with pytest.raises(CheckpointError, match=says("model.h5", "safetensors", "torch")):
        open_checkpoint(tmp_path / "model.h5")


def test_an_adapter_is_refused_as_folder_file_and_state_dict(tmp_path):
    adapter = {"base_model.model.layers.0.q_proj.lora_A.weight": torch.ones(2, 8)}
    save_file(adapter, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text("{}")
    save_file(adapter, tmp_path / "other.safetensors")
    for path in (tmp_path, tmp_path / "adapter_model.safetensors", tmp_path / "other.safetensors", adapter):
        with pytest.raises(CheckpointError, match=says("adapter", "merge_and_unload")):
            open_checkpoint(path)


def test_gguf_is_refused_as_file_and_in_a_folder(tmp_path):
    path = tmp_path / "model.Q4_K_M.gguf"
    path.write_bytes(b"GGUF")
    for given in (path, tmp_path):
        with pytest.raises(QuantizedTensorError, match=says(path, "GGUF", "safetensors")):
            open_checkpoint(given)


def test_a_single_shard_is_refused_as_a_part_of_the_weights(tmp_path):
    path = tmp_path / "model-00001-of-00002.safetensors"
    save_weights(path)
    with pytest.raises(CheckpointError, match=says(path, "shard 1 of 2", "Give the folder", tmp_path)):
        open_checkpoint(path)
    with pytest.raises(CheckpointError, match=says(tmp_path, path.name, "without their index")):
        open_checkpoint(tmp_path)


def test_a_missing_shard_is_named(tmp_path):
    weight_map = {"w": "model-00001-of-00002.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError, match=says("index.json", weight_map["w"], tmp_path, "download")):
        open_checkpoint(tmp_path)


def test_an_index_that_points_outside_its_folder_is_refused(tmp_path):
    save_weights(tmp_path / "secret.safetensors")
    folder = tmp_path / "model"
    folder.mkdir()
    weight_map = {"layers.0.q_proj.weight": "../secret.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError, match=says("../secret.safetensors")):
        open_checkpoint(folder)


def test_an_index_that_does_not_fit_its_shards_is_found(tmp_path):
    save_weights(tmp_path / "a.safetensors")
    weight_map = {"layers.0.v_proj.weight": "a.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(MissingTensorError, match=says("layers.0.v_proj.weight", "a.safetensors", "again")):
        list_matrices(open_checkpoint(tmp_path))


def test_an_index_without_a_map_is_empty(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text("{}")
    with pytest.raises(EmptyCheckpointError, match=says(index, "weight_map")):
        open_checkpoint(tmp_path)
    index.write_text("{")
    with pytest.raises(CheckpointError, match=says(index, "JSON")):
        open_checkpoint(tmp_path)


def test_two_sets_of_weights_in_a_folder_are_ambiguous(tmp_path):
    for name in ("a.safetensors", "b.pt"):
        save_weights(tmp_path / name)
    with pytest.raises(CheckpointError, match=says(tmp_path, "'a.safetensors', 'b.pt'")):
        open_checkpoint(tmp_path)


def test_a_tensor_that_is_not_there_is_named(tmp_path):
    checkpoint = open_checkpoint(save_weights(tmp_path / "model.safetensors"))
    with pytest.raises(MissingTensorError, match=says("model.safetensors", "'lm_head.weight'", "it holds 2")):
        checkpoint["lm_head.weight"]


def test_weights_of_which_none_is_floating_are_quantised():
    checkpoint = open_checkpoint({"layers.0.q_proj.weight": torch.ones(4, 4, dtype=torch.int8)})
    with pytest.raises(QuantizedTensorError, match=says("<memory>", "int8", "dequantised")):
        _ = checkpoint.storage


def test_weights_on_the_meta_device_are_refused():
    with pytest.raises(CheckpointError, match=says("'w'", "meta")):
        open_checkpoint({"w": torch.empty(2, 2, device="meta")})
