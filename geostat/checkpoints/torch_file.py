"""One file of ``torch.save``."""

import os
import pickle
import re
import zipfile
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch

from geostat.checkpoints.config import config_beside
from geostat.checkpoints.memory import MemoryCheckpoint, tensors_of
from geostat.checkpoints.paths import local_file, parent, reading
from geostat.errors import CheckpointError, TruncatedFileError

SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
_ZIP = b"PK"


class TorchFile(MemoryCheckpoint):
    """Weights in one file of ``torch.save``, mapped into memory: entries are read when touched."""

    def __init__(self, path: str, *, trust: bool = False, config: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self._trust = trust
        self._local = local_file(path)
        self._config = dict(config) if config is not None else config_beside(parent(path))
        _ = self._tensors  # a damaged or unsafe file is refused here

    @cached_property
    def _tensors(self) -> dict[str, torch.Tensor]:  # type: ignore[override]
        with reading(self.path):
            content = load(self.path, self._local, trust=self._trust)
        return tensors_of(content, self.path)

    @property
    def files(self) -> tuple[tuple[str, int], ...]:
        """Path and size in bytes of the file."""
        return ((self.path, os.path.getsize(self._local)),)

    def close(self) -> None:
        """Release the mapped file."""
        self.__dict__.pop("_tensors", None)

    def __getstate__(self) -> dict[str, Any]:
        return {key: self.__dict__[key] for key in ("path", "_trust", "_local", "_config")}


def matches(path: str) -> bool:
    """Whether a path has a suffix of ``torch.save``."""
    return path.endswith(SUFFIXES)


def open_torch(path: str, *, trust: bool, config: Mapping[str, Any] | None) -> TorchFile:
    """Open one file of ``torch.save``."""
    return TorchFile(path, trust=trust, config=config)


def load(path: str, local: str, *, trust: bool) -> Mapping[str, Any]:
    """Content of a file of ``torch.save``, without running code from it unless `trust`."""
    zipped = _starts_with(local, _ZIP)
    if os.path.getsize(local) == 0 or (zipped and not zipfile.is_zipfile(local)):
        raise _truncated(path, local, "its archive has no end")
    try:
        # Files from before torch 1.6 are plain pickles, which cannot be mapped.
        content = torch.load(local, map_location="cpu", weights_only=not trust, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise _refused(path, local, str(error)) from error
    except EOFError as error:
        raise _truncated(path, local, "its pickle has no end") from error
    except (RuntimeError, AttributeError, ModuleNotFoundError) as error:
        raise _failed(path, local, str(error)) from error
    if isinstance(content, torch.nn.Module):
        return content.state_dict(keep_vars=True)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(content).__name__}, not a mapping from names to tensors. "
            "Save a state dict."
        )
    return content


def _starts_with(local: str, magic: bytes) -> bool:
    with open(local, "rb") as file:
        return file.read(len(magic)) == magic


def _refused(path: str, local: str, detail: str) -> CheckpointError:
    if "pickle data was truncated" in detail:
        return _truncated(path, local, "its pickle has no end")
    found = re.search(r"GLOBAL ([\w.]+)", detail)
    if found is None:
        return _failed(path, local, detail.rpartition("WeightsUnpickler error:")[2].strip() or detail)
    return CheckpointError(
        f"{path} is a pickle that asks for '{found[1]}', which may run code: not loaded. Save the weights "
        "alone, torch.save(model.state_dict(), path) or safetensors; or, if the file is your own, "
        "pass trust=True."
    )


def _failed(path: str, local: str, detail: str) -> CheckpointError:
    if "unexpected EOF" in detail or "central directory" in detail:
        return _truncated(path, local, detail.split(". ")[0])
    return CheckpointError(
        f"{path} is not a file of torch.save that holds weights alone ({detail.splitlines()[0]}). "
        "If it is a Git LFS pointer, run `git lfs pull`; otherwise save the state dict again."
    )


def _truncated(path: str, local: str, detail: str) -> TruncatedFileError:
    return TruncatedFileError(
        f"{path} is truncated: {detail} ({os.path.getsize(local)} bytes found). "
        "The write or the copy was interrupted: copy or save the file again."
    )
