"""Whether a weight is stored as (out, in) or as (in, out): Conv1D and experts in one tensor."""

from collections.abc import Callable

from geostat.checkpoints.base import Checkpoint
from geostat.checkpoints.heads import hidden_size, model_type
from geostat.checkpoints.naming import strip_wrappers
from geostat.errors import NamingError

_CONV1D_LEAVES = ("c_attn", "c_fc", "c_proj")
_WIDENING = ("c_attn", "c_fc")  # more outputs than inputs in every model that has them
_EXPERT_PAIRS = (("gate_up_proj", "down_proj"), ("input_linear", "output_linear"))

Orientation = Callable[[str, str], bool]


def orientation_of(checkpoint: Checkpoint) -> Orientation:
    """Give the function of a tensor's name and module that says whether it is stored as (in, out)."""
    conv1d = _conv1d(checkpoint)

    def transposed(tensor: str, module: str) -> bool:
        if len(checkpoint.shape(tensor)) == 3:
            return _experts_transposed(checkpoint, tensor, module)
        if _leaf(tensor) not in _CONV1D_LEAVES:
            return False
        if conv1d is None:
            raise _undecided(checkpoint, tensor)
        return conv1d

    return transposed


def _leaf(tensor: str) -> str:
    parts = strip_wrappers(tensor).removesuffix(".weight").split(".")
    return parts[-1]


def _conv1d(checkpoint: Checkpoint) -> bool | None:
    """Whether GPT-2's names belong to Conv1D (in, out) or to linear layers (out, in); None if not to tell."""
    for name in checkpoint:
        shape = checkpoint.shape(name) if _leaf(name) in _WIDENING else ()
        if len(shape) == 2 and shape[0] != shape[1]:
            return shape[1] > shape[0]
    return True if model_type(checkpoint.config) == "gpt2" else None


def _experts_transposed(checkpoint: Checkpoint, tensor: str, module: str) -> bool:
    """Whether experts (n, a, b) hold (in, out).

    Gate and up together have twice as many outputs as down has inputs, which settles it from two shapes;
    elsewhere the width of the residual stream does.
    """
    pair = _gate_up_and_down(checkpoint, tensor)
    if pair is not None:
        (_, first, second), (_, down_first, down_second) = pair
        if (first, second) == (2 * down_second, down_first):
            return False
        if (first, second) == (down_second, 2 * down_first):
            return True
    return _by_hidden_size(checkpoint, tensor, module)


def _gate_up_and_down(checkpoint: Checkpoint, tensor: str) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Shapes of the two tensors of experts that belong together, or None."""
    name, leaf = strip_wrappers(tensor), _leaf(tensor)
    for fused, down in _EXPERT_PAIRS:
        if leaf in (fused, down):
            found = [checkpoint.stored_name(name.replace(leaf, word)) for word in (fused, down)]
            shapes = [checkpoint.shape(key) for key in found if key is not None]
            if [len(shape) for shape in shapes] == [3, 3]:
                return shapes[0], shapes[1]
    return None


def _by_hidden_size(checkpoint: Checkpoint, tensor: str, module: str) -> bool:
    width = hidden_size(checkpoint.config)
    _, first, second = checkpoint.shape(tensor)
    if width is None or first == second or width not in (first, second):
        raise _undecided(checkpoint, tensor)
    return width == (second if module == "down_proj" else first)


def _undecided(checkpoint: Checkpoint, tensor: str) -> NamingError:
    return NamingError(
        f"tensor '{tensor}' of {checkpoint.path}, shape {checkpoint.shape(tensor)}: whether it is stored as "
        "(out, in) or (in, out) cannot be told from the shapes, and no config.json says it. Add config.json, "
        "or name it with `naming=`, a function that returns TensorName(..., transposed=True or False)."
    )
