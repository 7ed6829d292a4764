"""What is not opened, and what to do instead: adapters, GGUF."""

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from geostat.checkpoints.base import Checkpoint
from geostat.checkpoints.paths import base_name, join
from geostat.errors import CheckpointError, QuantizedTensorError

_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
_ADAPTER_PARTS = frozenset(
    {"lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B", "lora_magnitude_vector", "ia3_l"}
)


def matches(path: str) -> bool:
    """Whether a path is of a format that is refused."""
    return path.endswith(".gguf") or base_name(path) in _ADAPTER_FILES


def refuse(path: str, *, trust: bool, config: Mapping[str, Any] | None) -> NoReturn:
    """Refuse a path, with the way out."""
    if path.endswith(".gguf"):
        raise _gguf(path)
    raise _adapter(path)


def refuse_adapter_files(folder: str, names: Iterable[str]) -> None:
    """Refuse a folder that holds an adapter."""
    for name in names:
        if name in _ADAPTER_FILES:
            raise _adapter(join(folder, name))


def refuse_other_formats(folder: str, names: Iterable[str]) -> None:
    """Refuse a folder whose only weights are GGUF."""
    for name in names:
        if name.endswith(".gguf"):
            raise _gguf(join(folder, name))


def refuse_adapter_tensors(checkpoint: Checkpoint) -> None:
    """Refuse weights among which adapter tensors stand unmerged."""
    for name in checkpoint:
        if not _ADAPTER_PARTS.isdisjoint(name.split(".")):
            raise _adapter(f"tensor '{name}' of {checkpoint.path}")


def _adapter(where: str) -> CheckpointError:
    return CheckpointError(
        f"{where} belongs to an adapter (PEFT), which is no checkpoint of whole weights. "
        "Merge it first: model.merge_and_unload().save_pretrained(folder), in fp32 if the update is to keep "
        "its small entries."
    )


def _gguf(path: str) -> QuantizedTensorError:
    return QuantizedTensorError(
        f"{path} is GGUF, which is made for inference and usually quantised. "
        "Measure the safetensors or torch checkpoint that it was made from."
    )
