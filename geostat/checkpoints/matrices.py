"""Which matrices a checkpoint holds: one 2-D weight each, fused ones split, tied ones once."""

import warnings

from geostat.checkpoints.base import Checkpoint, preview
from geostat.checkpoints.expansion import weights_of
from geostat.checkpoints.matrix_ref import MatrixRef, Weight
from geostat.checkpoints.naming import Naming
from geostat.checkpoints.selection import Selection, check_selection, is_selected, judged_by_name
from geostat.checkpoints.tied import without_repeats
from geostat.checkpoints.vocabulary import MODULE_ORDER
from geostat.errors import EmptyCheckpointError, NamingError, NamingWarning, QuantizedTensorError


def list_matrices(
    checkpoint: Checkpoint,
    matrices: Selection = "attention",
    *,
    naming: Naming | None = None,
    strict: bool = True,
) -> tuple[MatrixRef, ...]:
    """Matrices of a checkpoint, ordered by layer, module (q, k, v, o, gate, up, down) and expert.

    Shapes come from headers; entries are read only to compare an output head with the embedding that the
    config calls tied to it, and only if both are asked for.

    Parameters
    ----------
    checkpoint : Checkpoint
    matrices : {"attention", "linear", "all"}, str, sequence of str, or callable
        "attention": q, k, v and o projections. "linear": these and the feed-forward weights, experts
        included; not embeddings, head, norms and routers. "all": every weight with two or more dims. Any
        other string is a name, or a glob with ``*`` and ``?``, of matrices or tensors; a callable decides on
        each `MatrixRef`.
    naming : callable or mapping, optional
        Gives the `TensorName` of a tensor's name (without wrapper prefixes), or None to leave it to
        `parse_name`.
    strict : bool
        False leaves out selected weights that cannot be read as matrices, with a NamingWarning.

    Raises
    ------
    NamingError
        A selected weight cannot be read as a matrix: fused without head counts, more dims than understood.
        Or `matrices` is of a type that selects nothing.
    QuantizedTensorError
        A selected weight is stored as integers or in 8 bits or fewer.
    EmptyCheckpointError
        Nothing is selected.

    Examples
    --------
    >>> import torch
    >>> from geostat.checkpoints import open_checkpoint
    >>> weights = {f"blocks.0.attention.{part}.weight": torch.ones(4, 4) for part in ("query", "key")}
    >>> [ref.name for ref in list_matrices(open_checkpoint(weights))]
    ['blocks.0.attention.query', 'blocks.0.attention.key']
    """
    check_selection(matrices)
    found = weights_of(checkpoint, naming)
    taken = [(weight, _selected(weight, matrices)) for weight in found]
    _report_unreadable([weight for weight, refs in taken if refs and weight.error], strict=strict)
    refs = [ref for weight, refs in taken if weight.error is None for ref in refs]
    if not refs:
        raise _nothing(checkpoint, matrices, found)
    if judged_by_name(matrices):
        unknown = [weight.tensor for weight, refs in taken if not refs and not weight.refs[0].known]
        _report_unknown(checkpoint, unknown, matrices)
    _check_unique(checkpoint, refs)
    return without_repeats(checkpoint, sorted(refs, key=_order))


def _selected(weight: Weight, matrices: Selection) -> list[MatrixRef]:
    return [ref for ref in weight.refs if is_selected(ref, matrices)]


def _report_unreadable(weights: list[Weight], *, strict: bool) -> None:
    errors = [weight.error for weight in weights if weight.error is not None]
    for error in errors:
        if strict or isinstance(error, QuantizedTensorError):
            raise error
    if errors:
        warnings.warn(
            f"{len(errors)} selected weights cannot be read as matrices and are left out: "
            f"{preview(weight.tensor for weight in weights)}. The first: {errors[0]}",
            NamingWarning,
            stacklevel=3,
        )


def _report_unknown(checkpoint: Checkpoint, tensors: list[str], matrices: Selection) -> None:
    """Say which weights a keyword could not judge, because their names mean nothing to it."""
    if tensors:
        warnings.warn(
            f"{len(tensors)} weights of {checkpoint.path} have unknown names and are not among "
            f"matrices={matrices!r}: {preview(tensors)}. Select them by a glob or with matrices='all', or "
            "name them with `naming=`.",
            NamingWarning,
            stacklevel=3,
        )


def _nothing(checkpoint: Checkpoint, matrices: Selection, found: list[Weight]) -> EmptyCheckpointError:
    names = [ref.name for weight in found for ref in weight.refs]
    return EmptyCheckpointError(
        f"matrices={matrices!r} selects nothing in {checkpoint.path}. It holds {len(checkpoint)} tensors and "
        f"{len(names)} matrices: {preview(names, 8) or 'none'}. "
        "Choose 'attention', 'linear', 'all', or a glob such as '*q_proj'."
    )


def _check_unique(checkpoint: Checkpoint, refs: list[MatrixRef]) -> None:
    seen: dict[str, str] = {}
    for ref in refs:
        if ref.name in seen:
            raise NamingError(
                f"tensors '{seen[ref.name]}' and '{ref.tensor}' of {checkpoint.path} both give a matrix "
                f"called '{ref.name}'. Rename one of them and pass the state dict."
            )
        seen[ref.name] = ref.tensor


def _order(ref: MatrixRef) -> tuple[int, int, int, str]:
    rank = MODULE_ORDER.index(ref.module) if ref.module in MODULE_ORDER else len(MODULE_ORDER)
    return ref.layer, rank, ref.expert, ref.name
