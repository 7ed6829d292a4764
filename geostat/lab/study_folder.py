"""A study's folder: one study each, and one process in it at a time."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from geostat.errors import StoreError

__all__ = ["claim", "claimed"]

STUDY = "study.json"
_PATIENCE = 1.0


@contextmanager
def claimed(out: Path, settings: dict[str, Any]) -> Iterator[None]:
    """Have a study's folder to oneself, with its settings in it.

    Parameters
    ----------
    out : Path
        Folder; made where it is not there.
    settings : dict
        With the key ``"recipes"``.

    Raises
    ------
    StoreError
        If another process trains there, it holds another study, or it cannot be written.
    """
    lock = FileLock(out / ".lock", timeout=_PATIENCE)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise StoreError(
            f"a study is running in {out} at this moment. Wait for it, or pass another folder."
        ) from error
    except OSError as error:
        raise StoreError(
            f"cannot write a study into {out}: {error.strerror or error}. Pass another folder."
        ) from error
    try:
        claim(out / STUDY, settings)
        yield
    finally:
        lock.release()


def claim(path: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a new study, or make sure that an old one has the same; recipes may be added.

    Parameters
    ----------
    path : Path
        Of the settings.
    settings : dict
        With the key ``"recipes"``.

    Raises
    ------
    StoreError
        If it holds another study, or is damaged.
    """
    found = _read_settings(path) if path.is_file() else settings
    known = found["recipes"]
    differing = [key for key in {*found, *settings} - {"recipes"} if found.get(key) != settings.get(key)]
    differing += [name for name, each in settings["recipes"].items() if known.get(name, each) != each]
    if differing:
        raise StoreError(
            f"{path.parent} holds a study with other settings ({', '.join(sorted(differing))} differ; its scale is "
            f"{found.get('scale')!r}, {settings['scale']!r} was asked for). Pass another directory, "
            "or the settings that are in study.json."
        )
    if not path.is_file() or set(settings["recipes"]) - set(known):
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_text(
            json.dumps({**settings, "recipes": {**known, **settings["recipes"]}}, indent=2) + "\n"
        )
        aside.rename(path)


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
        if isinstance(found["recipes"], dict):
            return dict(found)
    except (ValueError, KeyError, TypeError):
        pass
    raise StoreError(
        f"{path} was expected to hold the settings of a study, but does not read so. Pass another directory."
    )
