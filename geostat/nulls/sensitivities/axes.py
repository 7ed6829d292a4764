"""What an analysis is repeated over: settings, storage, sets of matrices."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from geostat.errors import ProtocolError

__all__ = [
    "MATRICES",
    "MEASURED_AXES",
    "STORAGE",
    "STORAGES",
    "SWEPT",
    "Axes",
    "axes_of",
    "labels_of",
    "selects",
]

SWEPT = ("eta", "k", "r", "alpha", "K", "energy_k", "hill_k")
"""Fields of a protocol that can be varied."""
STORAGE, MATRICES = "storage", "matrices"
STORAGES = ("bf16", "raw")
"""Weights rounded to bf16 before anything is measured, or as they are in the files."""
MEASURED_AXES = (*SWEPT, STORAGE, MATRICES)

Axes = Mapping[str, tuple[Any, ...]]
"""Axis -> its values, two or more of them in at least one."""


def axes_of(over: Mapping[str, Iterable[Any]], known: Sequence[str] | None) -> dict[str, tuple[Any, ...]]:
    """Check what an analysis is to be repeated over.

    Parameters
    ----------
    over : mapping of str to iterable
        Axis -> values.
    known : sequence of str or None
        Axes that there are; None allows any name.

    Returns
    -------
    dict
        Axis -> tuple of values.

    Raises
    ------
    ProtocolError
        If an axis is not known, has no value, or has one twice.
    """
    if not isinstance(over, Mapping) or not over:
        raise ProtocolError(
            f"over={over!r} names nothing to vary. Pass values by setting, such as {{'k': (128, 256, 512)}}."
        )
    for name in over:
        if known is not None and name not in known:
            raise ProtocolError(
                f"over names {name!r}, which cannot be varied here. Known: {', '.join(known)}."
            )
    return {name: _values(name, given) for name, given in over.items()}


def _values(name: str, given: Iterable[Any]) -> tuple[Any, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ProtocolError(f"over[{name!r}]={given!r} is one value. Pass several, as a tuple.")
    values = tuple(given)
    if not values or len({str(value) for value in values}) < len(values):
        raise ProtocolError(f"over[{name!r}]={values!r}: pass values that differ, one at least.")
    if name == STORAGE and set(values) - set(STORAGES):
        raise ProtocolError(
            f"over['storage']={values!r}: 'bf16' (weights rounded first) and 'raw' (as they are in the files) exist."
        )
    return values


def labels_of(values: Sequence[Any]) -> Any:
    """Coordinate of an axis.

    Parameters
    ----------
    values : sequence
        Numbers of one kind, or anything that text can name.

    Returns
    -------
    numpy.ndarray
        Numbers, or strings: counts and shares side by side would read as numbers of one kind.
    """
    if len({type(value) for value in values}) == 1 and isinstance(values[0], int | float):
        return np.asarray(values)
    return np.array([_label(value) for value in values], np.dtypes.StringDType())


def _label(value: Any) -> str:
    if isinstance(value, tuple | list):
        return " + ".join(map(_label, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def selects(selection: Any, name: str, module: str) -> bool:
    """Tell whether a matrix belongs to a set.

    Parameters
    ----------
    selection : str or sequence of str
        "attention", "mlp", "linear", "all", a module such as "q_proj", a name or a glob; or several.
    name, module : str
        Of the matrix.

    Returns
    -------
    bool
        Whether it does.
    """
    from geostat.checkpoints import MatrixRef
    from geostat.checkpoints.selection import is_selected
    from geostat.checkpoints.vocabulary import MLP

    if not isinstance(selection, str):
        return any(selects(each, name, module) for each in selection)
    if selection == "mlp":
        return module in MLP
    return module == selection or is_selected(cast(MatrixRef, _Named(name, module)), selection)


class _Named:
    """What a selection asks of a matrix, where only its labels are left."""

    def __init__(self, name: str, module: str) -> None:
        self.name = self.tensor = name
        self.module = module
