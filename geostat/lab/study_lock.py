"""Who trains in a study's folder now: one call at a time."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from geostat.errors import StoreError
from geostat.trajectories.locks import cannot_lock

__all__ = ["training_alone"]

_LOCK, _HOLDER = ".lock", ".lock-held-by"
"""The holder stands in a file of its own: whoever tries the lock empties the lock's."""


@contextmanager
def training_alone(folder: Path) -> Iterator[None]:
    """Keep every other call out of a study's folder; it is let go when the process ends, however it ends.

    Parameters
    ----------
    folder : Path
        Of the study; it exists.

    Yields
    ------
    None
        Inside, nobody else trains there.

    Raises
    ------
    StoreError
        If a study is running there now, or the disk has no locks.
    """
    lock, holder = FileLock(folder / _LOCK, timeout=0), folder / _HOLDER
    try:
        lock.acquire()
    except Timeout:
        raise StoreError(
            f"a study is running in {folder} ({_told(holder)}). Wait for it, or pass another folder."
        ) from None
    except OSError as error:
        raise StoreError(cannot_lock(folder / _LOCK, error)) from error
    try:
        holder.write_text(f"pid {os.getpid()} on {platform.node()}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _told(holder: Path) -> str:
    try:
        return holder.read_text() or "pid not known"
    except OSError:
        return "pid not known"
