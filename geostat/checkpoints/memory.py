"""A state dict or a module in memory."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import torch

from geostat.checkpoints.base import Checkpoint, preview
from geostat.errors import CheckpointError, EmptyCheckpointError

WRAPPER_KEYS = ("state_dict", "model_state_dict", "model", "module")
"""Keys under which training scripts put the weights."""


class MemoryCheckpoint(Checkpoint):
    """Weights in memory. They are not copied: what training changes later changes here too."""

    def __init__(
        self,
        weights: Mapping[str, Any] | torch.nn.Module,
        *,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = "<memory>"
        self._config = dict(config) if config is not None else _config_of(weights)
        self._tensors = tensors_of(weights, self.path)

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._tensor(name).detach().cpu()

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def read_part(self, name: str, index: int | slice) -> torch.Tensor:
        """Part of a tensor along its first dimension."""
        return self._tensor(name).detach()[index].cpu()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return tuple(self._tensor(name).shape)

    def dtype(self, name: str) -> torch.dtype:
        """Dtype of a tensor."""
        return self._tensor(name).dtype

    def memory_key(self, name: str) -> Hashable | None:
        """Address and layout of a tensor."""
        tensor = self._tensor(name)
        if tensor.numel() == 0 or tensor.is_sparse:
            return None
        return (str(tensor.device), tensor.data_ptr(), tuple(tensor.shape), tensor.stride())

    @property
    def config(self) -> dict[str, Any] | None:
        """Architecture description given or taken from the module, or None."""
        return self._config

    def _tensor(self, name: str) -> torch.Tensor:
        try:
            return self._tensors[name]
        except KeyError:
            raise self._missing(name) from None


def tensors_of(weights: Mapping[str, Any] | torch.nn.Module, path: str) -> dict[str, torch.Tensor]:
    """Tensors of a module or of a state dict, which may lie under "state_dict", "model" or "module"."""
    found: Mapping[str, Any] = (
        weights.state_dict(keep_vars=True)
        if isinstance(weights, torch.nn.Module)
        else _unnested(weights, path)
    )
    tensors = {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise EmptyCheckpointError(
            f"{path} holds no tensors, only {preview(map(str, found)) or 'nothing'}. Looked for them at the "
            f"top and under {preview(WRAPPER_KEYS)}: pass the state dict itself."
        )
    for name, tensor in tensors.items():
        _check_plain(name, tensor, path)
    return tensors


def _unnested(content: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """State dict inside what a training script saved."""
    inner = [key for key in WRAPPER_KEYS if isinstance(content.get(key), Mapping | torch.nn.Module)]
    if len(inner) > 1:
        raise CheckpointError(
            f"{path} holds weights under each of {preview(inner)}: which ones count is not said. "
            "Load the file and pass one of the state dicts."
        )
    if not inner:
        return content
    value = content[inner[0]]
    if isinstance(value, torch.nn.Module):
        return value.state_dict(keep_vars=True)
    return _unnested(value, path)


def _check_plain(name: str, tensor: torch.Tensor, path: str) -> None:
    if hasattr(tensor, "placements"):
        raise CheckpointError(
            f"tensor '{name}' of {path} is sharded over processes (DTensor). "
            "Gather it on every rank with .full_tensor() and pass the result."
        )
    if tensor.device.type == "meta":
        raise CheckpointError(
            f"tensor '{name}' of {path} is on the meta device and holds no data. Load the weights first."
        )


def _config_of(weights: Mapping[str, Any] | torch.nn.Module) -> dict[str, Any] | None:
    config = getattr(weights, "config", None)
    to_dict = getattr(config, "to_dict", None)
    if callable(to_dict):
        return dict(to_dict())
    return dict(config) if isinstance(config, Mapping) else None
