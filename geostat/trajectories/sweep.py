"""From a protocol to the calls of one diagnostic: settings that hold tuples become dimensions."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from geostat.protocols import Protocol
from geostat.spec import Diagnostic, Reason, Undefined

__all__ = ["evaluate", "sweep_shape", "swept_fields"]


def swept_fields(spec: Diagnostic, protocol: Protocol) -> tuple[str, ...]:
    """Name the protocol fields over which a diagnostic is repeated.

    Parameters
    ----------
    spec : Diagnostic
        The diagnostic.
    protocol : Protocol
        The convention.

    Returns
    -------
    tuple of str
        Fields that the diagnostic reads and that hold tuples, in the order of its signature.
    """
    return tuple(f for f in spec.settings.values() if isinstance(getattr(protocol, f), tuple))


def sweep_shape(spec: Diagnostic, protocol: Protocol) -> tuple[int, ...]:
    """Return the number of values of each swept field.

    Parameters
    ----------
    spec : Diagnostic
        The diagnostic.
    protocol : Protocol
        The convention.

    Returns
    -------
    tuple of int
        One length per swept field.
    """
    return tuple(len(getattr(protocol, f)) for f in swept_fields(spec, protocol))


def _calls(spec: Diagnostic, protocol: Protocol) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    """Every combination of the swept settings: its position and the keywords of the call."""
    options = {
        keyword: value if isinstance(value, tuple) else (value,)
        for keyword, value in ((k, getattr(protocol, f)) for k, f in spec.settings.items())
    }
    swept = [isinstance(getattr(protocol, f), tuple) for f in spec.settings.values()]
    for choice in itertools.product(*(range(len(values)) for values in options.values())):
        position = tuple(i for i, is_swept in zip(choice, swept, strict=True) if is_swept)
        yield position, {key: options[key][i] for key, i in zip(options, choice, strict=True)}


def evaluate(
    spec: Diagnostic, operands: Mapping[str, Any], protocol: Protocol, own_shape: tuple[int, ...] = ()
) -> tuple[npt.NDArray[np.float64], Reason]:
    """Evaluate a diagnostic on one matrix at one step, over all swept settings.

    Parameters
    ----------
    spec : Diagnostic
        The diagnostic.
    operands : mapping
        Operand name -> Factored, or the `Reason` for which it does not exist.
    protocol : Protocol
        The settings.
    own_shape : tuple of int
        Sizes of the diagnostic's own dims; shorter results are padded with NaN.

    Returns
    -------
    values : numpy.ndarray
        Shape: swept fields, then own dims. NaN where undefined.
    reason : Reason
        Why the first undefined value is undefined, or ``Reason.defined``.
    """
    values = np.full(sweep_shape(spec, protocol) + own_shape, np.nan)
    given = [operands[name] for name in spec.operands]
    absent = next((g for g in given if isinstance(g, Reason)), None)
    if absent is not None:
        return values, absent
    reason = Reason.defined
    for position, keywords in _calls(spec, protocol):
        result = spec.function(*given, **keywords)
        if isinstance(result, Undefined):
            reason = result.reason if reason is Reason.defined else reason
        elif own_shape:
            values[position][: len(result)] = result
        else:
            values[position] = result
    return values, reason
