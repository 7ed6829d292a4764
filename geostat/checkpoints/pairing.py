"""Matching the matrices of a base and of a later checkpoint, and reading them with care."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from geostat.checkpoints.base import Checkpoint, preview
from geostat.checkpoints.dtypes import check_floating
from geostat.checkpoints.finite import is_finite
from geostat.checkpoints.matrix_ref import MatrixRef
from geostat.checkpoints.naming import is_weight, parse_name
from geostat.checkpoints.tied import warn_of_untied
from geostat.errors import MissingTensorError, MissingTensorWarning, NonFiniteError, ShapeError


@dataclass(frozen=True)
class Pairing:
    """Which matrices two checkpoints share.

    Attributes
    ----------
    paired : tuple of MatrixRef
        Matrices that both hold, in the order given.
    missing_in_checkpoint, missing_in_base : tuple of str
        Names of tensors that only the other one holds; in the base, those of the same modules count.
    """

    paired: tuple[MatrixRef, ...]
    missing_in_checkpoint: tuple[str, ...] = ()
    missing_in_base: tuple[str, ...] = ()


def pair_matrices(
    base: Checkpoint, checkpoint: Checkpoint, refs: Iterable[MatrixRef], *, strict: bool = True
) -> Pairing:
    """Pair the matrices of a base with those of a checkpoint, from headers alone.

    Only where the base holds one parameter under two names (a tied output head) and the checkpoint stores
    both are the two compared by their entries: if they differ, a `NamingWarning` says that one of them is
    not measured.

    Parameters
    ----------
    base, checkpoint : Checkpoint
    refs : iterable of MatrixRef
        Matrices of the base, from `list_matrices`.
    strict : bool
        False turns missing tensors into a `MissingTensorWarning` and into entries of the result.

    Raises
    ------
    MissingTensorError
        One of them holds a tensor that the other lacks.
    ShapeError
        A tensor has another shape.
    QuantizedTensorError
        A tensor is stored as integers or in 8 bits or fewer.
    """
    listed = tuple(refs)
    paired = tuple(ref for ref in listed if checkpoint.stored_name(ref.tensor) is not None)
    kept = {ref.tensor for ref in paired}
    absent = tuple(dict.fromkeys(ref.tensor for ref in listed if ref.tensor not in kept))
    extra = _extra_tensors(base, checkpoint, listed)
    if absent:
        _report(absent, base, checkpoint, strict=strict)
    if extra:
        _report(extra, checkpoint, base, strict=strict)
    for tensor in dict.fromkeys(ref.tensor for ref in paired):
        _check_alike(base, checkpoint, tensor)
    warn_of_untied(base, checkpoint, paired)
    return Pairing(paired, absent, extra)


def read_matrix(checkpoint: Checkpoint, ref: MatrixRef) -> torch.Tensor:
    """Read a matrix (rows, cols) in its stored dtype, after checking that every entry is finite.

    Raises
    ------
    NonFiniteError
        An entry is NaN or infinite.
    """
    matrix = ref.read(checkpoint)
    if is_finite(matrix):
        return matrix
    finite = torch.isfinite(matrix)
    n_nan = int(torch.isnan(matrix).sum())
    n_inf = matrix.numel() - int(finite.sum()) - n_nan
    row, col = divmod(int((~finite).flatten().to(torch.uint8).argmax()), ref.cols)
    file = checkpoint.file_of(checkpoint.stored_name(ref.tensor) or ref.tensor)
    raise NonFiniteError(
        f"matrix '{ref.name}' (tensor '{ref.tensor}' of {file}) holds {n_nan} NaN and {n_inf} infinite "
        f"entries of {matrix.numel()}, the first at row {row}, column {col}. "
        "The run diverged or the file is damaged: leave this step out, or copy it again."
    )


def _extra_tensors(base: Checkpoint, checkpoint: Checkpoint, refs: tuple[MatrixRef, ...]) -> tuple[str, ...]:
    """Weights of the checkpoint alone whose module is among those asked for."""
    modules = {parse_name(ref.tensor).module for ref in refs}
    return tuple(
        tensor
        for tensor, key in checkpoint.unwrapped_names.items()
        if base.stored_name(tensor) is None
        and is_weight(tensor)
        and parse_name(tensor).module in modules
        and len(checkpoint.shape(key)) >= 2
    )


def _report(tensors: tuple[str, ...], holder: Checkpoint, other: Checkpoint, *, strict: bool) -> None:
    if strict:
        raise MissingTensorError(
            f"{other.path} holds no partner for {len(tensors)} tensors of {holder.path}: {preview(tensors)}. "
            f"{_hint(tensors[0], other)}Check that both are the same model; strict=False leaves unpaired "
            "matrices out and reports them."
        )
    warnings.warn(
        f"{len(tensors)} tensors of {holder.path} have no partner in {other.path} and are left out: "
        f"{preview(tensors)}.",
        MissingTensorWarning,
        stacklevel=3,
    )


def _hint(tensor: str, other: Checkpoint) -> str:
    """Name the tensor of the same ending, if there is just one: most often a prefix is the difference."""
    wanted = tensor.split(".")
    for start in range(1, len(wanted) - 1):
        tail = ".".join(wanted[start:])
        close = [name for name in other if name == tail or name.endswith(f".{tail}")]
        if len(close) == 1:
            return f"It does hold '{close[0]}': rename its keys and pass the state dict. "
    return ""


def _check_alike(base: Checkpoint, checkpoint: Checkpoint, tensor: str) -> None:
    keys = [(each, each.stored_name(tensor) or tensor) for each in (base, checkpoint)]
    for each, key in keys:
        check_floating(each, key)
    (first, first_key), (second, second_key) = keys
    initial, updated = first.shape(first_key), second.shape(second_key)
    if initial == updated:
        return
    if initial == updated[::-1]:
        remedy = "One of them is transposed: transpose it and pass the state dict."
    else:
        remedy = "They are not the same architecture, or one has a resized vocabulary or sharded weights."
    raise ShapeError(
        f"tensor '{tensor}' is {initial} in {first.file_of(first_key)} but {updated} in "
        f"{second.file_of(second_key)}. {remedy}"
    )
