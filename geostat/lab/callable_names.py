"""What a callable is called in a study's settings, so that a changed one is not taken for the old."""

import functools
import hashlib
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["callable_name"]


def callable_name(found: Callable[..., Any]) -> str:
    """Name of a callable; of one that is not this package's, with a digest of its source and arguments.

    Parameters
    ----------
    found : callable
        A function, a partial of one, or an object with ``__call__``.

    Returns
    -------
    str
        What changes where its source, its defaults or its bound arguments do. What it calls is not looked at.

    Examples
    --------
    >>> from geostat.lab.objectives import supervised
    >>> callable_name(supervised)
    'supervised'
    """
    function, bound = _unbound(found)
    home = getattr(function, "__module__", None) or type(function).__module__
    name = getattr(function, "__name__", type(function).__name__)
    if home.startswith("geostat.") and not bound:
        return str(name)
    told = repr((_source(function), getattr(function, "__defaults__", None), bound))
    return f"{home}.{name} {hashlib.sha256(told.encode()).hexdigest()[:12]}"


def _unbound(found: Callable[..., Any]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    bound: tuple[Any, ...] = ()
    while isinstance(found, functools.partial):
        bound, found = (*bound, found.args, sorted(found.keywords.items())), found.func
    return found, bound


def _source(function: Callable[..., Any]) -> str:
    """Source where there is one, else compiled code."""
    try:
        return inspect.getsource(function if hasattr(function, "__code__") else type(function))
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return repr((code.co_code, code.co_names)) if code is not None else ""
