"""One safetensors file."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import torch

from geostat.checkpoints.base import Checkpoint
from geostat.checkpoints.config import config_beside
from geostat.checkpoints.mapped import IO, Advice, FileBytes
from geostat.checkpoints.paths import local_file, parent, reading
from geostat.errors import CheckpointError, QuantizedTensorError, TruncatedFileError

_DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E8M0": torch.float8_e8m0fnu,
    "C64": torch.complex64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_LARGEST_HEADER = 100_000_000  # the format's own limit


class SafetensorsFile(Checkpoint):
    """Weights in one safetensors file: the header is read at once, tensors when asked for.

    Tensors are views of the mapped file (``io="mmap"``) or of buffers (``"read"``): do not write into them.
    """

    def __init__(self, path: str, *, config: Mapping[str, Any] | None = None, io: IO = "mmap") -> None:
        self.path = path
        self._local = local_file(path)
        self._given_config = dict(config) if config is not None else None
        self.io = io
        self._opened: FileBytes | None = None
        self._written = 0
        _ = self._header  # a damaged file is refused here

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.read_part(name, slice(None))

    def read_part(self, name: str, index: int | slice) -> torch.Tensor:
        """Part of a tensor along its first dimension; only that part is read."""
        dtype, (start, stop, shape) = self.dtype(name), self._extent(name, index)
        if start == stop:
            return torch.empty(shape, dtype=dtype)
        stored = self._open().take(start, stop)
        if start % dtype.itemsize:  # the format does not promise alignment
            stored = stored.copy()
        return torch.from_numpy(stored).view(dtype).view(shape)

    def advise(self, name: str, advice: Advice, index: int | slice = slice(None)) -> None:
        """Say that a tensor, or a part of it along its first dimension, is needed soon or not any more."""
        start, stop, _ = self._extent(name, index)
        if start < stop:
            self._open().advise(start, stop, advice)

    def __contains__(self, name: object) -> bool:
        return name in self._header

    def __iter__(self) -> Iterator[str]:
        return iter(self._header)

    def __len__(self) -> int:
        return len(self._header)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from the header."""
        return tuple(self._entry(name)["shape"])

    def dtype(self, name: str) -> torch.dtype:
        """Dtype of a tensor, from the header."""
        code = self._entry(name)["dtype"]
        if code not in _DTYPES:
            raise QuantizedTensorError(
                f"tensor '{name}' of {self.path} is stored as {code}, which has no place in a comparison of "
                "weights. Save the checkpoint in bf16 or fp32 and measure that."
            )
        return _DTYPES[code]

    @cached_property
    def config(self) -> dict[str, Any] | None:
        """Architecture description (``config.json`` beside the file), or None."""
        return self._given_config if self._given_config is not None else config_beside(parent(self.path))

    @property
    def files(self) -> tuple[tuple[str, int], ...]:
        """Path and size in bytes of the file."""
        return ((self.path, os.path.getsize(self._local)),)

    def close(self) -> None:
        """Release the open file."""
        self._opened = None

    @cached_property
    def _header(self) -> dict[str, dict[str, Any]]:
        with reading(self.path):
            self._written = os.stat(self._local).st_mtime_ns  # first: what is written meanwhile is noticed
            return _read_header(self.path, self._local)

    def _entry(self, name: str) -> dict[str, Any]:
        try:
            return self._header[name]
        except KeyError:
            raise self._missing(name) from None

    def _extent(self, name: str, index: int | slice) -> tuple[int, int, tuple[int, ...]]:
        """Where part of a tensor lies in the file, from which byte to which, and its shape."""
        (start, stop), shape = self._entry(name)["data_offsets"], self.shape(name)
        if not shape:
            return start, stop, shape
        size = (stop - start) // max(1, shape[0])
        if isinstance(index, slice):
            first, last, _ = index.indices(shape[0])
            last = max(first, last)
            return start + first * size, start + last * size, (last - first, *shape[1:])
        first = range(shape[0])[index]
        return start + first * size, start + (first + 1) * size, shape[1:]

    def _open(self) -> FileBytes:
        if self._opened is None:
            self._opened = FileBytes(self.path, self._local, self.io, self._written)
        return self._opened

    def __getstate__(self) -> dict[str, Any]:
        kept = ("path", "_local", "_given_config", "io")
        return {"_opened": None, **{key: self.__dict__[key] for key in kept}}


def _read_header(path: str, local: str) -> dict[str, dict[str, Any]]:
    """Entries of the header, after the file's size was checked against them."""
    found = os.path.getsize(local)
    with open(local, "rb") as file:
        head = file.read(8)
        length = int.from_bytes(head, "little")
        if len(head) == 8 and length > _LARGEST_HEADER:
            raise _unreadable(path, f"its first bytes are {head!r}")
        if found < 8 + length or len(head) < 8:
            raise _truncated(path, found, f"at least {8 + length}")
        header = _parse(path, file.read(length))
    expected = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if found < expected:
        raise _truncated(path, found, str(expected))
    if found > expected:
        raise _unreadable(path, f"it has {found} bytes, its header speaks of {expected}")
    return {name: _placed(path, name, entry, 8 + length) for name, entry in header.items()}


def _placed(path: str, name: str, entry: dict[str, Any], origin: int) -> dict[str, Any]:
    """Entry with offsets from the start of the file, after its size was checked against its shape."""
    start, stop = entry["data_offsets"]
    dtype = _DTYPES.get(entry["dtype"])
    size = stop - start if dtype is None else math.prod(entry["shape"]) * dtype.itemsize
    if stop - start != size:
        raise _unreadable(path, f"tensor '{name}' of shape {entry['shape']} has bytes {start} to {stop}")
    return {**entry, "data_offsets": (origin + start, origin + stop)}


def _parse(path: str, text: bytes) -> dict[str, dict[str, Any]]:
    try:
        header: dict[str, dict[str, Any]] = json.loads(text)
        header.pop("__metadata__", None)
        odd = [name for name, entry in header.items() if not _is_entry(entry)]
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise _unreadable(path, str(error)) from error
    if odd:
        raise _unreadable(path, f"the header gives '{odd[0]}' no dtype, shape and two offsets")
    return header


def _is_entry(entry: Any) -> bool:
    """Whether an entry of the header holds a dtype, a shape and two offsets."""
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    counts = (entry.get("shape"), entry.get("data_offsets"))
    whole = all(isinstance(c, list) and all(type(n) is int and n >= 0 for n in c) for c in counts)
    return whole and len(entry["data_offsets"]) == 2


def _truncated(path: str, found: int, expected: str) -> TruncatedFileError:
    return TruncatedFileError(
        f"{path} is truncated: it has {found} bytes, its header asks for {expected}. "
        "The write or the copy was interrupted: copy or save the file again."
    )


def _unreadable(path: str, detail: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is not a safetensors file ({detail}). "
        "If it is a Git LFS pointer, run `git lfs pull`; otherwise copy or save the file again."
    )
