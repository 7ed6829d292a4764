"""What a callable is called in a study's settings, so that a changed one is not taken for the old."""

import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Any

from geostat.lab.perturbations import PerturbedDistillation

__all__ = ["objective_name"]

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...))


def objective_name(found: Callable[..., Any]) -> str:
    """Name of a callable; of one that is not this package's, with a digest of what it is made of.

    Parameters
    ----------
    found : callable
        A function, a partial of one, a method, or an object with ``__call__``.

    Returns
    -------
    str
        What changes where its source, its defaults, its bound arguments or the plain values do that it encloses or
        holds as attributes. Where there is no source (an interactive session) its bytecode is taken, and that is
        said. What it calls, and objects such as models, lists and tensors that it encloses, are not looked at.

    Examples
    --------
    >>> from geostat.lab.objectives import supervised
    >>> objective_name(supervised)
    'supervised'
    >>> objective_name(functools.partial(supervised)).rpartition(" ")[0]
    'functools.partial of geostat.lab.objectives.supervised'
    """
    if _of_geostat(found):
        return str(found.__name__)
    parts = list(_parts(found, ()))
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    unseen = ", its source is not there" if any(part.startswith("bytecode") for part in parts) else ""
    return f"{_label(found)} ({digest}{unseen})"


def _of_geostat(found: object) -> bool:
    if type(found) is PerturbedDistillation:
        return True
    if not isinstance(found, types.FunctionType) or not found.__module__.startswith("geostat."):
        return False
    return getattr(sys.modules.get(found.__module__), found.__name__, None) is found  # no wrapper of it


def _label(found: object) -> str:
    if isinstance(found, functools.partial):
        return f"functools.partial of {_label(found.func)}"
    if isinstance(found, types.MethodType):
        return _label(found.__func__)
    named = found if hasattr(found, "__qualname__") else type(found)
    return f"{named.__module__}.{named.__qualname__}"


def _parts(value: Any, within: tuple[object, ...]) -> Iterator[str]:
    """All that a value is known by, the same in every process."""
    if any(value is each for each in within):
        return
    within = (*within, value)
    if isinstance(value, _PLAIN):
        yield repr(value)
    elif isinstance(value, types.FunctionType):
        yield from _parts_of_function(value, within)
    elif (inner := _inner(value)) is not None:
        yield type(value).__name__
        for each in inner:
            yield from _parts(each, within)
    else:
        yield _label(type(value))
        if callable(value) and not isinstance(value, type | types.BuiltinFunctionType):
            yield _source(type(value))
            yield from _parts(_held(vars(value)) if hasattr(value, "__dict__") else (), within)


def _inner(value: Any) -> list[Any] | None:
    """Values that another consists of."""
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, dict):
        return [each for item in value.items() for each in item]
    if is_dataclass(value) and not isinstance(value, type) and not callable(value):
        return [_label(type(value)), vars(value) if hasattr(value, "__dict__") else repr(value)]
    return None


def _held(values: dict[str, Any]) -> dict[str, Any]:
    """What is enclosed or an attribute, but for what may grow from call to call, such as a log."""
    return {name: each for name, each in values.items() if not isinstance(each, list | dict | set)}


def _parts_of_function(function: types.FunctionType, within: tuple[object, ...]) -> Iterator[str]:
    if _of_geostat(function):
        yield _label(function)
        return
    yield _source(function.__code__)  # the function itself would give what a decorator wraps
    enclosed = {str(i): _content(cell) for i, cell in enumerate(function.__closure__ or ())}
    yield from _parts((function.__defaults__, function.__kwdefaults__), within)
    yield from _parts(tuple(_held(enclosed).values()), within)


def _content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _source(what: type | types.CodeType) -> str:
    try:
        return inspect.getsource(what)
    except (OSError, TypeError):
        return f"bytecode {_bytecode(what)!r}"


def _bytecode(what: object) -> object:
    if isinstance(what, type):
        return [_bytecode(each.__code__) for each in vars(what).values() if inspect.isfunction(each)]
    if not isinstance(what, types.CodeType):
        return sorted(map(repr, what)) if isinstance(what, frozenset) else what
    return what.co_code, what.co_names, [_bytecode(each) for each in what.co_consts]
