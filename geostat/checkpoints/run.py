"""A run: the base from which training started, and a checkpoint for each step."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from geostat.checkpoints.base import Checkpoint
from geostat.checkpoints.opening import open_checkpoint
from geostat.checkpoints.paths import as_path, base_name, parent, real
from geostat.checkpoints.search import EXAMPLES, expand
from geostat.checkpoints.sharded import INDEX_SUFFIX
from geostat.checkpoints.steps import step_of
from geostat.errors import CheckpointError, DuplicateStepError, EmptyCheckpointError, StepError

Weights = str | os.PathLike[str] | Mapping[str, Any] | torch.nn.Module | Checkpoint
"""Whatever `open_checkpoint` takes."""

LAST_STEP = 2**63 - 1
"""The largest step that a store can hold."""

_STANDARD_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class RunPaths:
    """Where a run's weights are.

    Attributes
    ----------
    base : path or weights
        Start of training, W0.
    steps : dict
        Path, or weights in memory, of each step, in the order of steps.
    """

    base: Any
    steps: dict[int, Any]


def discover_run(base: Weights, checkpoints: Any) -> RunPaths:
    """Find the checkpoints of a run and their steps.

    Parameters
    ----------
    base : path or weights
        Whatever `open_checkpoint` takes.
    checkpoints : path, glob, list of these, or mapping
        A glob (``"runs/opd-0/step-*"``), a folder that holds step folders, a list of paths and globs, or
        ``{step: path or weights}``. Steps are read from names such as step-N, checkpoint-N, global_step_N.

    Raises
    ------
    EmptyCheckpointError
        Nothing matches.
    StepError
        A path names no step, or one that a store cannot hold (2**63 or more).
    DuplicateStepError
        Two paths name the same step, or two steps are the same files.
    CheckpointError
        The base is also a step.
    """
    pairs = _from_mapping(checkpoints) if _is_step_mapping(checkpoints) else _from_paths(_listed(checkpoints))
    for step, weights in pairs:
        _check_size(step, weights)
    start = _plain(base)
    _check_distinct(start, pairs)
    return RunPaths(start, dict(sorted(pairs, key=lambda pair: pair[0])))


def run_storage(base: Weights, steps: Mapping[int, Weights]) -> str:
    """Floating-point type in which a run is stored: that of all its checkpoints, or "mixed"."""
    found = set()
    for weights in (base, *steps.values()):
        checkpoint = open_checkpoint(weights)
        found.add(checkpoint.storage)
        if checkpoint is not weights:
            checkpoint.close()
    return found.pop() if len(found) == 1 else "mixed"


def _is_step_mapping(checkpoints: Any) -> bool:
    mapping = isinstance(checkpoints, Mapping) and not isinstance(checkpoints, Checkpoint)
    tensors = mapping and any(isinstance(value, torch.Tensor) for value in checkpoints.values())
    if tensors or isinstance(checkpoints, Checkpoint | torch.nn.Module):
        raise StepError(
            f"checkpoints is one set of weights ({type(checkpoints).__name__}), which names no step. "
            "Pass {step: weights}."
        )
    return mapping


def _from_mapping(checkpoints: Mapping[Any, Any]) -> list[tuple[int, Any]]:
    if not checkpoints:
        raise EmptyCheckpointError("checkpoints is an empty mapping. Pass {step: path or weights}.")
    pairs = [(_step_key(key), _plain(value)) for key, value in checkpoints.items()]
    return pairs


def _step_key(key: Any) -> int:
    # numpy integers have __index__; True has it too and is no step.
    if isinstance(key, bool) or not hasattr(key, "__index__") or key.__index__() < 0:
        raise StepError(
            f"{key!r} is not a step: the keys of a mapping of checkpoints are integers from 0 up."
        )
    return int(key.__index__())


def _plain(weights: Any) -> Any:
    return as_path(weights) if isinstance(weights, str | os.PathLike) else weights


def _listed(checkpoints: Any) -> list[str]:
    """Paths of the checkpoints, globs and folders of steps resolved."""
    if isinstance(checkpoints, str | os.PathLike):
        return expand(as_path(checkpoints))
    if not isinstance(checkpoints, Iterable):
        raise CheckpointError(
            f"checkpoints is a {type(checkpoints).__name__}. Pass a glob, a folder, a list of paths, "
            "or {step: path or weights}."
        )
    found = [path for item in checkpoints for path in expand(_path_item(item))]
    if not found:
        raise EmptyCheckpointError("checkpoints is an empty list. Pass at least one path.")
    return found


def _path_item(item: Any) -> str:
    if not isinstance(item, str | os.PathLike):
        raise StepError(
            f"an element of checkpoints is a {type(item).__name__}, which names no step. "
            "Pass {step: weights}."
        )
    return as_path(item)


def _from_paths(paths: list[str]) -> list[tuple[int, Any]]:
    pairs: list[tuple[int, Any]] = []
    for path in dict.fromkeys(paths):
        step = step_of(path)
        if step is None:
            raise StepError(
                f"{path} names no step (looked for {EXAMPLES}). "
                f"Rename it, or pass the steps yourself: {{100: {path!r}}}."
            )
        pairs.append((step, path))
    return pairs


def _check_size(step: int, weights: Any) -> None:
    if step > LAST_STEP:
        raise StepError(
            f"{_label(weights)} is step {step}, but steps go up to {LAST_STEP} (2**63 - 1). If that number "
            "is a date or a hash, pass the steps yourself: {100: path}."
        )


def _check_distinct(base: Any, pairs: list[tuple[int, Any]]) -> None:
    start = _identity(base)
    by_step: dict[int, Any] = {}
    by_identity: dict[object, int] = {}
    for step, weights in pairs:
        identity = _identity(weights)
        if identity == start:
            raise CheckpointError(
                f"the base is also step {step}: {_label(weights)}. Its update is zero by definition: "
                "leave it out of the checkpoints, or give the true base."
            )
        if step in by_step:
            raise DuplicateStepError(
                f"step {step} is claimed by {_label(by_step[step])} and by {_label(weights)}. "
                "Narrow the glob, or pass {step: path}."
            )
        if identity in by_identity:
            raise DuplicateStepError(
                f"steps {by_identity[identity]} and {step} are the same weights: {_label(weights)}. "
                "One is a link to the other: leave it out."
            )
        by_step[step] = weights
        by_identity[identity] = step


def _identity(weights: Any) -> object:
    """Key that two ways of naming the same weights share."""
    if isinstance(weights, Checkpoint) and weights.files:
        weights = weights.path
    if not isinstance(weights, str):
        return id(weights)
    path = real(weights)
    standard = base_name(path) in _STANDARD_FILES or path.endswith(INDEX_SUFFIX)
    return parent(path) if standard else path


def _label(weights: Any) -> str:
    return weights if isinstance(weights, str) else f"a {type(weights).__name__} in memory"
