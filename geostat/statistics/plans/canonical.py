"""One text for one plan: the same on every machine and in every version of Python."""

import hashlib
import json
import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from geostat.errors import SampleError
from geostat.statistics.locking.bands import AtLeast

__all__ = ["canonical_text", "digest", "plain", "restored"]

HASH_DIGITS = 12
"""Hexadecimal digits of a plan's hash: enough that two plans of one project never share it by chance."""


def plain(value: Any, where: str) -> Any:
    """Write a setting with the types of JSON, equal settings alike.

    Parameters
    ----------
    value : object
        A text, a number, a truth value, None, a threshold, or a list or mapping of these.
    where : str
        What it belongs to, for the message.

    Returns
    -------
    object
        Numbers are floats, so that 1 and 1.0 are one setting.

    Raises
    ------
    SampleError
        If it has no such form.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, AtLeast):
        return {"at_least": float(value.threshold)}
    if isinstance(value, Mapping):
        return {str(key): plain(item, where) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        ordered = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(item, where) for item in ordered]
    if isinstance(value, Integral | Real) and math.isfinite(value):
        return float(value) + 0.0
    raise SampleError(
        f"{where}={value!r} cannot be part of a plan. Declare texts, finite numbers, truth values, lists or mappings."
    )


def restored(value: Any) -> Any:
    """Undo what `plain` did to thresholds.

    Parameters
    ----------
    value : object
        From JSON.

    Returns
    -------
    object
        With `AtLeast` where a threshold was.
    """
    if isinstance(value, dict):
        if set(value) == {"at_least"}:
            return AtLeast(float(value["at_least"]))
        return {key: restored(item) for key, item in value.items()}
    return [restored(item) for item in value] if isinstance(value, list) else value


def canonical_text(record: Any) -> str:
    """JSON with sorted keys and no spaces; floats in their shortest exact form.

    Parameters
    ----------
    record : object
        What `plain` gave.

    Returns
    -------
    str
        ASCII.
    """
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(record: Any) -> str:
    """Short hash of a record.

    Parameters
    ----------
    record : object
        What `plain` gave.

    Returns
    -------
    str
        The first hexadecimal digits of its SHA-256.
    """
    return hashlib.sha256(canonical_text(record).encode("ascii")).hexdigest()[:HASH_DIGITS]
