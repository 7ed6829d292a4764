"""A folder in Hugging Face layout: which of its files are the weights."""

import re
from collections.abc import Mapping
from typing import Any

from geostat.checkpoints import refusals, sharded, torch_file
from geostat.checkpoints.base import Checkpoint, preview
from geostat.checkpoints.paths import entries, is_directory, join
from geostat.checkpoints.safetensors_file import SafetensorsFile
from geostat.errors import CheckpointError, EmptyCheckpointError

STANDARD = (
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
"""Standard names, the preferred kind first: one file, or the index of several."""

_TRAINING_STATE = re.compile(
    r"^(?:training_args|optimizer|scheduler|scaler|rng_state|random_states|trainer_state|optim)[^/]*\."
)


def matches(path: str) -> bool:
    """Whether a path is a folder."""
    return is_directory(path)


def open_directory(path: str, *, trust: bool, config: Mapping[str, Any] | None) -> Checkpoint:
    """Open the weights in a folder."""
    names = entries(path)
    refusals.refuse_adapter_files(path, names)
    chosen = join(path, _weights_name(path, names))
    if chosen.endswith(sharded.INDEX_SUFFIX):
        return sharded.ShardedCheckpoint(chosen, trust=trust, config=config)
    if chosen.endswith(".safetensors"):
        return SafetensorsFile(chosen, config=config)
    return torch_file.TorchFile(chosen, trust=trust, config=config)


def _weights_name(path: str, names: tuple[str, ...]) -> str:
    """Name of the file, or of the index, that holds the weights of a folder."""
    for pair in STANDARD:
        present = [name for name in pair if name in names]
        if len(present) > 1:
            raise _ambiguous(path, present)
        if present:
            return present[0]
    candidates = [name for name in names if is_weights_file(name)]
    if not candidates:
        raise _empty(path, names)
    if any(sharded.matches(name) for name in candidates):
        raise CheckpointError(
            f"{path} holds shards ({preview(candidates)}) without their index.json. "
            "Finish the download or the copy."
        )
    if len(candidates) > 1:
        raise _ambiguous(path, candidates)
    return candidates[0]


def is_weights_file(name: str) -> bool:
    """Whether a file name is that of weights, and not of an optimiser's or a trainer's state."""
    return name.endswith((".safetensors", *torch_file.SUFFIXES)) and not _TRAINING_STATE.match(name)


def _ambiguous(path: str, names: list[str]) -> CheckpointError:
    return CheckpointError(
        f"{path} holds more than one set of weights: {preview(names)}. Give the path of the one that counts."
    )


def _empty(path: str, names: tuple[str, ...]) -> CheckpointError:
    refusals.refuse_other_formats(path, names)
    return EmptyCheckpointError(
        f"{path} holds no weights: looked for *.safetensors, *.pt, *.pth, *.bin, *.ckpt and an index.json of "
        f"shards, found {preview(names) or 'nothing'}. Give the folder, or the file, that holds them."
    )
