"""The interface of a checkpoint: a lazy, read-only mapping from tensor names to tensors."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import torch

from geostat.checkpoints.mapped import IO, Advice
from geostat.checkpoints.naming import is_weight, strip_wrappers
from geostat.checkpoints.versions import version
from geostat.errors import EmptyCheckpointError, MissingTensorError, NamingError, QuantizedTensorError

STORAGE_NAMES: Mapping[torch.dtype, str] = {
    torch.bfloat16: "bf16",
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.float64: "fp64",
}


class Checkpoint(Mapping[str, torch.Tensor], ABC):
    """Named weights of one training step, read one tensor at a time.

    A new format is a subclass with ``__getitem__``, ``__iter__``, ``__len__``, ``shape`` and ``dtype``, and
    a `geostat.checkpoints.Format` that recognises its paths. Two checkpoints are equal only if they are the
    same object: comparing weights would read them all.
    """

    path: str
    io: IO = "mmap"
    """How bytes of local files are read: mapped, or copied into buffers."""

    @abstractmethod
    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading its entries."""

    @abstractmethod
    def dtype(self, name: str) -> torch.dtype:
        """Dtype in which a tensor is stored, without reading its entries."""

    @property
    def config(self) -> dict[str, Any] | None:
        """Architecture description (``config.json`` beside the weights), or None."""
        return None

    @property
    def files(self) -> tuple[tuple[str, int], ...]:
        """Path and size in bytes of every weights file; empty for weights in memory."""
        return ()

    def version_of(self, path: str) -> str | None:
        """What tells a weights file from one written in its place later, without reading it.

        Parameters
        ----------
        path : str
            One of the paths in `files`.

        Returns
        -------
        str or None
            Equal as long as the file is the same. Of a local file its time of change in nanoseconds; behind
            an fsspec URL what its file system says (ETag, generation, time of change). None where it says
            nothing, or there is no such file: then only the size is left to go by.

        Raises
        ------
        CheckpointError
            The file cannot be reached.
        """
        return version(path)

    def file_of(self, name: str) -> str:
        """File that holds a tensor; `path` where there is only one."""
        return self.path

    def read_part(self, name: str, index: int | slice) -> torch.Tensor:
        """Part of a tensor along its first dimension; only that part is read where the format allows it."""
        return self[name][index]

    def advise(self, name: str, advice: Advice, index: int | slice = slice(None)) -> None:
        """Say that a tensor, or a part of it along its first dimension, is needed soon or not any more.

        A hint to the disk and to the system's cache, where the format can give it: no tensor changes, and what
        was said not to be needed can be read again.

        Parameters
        ----------
        name : str
            Key of the tensor.
        advice : {"willneed", "dontneed"}
            What to expect.
        index : int or slice
            Which part.
        """

    def memory_key(self, name: str) -> Hashable | None:
        """Key that two names share when they are views of the same memory; None where that is unknown."""
        return None

    def close(self) -> None:
        """Release open files. The checkpoint may be used again: it reopens them."""

    @cached_property
    def storage(self) -> str:
        """Floating-point type of the stored weights: "bf16", "fp32", "fp16", "fp64" or "mixed".

        Taken over weights with two or more dims. It says how the file was written, not how training kept
        its weights: a bf16 checkpoint is usually the rounded copy of fp32 masters.
        """
        found = {self.dtype(name) for name in self if is_weight(name) and len(self.shape(name)) >= 2}
        floating = {dtype for dtype in found if dtype.is_floating_point}
        if not floating:
            raise self._without_storage(found)
        if len(floating) > 1:
            return "mixed"
        (dtype,) = floating
        if dtype not in STORAGE_NAMES:
            raise self._without_storage(found)
        return STORAGE_NAMES[dtype]

    def stored_name(self, name: str) -> str | None:
        """Key of a tensor whose name may lack the prefix of a wrapper (``module.`` ...), or None."""
        if name in self:
            return name
        return self.unwrapped_names.get(name)

    @cached_property
    def unwrapped_names(self) -> Mapping[str, str]:
        """Key of every tensor, by its name without wrapper prefixes."""
        found: dict[str, str] = {}
        for key in self:
            other = found.setdefault(strip_wrappers(key), key)
            if other != key:
                raise NamingError(
                    f"{self.path} holds both '{other}' and '{key}', the same tensor once without its wrapper "
                    "prefix. Save one state dict, or pass a mapping with the one that counts."
                )
        return found

    def _missing(self, name: str) -> MissingTensorError:
        return MissingTensorError(
            f"{self.path} holds no tensor '{name}'; it holds {len(self)}, {preview(self)}. "
            "Compare the names with list(open_checkpoint(path))."
        )

    def _without_storage(self, dtypes: Iterable[torch.dtype]) -> Exception:
        names = preview(sorted(str(dtype) for dtype in dtypes))
        if not names:
            return EmptyCheckpointError(f"{self.path} holds no weight with two or more dims.")
        return QuantizedTensorError(
            f"the weights of {self.path} are stored as {names}: quantised. "
            "Save the checkpoint in bf16 or fp32 (dequantised) and measure that."
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r}, {len(self)} tensors)"


def preview(names: Iterable[str], limit: int = 5) -> str:
    """First few names of many, for an error message."""
    listed = list(names)
    shown = ", ".join(f"'{name}'" for name in listed[:limit])
    return shown if len(listed) <= limit else f"{shown} and {len(listed) - limit} more"
