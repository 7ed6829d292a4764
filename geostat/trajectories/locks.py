"""Who may write into a journal now: one process, or one for each share."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from geostat.errors import JournalError, StoreError
from geostat.trajectories.shards import Shard

__all__ = ["LOCK_NAME", "JournalLocks", "cannot_lock"]

LOCK_NAME = re.compile(r"\.lock(-(\d+)-of-(\d+))?")
_WHOLE = ".lock"
_PATIENCE = 10.0
"""Seconds that shares wait for each other while one of them begins the journal."""


class JournalLocks:
    """Locks of a journal's folder; every one is let go when its process ends, however it ends.

    A whole measurement holds ``.lock`` and finds no share at work; a share holds its own lock, and ``.lock``
    for the moment in which it begins.

    Parameters
    ----------
    folder : Path
        The journal.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held = ExitStack()

    def hold_all(self) -> None:
        """Keep every other process out.

        Raises
        ------
        JournalError
            If one measures here now.
        """
        with ExitStack() as taken:
            self._take(taken, self.folder / _WHOLE, 1.0)
            for path in self._shares():
                self._take(taken, path, 0.0)
            self._held = taken.pop_all()

    @contextmanager
    def hold_share(self, shard: Shard) -> Iterator[bool]:
        """Keep out whoever measures the same share, or the whole; inside the block everyone who begins.

        Parameters
        ----------
        shard : Shard
            Which.

        Yields
        ------
        bool
            Whether nobody else measures here.

        Raises
        ------
        JournalError
            If the share, or the whole, is measured now.
        """
        own = self.folder / f"{_WHOLE}-{shard.index}-of-{shard.count}"
        with ExitStack() as taken:
            self._take(taken, own, 0.0)
            with ExitStack() as begun:
                self._take(begun, self.folder / _WHOLE, _PATIENCE)
                yield not any(self._is_held(path) for path in self._shares() if path != own)
            self._held = taken.pop_all()

    def begun(self) -> list[Shard]:
        """Shares that were ever begun here.

        Returns
        -------
        list of Shard
            In order.
        """
        found = (LOCK_NAME.fullmatch(path.name) for path in self._shares())
        return sorted((Shard(int(m[2]), int(m[3])) for m in found if m), key=lambda s: (s.count, s.index))

    def remove(self) -> None:
        """Take the lock files away, at the journal's end."""
        for path in [*self._shares(), self.folder / _WHOLE]:
            path.unlink(missing_ok=True)

    def release(self) -> None:
        """Let other processes in again."""
        self._held.close()

    def _shares(self) -> list[Path]:
        return sorted(self.folder.glob(f"{_WHOLE}-*-of-*"))

    def _is_held(self, path: Path) -> bool:
        try:
            with FileLock(path, timeout=0):
                return False
        except Timeout:
            return True

    def _take(self, stack: ExitStack, path: Path, patience: float) -> None:
        lock = FileLock(path, timeout=patience)
        try:
            stack.enter_context(lock)
        except Timeout as error:
            what = "the same share of" if path.name != _WHOLE else "into"
            raise JournalError(
                f"another process measures {what} {self.folder} at this moment. Wait for it, or give this "
                "measurement another store."
            ) from error
        except OSError as error:
            raise StoreError(cannot_lock(path, error)) from error


def cannot_lock(path: Path, error: OSError) -> str:
    """Say that a disk refuses a lock, and what to do.

    Parameters
    ----------
    path : Path
        The lock file.
    error : OSError
        What the system said.

    Returns
    -------
    str
        Two sentences.
    """
    return (
        f"cannot lock {path}: {error.strerror or error}. Its folder must be writable and its disk must have file "
        "locks (flock): make it so, or put the store elsewhere."
    )
