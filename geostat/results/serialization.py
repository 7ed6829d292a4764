"""Results as JSON that other programs can read and ours can read back."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from geostat.errors import SampleError

if TYPE_CHECKING:
    from geostat.results.base import Result

__all__ = ["SCHEMA", "SCHEMA_VERSION", "dump", "load"]

SCHEMA = "geostat.result"
SCHEMA_VERSION = 1
"""Raised when a reader of the older form would misread the newer one."""

_LAYOUT_FIELDS = ("cells",)


def dump(result: "Result") -> str:
    """Write a result as JSON: NaN becomes null, infinities become strings.

    Parameters
    ----------
    result : Result
        Any result.

    Returns
    -------
    str
        Keys in a fixed order, so that equal results give equal text.
    """
    names = [
        entry.name
        for entry in dataclasses.fields(result)
        if entry.name not in _LAYOUT_FIELDS and entry.metadata.get("json", True)
    ]
    record = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "type": type(result).__name__,
        "metadata": {name: _plain(getattr(result, name)) for name in names},
        "sentence": result.sentence(),
        "layout": result.layout(),
        "rows": _plain(result.rows()),
    }
    return json.dumps(record, allow_nan=False, ensure_ascii=False, indent=1)


def load(text: str, expected: str) -> tuple[dict[str, Any], dict[str, Any], list[Mapping[str, Any]]]:
    """Take JSON apart after checking what it is.

    Parameters
    ----------
    text : str
        What `dump` wrote.
    expected : str
        Class name of the result.

    Returns
    -------
    tuple
        Metadata, layout and rows.

    Raises
    ------
    SampleError
        If the text is something else.
    """
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise SampleError(f"the text is not JSON ({error}). Pass what to_json() wrote.") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise SampleError("the JSON is not a geostat result. Pass what to_json() wrote.")
    if record["schema_version"] != SCHEMA_VERSION:
        raise SampleError(
            f"the result has schema version {record['schema_version']}, this geostat reads "
            f"{SCHEMA_VERSION}. Read it with the version of geostat that wrote it: "
            f"{record['metadata']['versions'].get('geostat-training')}."
        )
    if record["type"] != expected:
        raise SampleError(
            f"the JSON holds a {record['type']}, not a {expected}. Use {record['type']}.from_json."
        )
    metadata = {k: tuple(v) if isinstance(v, list) else v for k, v in record["metadata"].items()}
    return metadata, record["layout"], record["rows"]


def read_float(value: Any) -> float:
    """Read a number that JSON may hold as null or as the name of an infinity.

    Parameters
    ----------
    value : float, str or None
        As parsed.

    Returns
    -------
    float
        NaN for null.
    """
    return math.nan if value is None else float(value)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value
