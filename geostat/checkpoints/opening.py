"""Opening a checkpoint: the formats, and the one function that chooses among them."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from geostat.checkpoints import directory, refusals, sharded, torch_file
from geostat.checkpoints.base import Checkpoint
from geostat.checkpoints.mapped import IO, check_io
from geostat.checkpoints.memory import MemoryCheckpoint
from geostat.checkpoints.paths import as_path, exists
from geostat.checkpoints.safetensors_file import SafetensorsFile
from geostat.errors import CheckpointError


class Opener(Protocol):
    """Function that opens a path as a checkpoint."""

    def __call__(self, path: str, *, trust: bool, config: Mapping[str, Any] | None) -> Checkpoint:
        """Open `path`; `trust` allows pickles that run code."""


@dataclass(frozen=True)
class Format:
    """A checkpoint format: which paths are its own, and how to open one.

    Attributes
    ----------
    name : str
        Name for error messages.
    matches : callable
        Whether a path (str, perhaps an fsspec URL) is of this format; must be cheap.
    open : callable
        ``open(path, trust=..., config=...)`` gives the `Checkpoint`.
    """

    name: str
    matches: Callable[[str], bool]
    open: Opener


def _open_safetensors(path: str, *, trust: bool, config: Mapping[str, Any] | None) -> Checkpoint:
    return SafetensorsFile(path, config=config)


FORMATS: tuple[Format, ...] = (
    Format("refused", refusals.matches, refusals.refuse),
    Format("sharded weights", sharded.matches, sharded.open_index),
    Format("safetensors", lambda path: path.endswith(".safetensors"), _open_safetensors),
    Format("torch", torch_file.matches, torch_file.open_torch),
    Format("directory", directory.matches, directory.open_directory),
)
"""The formats, in the order in which they are asked."""


def open_checkpoint(
    path: str | os.PathLike[str] | Mapping[str, Any] | torch.nn.Module | Checkpoint,
    *,
    trust: bool = False,
    config: Mapping[str, Any] | None = None,
    formats: tuple[Format, ...] = FORMATS,
    io: IO = "mmap",
) -> Checkpoint:
    """Open a checkpoint as a lazy mapping from tensor names to tensors.

    Nothing but headers is read until a tensor is asked for, and reading runs no code from the file.

    Parameters
    ----------
    path : path, mapping or module
        A safetensors or torch file, an ``index.json`` of shards, a folder in Hugging Face layout, an fsspec
        URL of one of these, a state dict, or a module. A checkpoint is returned as it is.
    trust : bool
        Allow a torch file to run the code that its pickle holds. Only for files of your own.
    config : mapping, optional
        Architecture description, where there is no ``config.json`` beside the weights.
    formats : tuple of Format
        Formats to try, in this order.
    io : {"mmap", "read"}
        How safetensors files are read: mapped into memory, or copied into buffers that are used again, for
        network disks and for files that may be cut short meanwhile. Torch files are mapped either way.

    Returns
    -------
    Checkpoint
        Tensors are on the CPU, in the dtype in which they are stored.

    Raises
    ------
    CheckpointError
        The path does not exist, or is no checkpoint that can be read safely.
    EmptyCheckpointError
        There are no weights.
    TruncatedFileError
        A file is shorter than its header says.

    Examples
    --------
    >>> import torch
    >>> checkpoint = open_checkpoint({"blocks.0.mlp.up.weight": torch.zeros(8, 4)})
    >>> checkpoint.shape("blocks.0.mlp.up.weight"), checkpoint.storage
    ((8, 4), 'fp32')
    """
    check_io(io)
    if isinstance(path, Checkpoint):
        return path
    checkpoint: Checkpoint
    if isinstance(path, Mapping | torch.nn.Module):
        checkpoint = MemoryCheckpoint(path, config=config)
    else:
        checkpoint = _open_path(as_path(path), trust=trust, config=config, formats=formats)
        checkpoint.io = io  # before a tensor is read: formats of others need not know of it
    refusals.refuse_adapter_tensors(checkpoint)
    return checkpoint


def _open_path(
    path: str, *, trust: bool, config: Mapping[str, Any] | None, formats: tuple[Format, ...]
) -> Checkpoint:
    if not exists(path):
        raise CheckpointError(
            f"{path} does not exist. Give a weights file, a folder that holds one, or an fsspec URL; "
            "a model of the Hugging Face hub is downloaded first (`hf download NAME --local-dir FOLDER`)."
        )
    for candidate in formats:
        if candidate.matches(path):
            return candidate.open(path, trust=trust, config=config)
    known = ", ".join(item.name for item in formats if item.name != "refused")
    raise CheckpointError(
        f"{path} is of no known format ({known}). Save the weights as safetensors, "
        "or load them yourself and pass the state dict."
    )
