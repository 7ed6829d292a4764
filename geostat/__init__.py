"""Where a training run went in parameter space: measured exactly, stored with labels, cited with intervals."""

from typing import Any

import lazy_loader

__version__ = "0.1.0"

# Names and their homes stand in __init__.pyi, once for readers, type checkers and this module (PEP 562).
_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that ``import geostat`` costs next to nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'geostat' has no attribute {name!r}. It offers: {', '.join(__all__)}.")
    return _load(name)
