"""From tensors to matrices: every weight read as one or several, or as none and why."""

from geostat.checkpoints.base import Checkpoint
from geostat.checkpoints.dtypes import check_floating
from geostat.checkpoints.layouts import Fused, Layout, Rows, split_rows
from geostat.checkpoints.matrix_ref import MatrixRef, Weight
from geostat.checkpoints.naming import Naming, TensorName, is_weight, resolve
from geostat.checkpoints.orientation import Orientation, orientation_of
from geostat.checkpoints.vocabulary import LINEAR, PARTS
from geostat.errors import CheckpointError, NamingError

_EXPERT_MODULES = ("gate_up_proj", "gate_proj", "up_proj", "down_proj")


def weights_of(checkpoint: Checkpoint, naming: Naming | None) -> list[Weight]:
    """Every weight of a checkpoint that is a matrix, or by its name should be."""
    orientation = orientation_of(checkpoint)
    found = []
    for tensor, key in checkpoint.unwrapped_names.items():
        if not is_weight(tensor):
            continue
        named, n_dims = resolve(tensor, naming), len(checkpoint.shape(key))
        linear = named.module in LINEAR or named.module in PARTS
        if named.module != "norm" and (n_dims >= 2 or linear):
            found.append(_weight(checkpoint, tensor, named, orientation))
    return found


def _weight(checkpoint: Checkpoint, tensor: str, named: TensorName, orientation: Orientation) -> Weight:
    try:
        return Weight(_expand(checkpoint, tensor, named, orientation))
    except CheckpointError as error:
        shape = (1, 1, *checkpoint.shape(checkpoint.unwrapped_names[tensor]))[-2:]
        parts: dict[str, Rows | None] = {
            part: Rows(0, shape[0], shape[0]) for part in PARTS.get(named.module, ())
        } or {named.module: None}
        refs = [_ref(tensor, named, part, Layout(rows=rows), shape) for part, rows in parts.items()]
        return Weight(tuple(refs), error)


def _expand(
    checkpoint: Checkpoint, tensor: str, named: TensorName, orientation: Orientation
) -> tuple[MatrixRef, ...]:
    """Matrices in one tensor."""
    key = checkpoint.unwrapped_names[tensor]
    shape = checkpoint.shape(key)
    check_floating(checkpoint, key)
    stacked = len(shape) == 3 and named.module in _EXPERT_MODULES
    _check_dims(checkpoint, tensor, named, stacked=stacked)
    transposed = named.transposed if named.transposed is not None else orientation(key, named.module)
    size = (shape[-1], shape[-2]) if transposed else (shape[-2], shape[-1])
    parts = split_rows(Fused(named.module, tensor, size, checkpoint.config, checkpoint.path))
    return tuple(
        _ref(tensor, named, module, Layout(index, transposed, rows), size)
        for index in (range(shape[0]) if stacked else (None,))
        for module, rows in parts.items()
    )


def _ref(tensor: str, named: TensorName, module: str, layout: Layout, size: tuple[int, ...]) -> MatrixRef:
    index, rows = layout.index, layout.rows
    expert = index if index is not None else named.expert
    suffix = ("" if index is None else f"[{index}]") + ("" if rows is None else f"[{module}]")
    return MatrixRef(
        name=tensor.removesuffix(".weight") + suffix,
        tensor=tensor,
        layer=-1 if named.layer is None else named.layer,
        module=module,
        expert=-1 if expert is None else expert,
        rows=size[0] if rows is None else rows.length * rows.count,
        cols=size[1],
        layout=layout,
        known=named.known,
    )


def _check_dims(checkpoint: Checkpoint, tensor: str, named: TensorName, *, stacked: bool) -> None:
    key = checkpoint.unwrapped_names[tensor]
    shape = checkpoint.shape(key)
    where = f"tensor '{tensor}' of {checkpoint.file_of(key)} has shape {shape}"
    if 0 in shape or len(shape) < 2:
        raise NamingError(
            f"{where}, which is no matrix: a shard or a placeholder, as sharded training leaves it, or a "
            "packed format. Save gathered weights (for DeepSpeed, run zero_to_fp32.py)."
        )
    if len(shape) > 2 and not stacked:
        raise NamingError(
            f"{where}: a weight with {len(shape)} dims that is not known as a stack of experts. Leave it out "
            "(a glob, a callable, or strict=False), or reshape it and pass the state dict."
        )
    if len(shape) == 2 and named.expert is None and "experts" in tensor.split("."):
        raise NamingError(
            f"{where}: its name says all experts, its shape one matrix. Reshape it to (experts, out, in) and "
            "pass the state dict, or leave it out."
        )
