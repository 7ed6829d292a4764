"""What a tensor's name says: its layer, its module in canonical terms, its expert."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from geostat.checkpoints.vocabulary import ANYWHERE, IN_ATTENTION, IN_BLOCK, NOT_WEIGHTS, OUTSIDE_BLOCKS

_WRAPPER = re.compile(
    r"(?:^(?:module\.)+)|(?:(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.)"
)
_PEFT_PREFIX = "base_model.model."
_EXPERTS = frozenset({"experts", "local_experts"})
_SUFFIXES = frozenset({"weight", "bias", "qweight", "weight_packed"})
_NORM = re.compile(r"norm|^ln(?:_|\d|$)", re.IGNORECASE)
_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)


@dataclass(frozen=True)
class TensorName:
    """What the name of a tensor says.

    Attributes
    ----------
    layer : int or None
        Index of the block, None outside blocks.
    module : str
        Canonical short name ("q_proj", "down_proj", "embed_tokens" ...). Fused weights are "qkv_proj" (q, k
        and v one after the other), "query_key_value" (interleaved by group of heads) and "gate_up_proj".
        For an unknown name the last part of it that means something.
    expert : int or None
        Index of the expert, if the name holds one.
    known : bool
        False when `module` is not one of the canonical names.
    transposed : bool or None
        Whether the tensor is stored as (in, out). None: decided from the architecture and the shapes.
    """

    layer: int | None
    module: str
    expert: int | None = None
    known: bool = True
    transposed: bool | None = None


Naming = Callable[[str], TensorName | None] | Mapping[str, TensorName]


def strip_wrappers(name: str) -> str:
    """Name of a tensor without the prefixes that DDP, FSDP, torch.compile and PEFT put before it.

    Examples
    --------
    >>> strip_wrappers("module._orig_mod.blocks.0.mlp.up.weight")
    'blocks.0.mlp.up.weight'
    """
    stripped = _WRAPPER.sub("", name).removeprefix(_PEFT_PREFIX)
    return stripped if stripped == name else strip_wrappers(stripped)


def is_weight(name: str) -> bool:
    """Whether a name is that of a weight, and not of a bias or of a buffer (rotary tables, masks).

    Examples
    --------
    >>> is_weight("transformer.h.0.attn.c_attn.weight"), is_weight("transformer.h.0.attn.bias")
    (True, False)
    """
    parts = name.split(".")
    return not (parts[-1].endswith("bias") or parts[-1] in NOT_WEIGHTS or "rotary_emb" in parts)


def parse_name(tensor_name: str) -> TensorName:
    """Layer, canonical module and expert of a tensor's name.

    Knows Llama, Qwen, Gemma, Mistral, Mixtral, DeepSeek, Phi, GPT-2, GPT-NeoX, BERT and Meta's names and
    those of `geostat.lab`. It reads the name only: whether the tensor is a matrix is a matter of its shape.

    Examples
    --------
    >>> parse_name("model.layers.3.self_attn.q_proj.weight")
    TensorName(layer=3, module='q_proj', expert=None, known=True, transposed=None)
    >>> parse_name("blocks.0.attention.output.weight").module
    'o_proj'
    >>> parse_name("model.layers.0.block_sparse_moe.experts.5.w2.weight")
    TensorName(layer=0, module='down_proj', expert=5, known=True, transposed=None)
    """
    parts = strip_wrappers(tensor_name).split(".")
    layer, expert = _indices(parts)
    words = [part for part in parts if not part.isdecimal()]
    while len(words) > 1 and words[-1] in _SUFFIXES:
        words.pop()
    module = _module(words, in_block=layer is not None)
    return TensorName(layer, module or words[-1], expert, known=module is not None)


def resolve(tensor_name: str, naming: Naming | None) -> TensorName:
    """Read a name by the caller's `naming` where it answers, by `parse_name` elsewhere."""
    given = None
    if isinstance(naming, Mapping):
        given = naming.get(tensor_name)
    elif naming is not None:
        given = naming(tensor_name)
    return given if given is not None else parse_name(tensor_name)


def _indices(parts: list[str]) -> tuple[int | None, int | None]:
    """First index that is no expert's, and the expert's."""
    layer = expert = None
    for before, part in zip(["", *parts], parts, strict=False):
        if not part.isdecimal():
            continue
        if before in _EXPERTS:
            expert = int(part)
        elif layer is None:
            layer = int(part)
    return layer, expert


def _module(words: list[str], *, in_block: bool) -> str | None:
    """Canonical module, or None for an unknown name; `words` are the parts that are no numbers."""
    leaf, before = words[-1], words[:-1]
    if _NORM.search(leaf):
        return "norm"
    in_attention = any(_ATTENTION.search(word) for word in before)
    tables = [IN_ATTENTION] if in_attention else []
    tables += [ANYWHERE, IN_BLOCK if in_block else OUTSIDE_BLOCKS]
    keys = [f"{before[-1]}.{leaf}", leaf] if before else [leaf]
    return next((table[key] for table in tables for key in keys if key in table), None)
