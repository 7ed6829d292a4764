"""Writing files and folders so that a reader sees the whole or nothing."""

import os
import platform
import shutil
from pathlib import Path
from typing import Any

from geostat.errors import StoreError

__all__ = ["local_path", "replace_folder", "require_space", "write_whole"]


def local_path(place: Any) -> Path:
    """Where a store is written: an absolute path without links, so that it can be renamed into place.

    Parameters
    ----------
    place : path
        As the user gave it; ``~`` is the home folder.

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    StoreError
        If it is a URL, or no path at all.
    """
    if not isinstance(place, str | os.PathLike) or "://" in os.fspath(place):
        raise StoreError(
            f"store={place!r}: stores are written to a local folder, since only there a rename is all or nothing. "
            "Pass a path, and copy the sealed store afterwards."
        )
    return Path(os.path.realpath(os.path.expanduser(os.fspath(place))))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file aside, force it to disk, and rename it into place.

    Parameters
    ----------
    path : Path
        Where it shall stand.
    content : bytes
        What it holds.

    Raises
    ------
    StoreError
        If it cannot be written; nothing that stood there is touched.
    """
    aside = path.with_name(
        f".{path.name}.{platform.node()}-{os.getpid()}"
    )  # others may write to a shared disk
    try:
        with open(aside, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise StoreError(
            f"cannot write {path} ({len(content)} bytes): {error.strerror or error}. What was finished before "
            "is kept. Make room or choose another place, then run the same call again."
        ) from error


def replace_folder(new: Path, target: Path) -> None:
    """Rename a finished folder into place, over an older one if there is one.

    Parameters
    ----------
    new : Path
        The finished folder.
    target : Path
        Where it shall stand.
    """
    old = target.with_name(f".{target.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.rename(target, old)
    os.rename(new, target)
    shutil.rmtree(old, ignore_errors=True)


def require_space(folder: Path, needed: int) -> None:
    """Raise now if a folder cannot be written or its disk is too small.

    Parameters
    ----------
    folder : Path
        An existing folder.
    needed : int
        Bytes that will be written there.

    Raises
    ------
    StoreError
        If it is not writable, or holds fewer free bytes than needed.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(f"{folder} cannot be written. Choose another place for the store.")
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StoreError(
            f"about {needed / 2**20:.0f} MiB will be written to {folder}, where {free / 2**20:.0f} MiB are free. "
            "Make room, or store no singular vectors (vectors=False)."
        )
