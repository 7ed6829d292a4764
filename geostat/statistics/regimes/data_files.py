"""Facts from papers, kept as data: packaged files, or the user's own in their place."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from geostat.errors import SampleError

__all__ = ["Source", "read_data"]

Source = str | PathLike[str] | Mapping[str, Any]
"""The name of a packaged file, the path of a TOML file, or its content."""


def read_data(source: Source, packaged: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """Content of a data file, and where it comes from.

    Parameters
    ----------
    source : str, path or mapping
        What the caller named.
    packaged : mapping of str to str
        Names that stand for files of this package.

    Returns
    -------
    tuple of dict and str
        The parsed content and its origin in words.

    Raises
    ------
    SampleError
        If there is no such file, or it is not TOML.
    """
    if isinstance(source, Mapping):
        return dict(source), "boundaries passed as a mapping"
    if isinstance(source, str) and source in packaged:
        text = files("geostat").joinpath("data", packaged[source]).read_text(encoding="utf-8")
        return tomllib.loads(text), source
    return _of_path(source, packaged), Path(fspath(source)).name


def _of_path(source: Any, packaged: Mapping[str, str]) -> dict[str, Any]:
    known = " or ".join(repr(name) for name in packaged)
    try:
        return tomllib.loads(Path(fspath(source)).read_text(encoding="utf-8"))
    except (OSError, TypeError) as error:
        raise SampleError(
            f"no data file {source!r} ({error}). Pass {known}, the path of a TOML file, or a mapping."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SampleError(f"{fspath(source)} is not TOML: {error}.") from error
