"""Weights in several files, with an index that says which tensor is where."""

import re
from collections.abc import Hashable, Iterator, Mapping
from functools import cached_property
from typing import Any

import torch

from geostat.checkpoints.base import Checkpoint, preview
from geostat.checkpoints.config import config_beside, read_json
from geostat.checkpoints.mapped import Advice
from geostat.checkpoints.paths import base_name, entries, join, parent, size
from geostat.checkpoints.safetensors_file import SafetensorsFile
from geostat.checkpoints.torch_file import TorchFile
from geostat.errors import CheckpointError, EmptyCheckpointError, MissingTensorError

INDEX_SUFFIX = ".index.json"
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.(?:safetensors|bin)$")


class ShardedCheckpoint(Checkpoint):
    """Weights in several safetensors or torch files, each opened when one of its tensors is asked for."""

    def __init__(self, path: str, *, trust: bool = False, config: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self._trust = trust
        self._given_config = dict(config) if config is not None else None
        self._shards: dict[str, Checkpoint] = {}
        _ = self._shard_of  # an incomplete index is refused here

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._shard(name)[name]

    def __contains__(self, name: object) -> bool:
        return name in self._shard_of

    def __iter__(self) -> Iterator[str]:
        return iter(self._shard_of)

    def __len__(self) -> int:
        return len(self._shard_of)

    def read_part(self, name: str, index: int | slice) -> torch.Tensor:
        """Part of a tensor along its first dimension."""
        return self._shard(name).read_part(name, index)

    def advise(self, name: str, advice: Advice, index: int | slice = slice(None)) -> None:
        """Pass advice on to the shard that holds a tensor."""
        self._shard(name).advise(name, advice, index)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from its shard's header."""
        return self._shard(name).shape(name)

    def dtype(self, name: str) -> torch.dtype:
        """Dtype of a tensor, from its shard's header."""
        return self._shard(name).dtype(name)

    def memory_key(self, name: str) -> Hashable | None:
        """Key that two names of the same memory share, where the shard knows it."""
        return self._shard(name).memory_key(name)

    def file_of(self, name: str) -> str:
        """Shard that holds a tensor."""
        if name not in self._shard_of:
            raise self._missing(name)
        return join(parent(self.path), self._shard_of[name])

    @cached_property
    def config(self) -> dict[str, Any] | None:
        """Architecture description (``config.json`` beside the index), or None."""
        return self._given_config if self._given_config is not None else config_beside(parent(self.path))

    @cached_property
    def files(self) -> tuple[tuple[str, int], ...]:
        """Path and size in bytes of every shard."""
        paths = [join(parent(self.path), shard) for shard in sorted(set(self._shard_of.values()))]
        return tuple((path, size(path)) for path in paths)

    def close(self) -> None:
        """Release the open shards."""
        self._shards.clear()

    @cached_property
    def _shard_of(self) -> dict[str, str]:
        return _weight_map(self.path)

    def _shard(self, name: str) -> Checkpoint:
        path = self.file_of(name)
        if path not in self._shards:
            self._shards[path] = self._open(path)
        shard = self._shards[path]
        if name not in shard:
            raise MissingTensorError(
                f"{self.path} places tensor '{name}' in {path}, which does not hold it. "
                "Index and shards belong to different saves: copy or save the checkpoint again."
            )
        return shard

    def _open(self, path: str) -> Checkpoint:
        if path.endswith(".safetensors"):
            return SafetensorsFile(path, config={}, io=self.io)
        return TorchFile(path, trust=self._trust, config={})

    def __getstate__(self) -> dict[str, Any]:
        kept = ("path", "_trust", "_given_config", "io")
        return {"_shards": {}, **{key: getattr(self, key) for key in kept}}


def matches(path: str) -> bool:
    """Whether a path is an index of shards, or one shard of several."""
    return path.endswith(INDEX_SUFFIX) or _SHARD.search(path) is not None


def open_index(path: str, *, trust: bool, config: Mapping[str, Any] | None) -> ShardedCheckpoint:
    """Open an index of shards; a single shard is refused, because it is a part of the weights only."""
    shard = _SHARD.search(path)
    if shard is not None:
        raise CheckpointError(
            f"{path} is shard {int(shard[1])} of {int(shard[2])}: a part of the weights only. "
            f"Give the folder {parent(path)}."
        )
    return ShardedCheckpoint(path, trust=trust, config=config)


def _weight_map(path: str) -> dict[str, str]:
    """Shard of every tensor, after checking that each shard is there."""
    weight_map = read_json(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise EmptyCheckpointError(f"{path} has no 'weight_map', or an empty one. Save the checkpoint again.")
    missing = sorted(set(weight_map.values()) - set(entries(parent(path))))
    if missing:
        raise CheckpointError(
            f"{base_name(path)} names {preview(missing)}, which {parent(path)} does not hold. "
            "Finish the download or the copy."
        )
    return weight_map
