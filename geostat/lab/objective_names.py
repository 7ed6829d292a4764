"""What tells one objective from another in the settings of a study."""

import functools
import hashlib
import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from geostat.lab.perturbations import PerturbedDistillation

__all__ = ["objective_name"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def objective_name(objective: Callable[..., Any]) -> str:
    """Name of an objective; of one's own also what it is made of.

    Parameters
    ----------
    objective : callable
        Of a recipe.

    Returns
    -------
    str
        Of an objective of geostat its name. Of any other its module, its name and a hash of its source, its defaults
        and what it encloses, but for lists, dicts and sets, which training may fill; where there is no source (an
        interactive session), of its bytecode, which is said. What it calls in turn is not seen.

    Examples
    --------
    >>> from geostat.lab.objectives import supervised
    >>> objective_name(supervised)
    'supervised'
    >>> objective_name(functools.partial(supervised)).rpartition(" ")[0]
    'functools.partial of geostat.lab.objectives.supervised'
    """
    if _of_geostat(objective):
        return str(objective.__name__)
    parts = list(_parts(objective, ()))
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    unseen = ", its source is not there" if any(part.startswith("bytecode") for part in parts) else ""
    return f"{_label(objective)} ({digest}{unseen})"


def _of_geostat(objective: object) -> bool:
    if type(objective) is PerturbedDistillation:
        return True
    if not isinstance(objective, types.FunctionType) or not objective.__module__.startswith("geostat."):
        return False
    return getattr(sys.modules.get(objective.__module__), objective.__name__, None) is objective


def _label(objective: object) -> str:
    if isinstance(objective, functools.partial):
        return f"functools.partial of {_label(objective.func)}"
    if isinstance(objective, types.MethodType):
        return _label(objective.__func__)
    named = objective if hasattr(objective, "__qualname__") else type(objective)
    return f"{named.__module__}.{named.__qualname__}"


def _parts(value: Any, within: tuple[object, ...]) -> Iterator[str]:
    """All that an objective is made of, the same in every process."""
    if any(value is each for each in within):
        return
    within = (*within, value)
    if isinstance(value, types.FunctionType):
        yield from _parts_of_function(value, within)
    elif isinstance(value, functools.partial):
        yield "partial"
        yield from _parts([value.func, *value.args, *value.keywords, *value.keywords.values()], within)
    elif isinstance(value, types.MethodType):
        yield from _parts([value.__func__, value.__self__], within)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _parts(each, within)
    elif callable(value) and not isinstance(value, type | types.BuiltinFunctionType):
        yield _source(type(value))
        yield _ADDRESS.sub("", repr(sorted(getattr(value, "__dict__", {}).items())))
    else:
        yield _ADDRESS.sub("", repr(value))


def _parts_of_function(function: types.FunctionType, within: tuple[object, ...]) -> Iterator[str]:
    if _of_geostat(function):
        yield _label(function)
        return
    yield _source(function.__code__)  # the function itself would give what a decorator wraps
    defaults, keywords = function.__defaults__ or (), function.__kwdefaults__ or {}
    enclosed = [cell.cell_contents for cell in function.__closure__ or ()]
    cells = [each for each in enclosed if not isinstance(each, list | dict | set)]
    yield from _parts([*defaults, *keywords, *keywords.values(), *cells], within)


def _source(what: type | types.CodeType) -> str:
    try:
        return inspect.getsource(what)
    except (OSError, TypeError):
        return f"bytecode {_bytecode(what)!r}"


def _bytecode(what: object) -> object:
    if isinstance(what, type):
        return [_bytecode(each.__code__) for each in vars(what).values() if inspect.isfunction(each)]
    if not isinstance(what, types.CodeType):
        return what
    return what.co_code, what.co_names, [_bytecode(each) for each in what.co_consts]
