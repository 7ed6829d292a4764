"""One safetensors file."""

import json
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from geostat.checkpoints.base import Checkpoint
from geostat.checkpoints.config import config_beside
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
    """Weights in one safetensors file: the header is read at once, tensors when asked for."""

    def __init__(self, path: str, *, config: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self._local = local_file(path)
        self._given_config = dict(config) if config is not None else None
        self._handle: tuple[int, Any] | None = None
        _ = self._header  # a damaged file is refused here

    def __getitem__(self, name: str) -> torch.Tensor:
        self._entry(name)
        tensor: torch.Tensor = self._open().get_tensor(name)
        return tensor

    def read_part(self, name: str, index: int | slice) -> torch.Tensor:
        """Part of a tensor along its first dimension; only that part is read."""
        self._entry(name)
        tensor: torch.Tensor = self._open().get_slice(name)[index]
        return tensor

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
        self._handle = None

    @cached_property
    def _header(self) -> dict[str, dict[str, Any]]:
        with reading(self.path):
            return _read_header(self.path, self._local)

    def _entry(self, name: str) -> dict[str, Any]:
        try:
            return self._header[name]
        except KeyError:
            raise self._missing(name) from None

    def _open(self) -> Any:
        # A handle made before a fork belongs to the parent.
        if self._handle is None or self._handle[0] != os.getpid():
            try:
                with reading(self.path):
                    self._handle = (os.getpid(), safe_open(self._local, framework="pt", device="cpu"))
            except SafetensorError as error:
                raise _unreadable(self.path, str(error)) from error
        return self._handle[1]

    def __getstate__(self) -> dict[str, Any]:
        kept = ("path", "_local", "_given_config")
        return {"_handle": None, **{key: self.__dict__[key] for key in kept}}


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
    return header


def _parse(path: str, text: bytes) -> dict[str, dict[str, Any]]:
    try:
        header: dict[str, dict[str, Any]] = json.loads(text)
        header.pop("__metadata__", None)
        if all({"dtype", "shape", "data_offsets"} <= entry.keys() for entry in header.values()):
            return header
    except (ValueError, AttributeError, TypeError) as error:
        raise _unreadable(path, str(error)) from error
    raise _unreadable(path, "an entry of the header lacks dtype, shape or offsets")


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
