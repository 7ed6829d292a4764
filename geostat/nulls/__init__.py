"""What rounding, diffusion and chance alone would give, and estimates that see through rounding."""

import importlib
from typing import Any

_HOMES: dict[str, str] = {}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import on first use, so that one null does not load what all others need."""
    if name not in _HOMES:
        raise AttributeError(
            f"module 'geostat.nulls' has no attribute {name!r}. It offers: {', '.join(__all__)}."
        )
    return getattr(importlib.import_module(_HOMES[name]), name)
