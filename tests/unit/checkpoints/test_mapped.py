"""Reading without copies: mapped files, buffers that are used again, advice, files that change meanwhile."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from geostat.checkpoints import list_matrices, open_checkpoint, prefetch, read_matrix
from geostat.checkpoints.finite import is_finite
from geostat.checkpoints.mapped import FileBytes
from geostat.errors import CheckpointError, NonFiniteError, TruncatedFileError

NAME = "blocks.0.attention.query.weight"
IO = pytest.mark.parametrize("io", ["mmap", "read"])


@pytest.fixture
def weights():
    generator = torch.Generator().manual_seed(0)
    return {
        NAME: torch.randn(64, 32, generator=generator).to(torch.bfloat16),
        "blocks.0.attention.key.weight": torch.randn(16, 32, generator=generator),
        "experts": torch.randn(3, 4, 5, generator=generator).to(torch.float16),
        "scalar": torch.tensor(3.0, dtype=torch.float64),
        "empty": torch.zeros(0, 4),
        "flags": torch.tensor([True, False, True]),
    }


@pytest.fixture
def path(weights, tmp_path):
    save_file(weights, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@IO
def test_every_way_of_reading_gives_the_stored_tensors(path, weights, io):
    with open_checkpoint(path, io=io) as checkpoint:
        for name, expected in weights.items():
            assert checkpoint[name].dtype is expected.dtype
            assert torch.equal(checkpoint[name], expected)
        for part in (0, -1, slice(1, 3), slice(2, None), slice(3, 1)):
            assert torch.equal(checkpoint.read_part("experts", part), weights["experts"][part])
        with pytest.raises(IndexError):
            checkpoint.read_part("experts", 3)


@IO
def test_a_shard_is_read_as_its_checkpoint_says(path, weights, io):
    index = path.parent / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {NAME: "model.safetensors"}}))
    checkpoint = pickle.loads(pickle.dumps(open_checkpoint(index, io=io)))
    assert torch.equal(checkpoint[NAME], weights[NAME])
    assert checkpoint.io == io
    assert checkpoint._shards[str(path)].io == io


def test_mapped_tensors_share_the_files_pages(path):
    checkpoint = open_checkpoint(path)
    assert checkpoint[NAME].data_ptr() == checkpoint[NAME].data_ptr()
    assert checkpoint.read_part(NAME, 2).data_ptr() == checkpoint[NAME][2].data_ptr()


def test_a_tensor_outlives_its_closed_checkpoint_and_its_deleted_file(path, weights):
    checkpoint = open_checkpoint(path)
    found = checkpoint[NAME]
    checkpoint.close()
    path.unlink()
    assert torch.equal(found, weights[NAME])


def test_writing_into_a_tensor_never_reaches_the_file(path, weights):
    checkpoint = open_checkpoint(path)
    checkpoint[NAME].zero_()
    checkpoint.close()
    assert torch.equal(open_checkpoint(path)[NAME], weights[NAME])


def test_buffers_are_used_again_once_nobody_refers_to_them(path, weights):
    checkpoint = open_checkpoint(path, io="read")
    first = checkpoint[NAME]
    address = first.data_ptr()
    view = first[3:5]
    del first
    other = checkpoint[NAME]  # the buffer is still in use, by a view of it
    assert other.data_ptr() != address
    assert torch.equal(view, weights[NAME][3:5])
    del view
    assert checkpoint["blocks.0.attention.key.weight"].data_ptr() == address
    assert torch.equal(other, weights[NAME])


@IO
def test_a_file_that_was_cut_short_meanwhile_is_an_error_and_no_signal(path, io):
    checkpoint = open_checkpoint(path, io=io)
    _ = checkpoint[NAME]
    os.truncate(path, 1500)
    with pytest.raises(TruncatedFileError, match=r"model.safetensors has become shorter.*run the same call"):
        list(map(checkpoint.__getitem__, checkpoint))


@IO
@pytest.mark.parametrize("opened", [False, True], ids=["before", "while"])
def test_a_file_written_in_place_of_another_is_not_read_by_the_old_header(path, weights, io, opened):
    checkpoint = open_checkpoint(path, io=io)
    if opened:
        _ = checkpoint[NAME]
    path.write_bytes(save({NAME: weights[NAME].T.contiguous(), "other": torch.ones(9000)}))
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))
    with pytest.raises(CheckpointError, match=r"model.safetensors was written anew .* run the same call"):
        _ = checkpoint[NAME]
    assert open_checkpoint(path, io=io)[NAME].shape == (32, 64)


@IO
def test_a_file_replaced_by_renaming_stays_the_old_one_once_it_is_open(path, weights, io):
    checkpoint = open_checkpoint(path, io=io)
    _ = checkpoint[NAME]
    save_file({NAME: torch.zeros(64, 32)}, path.parent / "new")
    os.utime(path.parent / "new", ns=(0, 10**9))
    os.replace(path.parent / "new", path)
    assert torch.equal(checkpoint[NAME], weights[NAME])
    checkpoint.close()
    with pytest.raises(CheckpointError, match="was written anew"):
        _ = checkpoint[NAME]


def test_a_file_that_cannot_be_mapped_is_read(path, weights, monkeypatch):
    def refuse(*_, **__):
        raise OSError("cannot allocate memory")

    monkeypatch.setattr("geostat.checkpoints.mapped.mmap.mmap", refuse)
    assert torch.equal(open_checkpoint(path)[NAME], weights[NAME])


def test_tensors_at_odd_offsets_are_read(tmp_path):
    expected = np.arange(6, dtype=np.float32)
    header = b'{"q.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}'
    header += b" " * (1 + (-len(header)) % 8)  # no alignment whatever
    (tmp_path / "odd.safetensors").write_bytes(
        len(header).to_bytes(8, "little") + header + expected.tobytes()
    )
    for io in ("mmap", "read"):
        found = open_checkpoint(tmp_path / "odd.safetensors", io=io)["q.weight"]
        assert torch.equal(found, torch.from_numpy(expected).reshape(2, 3))
        assert found.data_ptr() % 4 == 0


def test_offsets_that_do_not_fit_the_shape_are_refused(tmp_path):
    for offsets in ([0, 20], [-4, 20]):
        header = b'{"q": {"dtype": "F32", "shape": [2, 3], "data_offsets": %s}}' % str(offsets).encode()
        file = tmp_path / "bad.safetensors"
        file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(offsets[1]))
        with pytest.raises(CheckpointError, match="not a safetensors file"):
            open_checkpoint(file)


@pytest.mark.parametrize(
    "entry",
    [
        '{"dtype": "F32", "shape": [2, 3], "data_offsets": [0.0, 24.0]}',
        '{"dtype": "F32", "shape": [2, 3], "data_offsets": ["0", "24"]}',
        '{"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24, 24]}',
        '{"dtype": "F32", "shape": [2, 3], "data_offsets": null}',
        '{"dtype": "F32", "shape": [-2, -3], "data_offsets": [0, 24]}',
        '{"dtype": "F32", "shape": "23", "data_offsets": [0, 24]}',
        '{"dtype": ["F32"], "shape": [2, 3], "data_offsets": [0, 24]}',
        "[1]",
        "[" * 100_000,
    ],
)
def test_a_damaged_header_is_no_safetensors_file(tmp_path, entry):
    header = b'{"q.weight": %s}' % entry.encode()
    file = tmp_path / "bad.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(24))
    with pytest.raises(CheckpointError, match="bad.safetensors is not a safetensors file"):
        open_checkpoint(file)


@IO
def test_advice_changes_no_tensor(path, weights, io):
    checkpoint = open_checkpoint(path, io=io)
    for name in weights:
        checkpoint.advise(name, "willneed")
        found = checkpoint[name]
        checkpoint.advise(name, "dontneed")
        assert torch.equal(found, weights[name])
    checkpoint.advise("experts", "willneed", 2)
    open_checkpoint(weights).advise(NAME, "dontneed")


def test_a_page_that_is_not_needed_any_more_leaves_the_memory(tmp_path):
    save_file({NAME: torch.ones(512, 4096, dtype=torch.bfloat16)}, tmp_path / "large.safetensors")
    with open_checkpoint(tmp_path / "large.safetensors") as checkpoint:
        _ = checkpoint[NAME].sum()
        touched = _resident_file_pages()
        checkpoint.advise(NAME, "dontneed")
        assert touched - _resident_file_pages() > 3000  # KiB of the 4 MiB that were touched


def _resident_file_pages() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile:"))


@IO
def test_a_prefetched_matrix_is_announced_to_every_checkpoint(path, io, monkeypatch):
    told = []
    monkeypatch.setattr(FileBytes, "advise", lambda *args: told.append(args[1:]))
    checkpoints = [open_checkpoint(path, io=io) for _ in range(2)]
    (ref,) = list_matrices(checkpoints[0], "*query")
    prefetch(checkpoints, ref).join()
    start, stop, _ = checkpoints[0]._extent(NAME, slice(None))
    assert told == [(start, stop, "willneed")] * 2


def test_what_cannot_be_prefetched_is_reported_where_it_is_read(path):
    checkpoint = open_checkpoint(path)
    (ref,) = list_matrices(checkpoint, "*query")
    path.unlink()
    prefetch([checkpoint], ref).join()
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_matrix(checkpoint, ref)


def test_an_unknown_way_of_reading_is_refused(path):
    with pytest.raises(CheckpointError, match=r"io='direct'.*'mmap'.*'read'"):
        open_checkpoint(path, io="direct")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_only_nan_and_infinity_are_not_finite(dtype):
    info = torch.finfo(dtype)
    edges = [0.0, -0.0, info.max, info.min, info.tiny, -info.tiny, info.smallest_normal / 2]
    assert is_finite(torch.tensor([edges], dtype=dtype))
    assert is_finite(torch.tensor([edges, edges], dtype=dtype).T)
    assert is_finite(torch.zeros(0, 3, dtype=dtype))
    for bad in (torch.nan, torch.inf, -torch.inf):
        assert not is_finite(torch.tensor([*edges, bad], dtype=dtype))
        assert not is_finite(-torch.tensor([*edges, bad], dtype=dtype))


@IO
def test_an_overflow_in_half_precision_is_named(tmp_path, io):
    overflown = torch.ones(4, 3)
    overflown[2, 1] = 70_000.0  # beyond the largest half-precision number, 65,504
    save_file({NAME: overflown.to(torch.float16)}, tmp_path / "half.safetensors")
    checkpoint = open_checkpoint(tmp_path / "half.safetensors", io=io)
    (ref,) = list_matrices(checkpoint)
    with pytest.raises(NonFiniteError, match=r"1 infinite entries of 12, the first at row 2, column 1"):
        read_matrix(checkpoint, ref)


def test_an_empty_file_has_no_bytes(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(TruncatedFileError, match="ends at 0"):
        FileBytes("empty", str(tmp_path / "empty"), "mmap").take(0, 1)
