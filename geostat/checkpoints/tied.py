"""Weights that are one parameter under two names count once."""

import warnings
from collections.abc import Sequence

import torch

from geostat.checkpoints.base import Checkpoint
from geostat.checkpoints.matrix_ref import MatrixRef
from geostat.errors import NamingWarning


def without_repeats(checkpoint: Checkpoint, refs: Sequence[MatrixRef]) -> tuple[MatrixRef, ...]:
    """Matrices without second names of the same parameter; the first in order stays."""
    seen: set[object] = set()
    kept = []
    for ref in refs:
        memory = checkpoint.memory_key(checkpoint.unwrapped_names[ref.tensor])
        key = ref.name if memory is None else (memory, ref.layout)
        if key not in seen:
            seen.add(key)
            kept.append(ref)
    return _without_tied_head(checkpoint, kept)


def _without_tied_head(checkpoint: Checkpoint, refs: list[MatrixRef]) -> tuple[MatrixRef, ...]:
    """Matrices without an output head that the config ties to the embedding and that equals it."""
    embedding = next((ref for ref in refs if ref.module == "embed_tokens"), None)
    head = next((ref for ref in refs if ref.module == "lm_head"), None)
    if embedding is None or head is None or not _declared_tied(checkpoint):
        return tuple(refs)
    if torch.equal(embedding.read(checkpoint), head.read(checkpoint)):
        return tuple(ref for ref in refs if ref is not head)
    warnings.warn(
        f"the config of {checkpoint.path} ties '{head.tensor}' to '{embedding.tensor}', but they differ: "
        "counted as two matrices.",
        NamingWarning,
        stacklevel=4,
    )
    return tuple(refs)


def _declared_tied(checkpoint: Checkpoint) -> bool:
    config = checkpoint.config or {}
    inner = config.get("text_config")
    sections = [config, inner] if isinstance(inner, dict) else [config]
    return any(section.get("tie_word_embeddings") for section in sections)
