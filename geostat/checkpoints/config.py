"""The ``config.json`` beside a checkpoint."""

import json
from typing import Any

from geostat.checkpoints.paths import exists, join, read_bytes
from geostat.errors import CheckpointError


def config_beside(folder: str) -> dict[str, Any] | None:
    """Content of ``config.json`` in a folder, or None if there is none."""
    path = join(folder, "config.json")
    if not exists(path):
        return None
    return read_json(path)


def read_json(path: str) -> dict[str, Any]:
    """Content of a JSON file that holds an object."""
    try:
        content = json.loads(read_bytes(path))
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}). Copy the file again.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a JSON {type(content).__name__}, not an object.")
    return content
