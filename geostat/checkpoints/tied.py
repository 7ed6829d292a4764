"""Weights that are one parameter under two names count once, as long as they are one."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from geostat.checkpoints.base import Checkpoint
from geostat.checkpoints.matrix_ref import MatrixRef
from geostat.checkpoints.naming import is_weight, parse_name
from geostat.errors import NamingWarning


def without_repeats(checkpoint: Checkpoint, refs: Sequence[MatrixRef]) -> tuple[MatrixRef, ...]:
    """Matrices without second names of the same parameter; the first in order stays and notes the others."""
    found: dict[object, list[MatrixRef]] = {}
    for ref in refs:
        memory = checkpoint.memory_key(checkpoint.unwrapped_names[ref.tensor])
        found.setdefault(ref.name if memory is None else (memory, ref.layout), []).append(ref)
    kept = [replace(first, repeats=tuple(others)) if others else first for first, *others in found.values()]
    return _without_tied_head(checkpoint, kept)


def warn_of_untied(base: Checkpoint, checkpoint: Checkpoint, refs: Sequence[MatrixRef]) -> None:
    """Warn where the base holds one parameter under two names, and a checkpoint two that differ."""
    for ref, repeat in _second_names(base, checkpoint, refs):
        if _is_same(base, checkpoint, ref, repeat):
            continue
        file = checkpoint.file_of(checkpoint.stored_name(repeat.tensor) or repeat.tensor)
        warnings.warn(
            f"'{repeat.tensor}' and '{ref.tensor}' are one parameter in {base.path}, but differ in {file}: only "
            f"'{ref.tensor}' is measured, and what happened to '{repeat.tensor}' is not. "
            f"{_remedy(base, repeat)}",
            NamingWarning,
            stacklevel=3,
        )


def _second_names(
    base: Checkpoint, checkpoint: Checkpoint, refs: Sequence[MatrixRef]
) -> Iterator[tuple[MatrixRef, MatrixRef]]:
    """Matrices with another name of theirs that the checkpoint stores too."""
    for ref in refs:
        yield from ((ref, other) for other in ref.repeats if checkpoint.stored_name(other.tensor) is not None)
    embedding = next((ref for ref in refs if ref.module == "embed_tokens"), None)
    if embedding is None or not _declared_tied(base):
        return
    for tensor in checkpoint.unwrapped_names:
        # Usually a tied head is not stored at all in the base.
        head = is_weight(tensor) and parse_name(tensor).module == "lm_head"
        if head and base.stored_name(tensor) is None:
            yield (
                embedding,
                replace(embedding, name=tensor.removesuffix(".weight"), tensor=tensor, repeats=()),
            )


def _remedy(base: Checkpoint, repeat: MatrixRef) -> str:
    if base.stored_name(repeat.tensor) is not None:
        return f"Measure it by itself, in a second measurement with matrices='{repeat.name}'."
    return (
        f"To measure it, pass a base that stores it: the state dict with '{repeat.tensor}' added as a copy, "
        f"and matrices='{repeat.name}'."
    )


def _is_same(base: Checkpoint, checkpoint: Checkpoint, ref: MatrixRef, repeat: MatrixRef) -> bool:
    """Whether two names are one parameter: by their memory where it is known, else by their entries."""
    first, second = (checkpoint.stored_name(each.tensor) or each.tensor for each in (ref, repeat))
    memory = checkpoint.memory_key(first)
    if memory is not None and memory == checkpoint.memory_key(second):
        return True
    in_base = base.stored_name(repeat.tensor) or base.stored_name(ref.tensor) or ref.tensor
    if checkpoint.shape(second) != base.shape(in_base):
        return False
    return _equal(ref.read(checkpoint), repeat.read(checkpoint))


def _equal(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Whether all entries are equal, whatever the dtypes."""
    if first.dtype != second.dtype:
        first, second = first.double(), second.double()
    return torch.equal(first, second)


def _without_tied_head(checkpoint: Checkpoint, refs: list[MatrixRef]) -> tuple[MatrixRef, ...]:
    """Matrices without an output head that the config ties to the embedding and that equals it."""
    embedding = next((ref for ref in refs if ref.module == "embed_tokens"), None)
    head = next((ref for ref in refs if ref.module == "lm_head"), None)
    if embedding is None or head is None or not _declared_tied(checkpoint):
        return tuple(refs)
    if _equal(embedding.read(checkpoint), head.read(checkpoint)):
        tied = replace(embedding, repeats=(*embedding.repeats, head, *head.repeats))
        return tuple(tied if ref is embedding else ref for ref in refs if ref is not head)
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
