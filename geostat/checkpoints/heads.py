"""Head counts of an architecture, from its config.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
_GROUPS = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num")
_VISION = ("visual", "vision")


@dataclass(frozen=True)
class HeadCounts:
    """Number of query heads, of key-value heads, and the stated width of a head (None: not stated)."""

    heads: int
    groups: int
    head_dim: int | None


def head_counts(config: Mapping[str, Any], tensor: str) -> HeadCounts | None:
    """Head counts that hold for a tensor, or None if the config does not say.

    A tensor of a vision tower takes those of ``vision_config``.
    """
    section = _section(config, tensor)
    heads = _first(section, _HEADS)
    if heads is None:
        return None
    groups = _first(section, _GROUPS)
    if section.get("multi_query") and not section.get("new_decoder_architecture"):
        groups = 1
    stated = _first(section, ("head_dim", "kv_channels"))
    return HeadCounts(heads, heads if groups is None else groups, stated)


def model_type(config: Mapping[str, Any] | None) -> str:
    """Architecture's name, or the empty string."""
    return str((config or {}).get("model_type", ""))


def hidden_size(config: Mapping[str, Any] | None) -> int | None:
    """Width of the residual stream, or None if the config does not say."""
    section = _section(config or {}, "")
    return _first(section, ("hidden_size", "n_embd", "d_model", "dim"))


def _section(config: Mapping[str, Any], tensor: str) -> Mapping[str, Any]:
    if any(word in part for part in tensor.split(".") for word in _VISION):
        section = config.get("vision_config", {})
    elif _first(config, _HEADS) is None:
        section = config.get("text_config", config)
    else:
        section = config
    return section if isinstance(section, Mapping) else {}


def _first(section: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    return next((int(section[key]) for key in keys if section.get(key) is not None), None)
