"""Bytes of a local file: mapped into memory, or read into buffers that are used again."""

import mmap
import os
import weakref
from collections import deque
from typing import Literal

import numpy as np
import numpy.typing as npt

from geostat.checkpoints.paths import reading
from geostat.errors import CheckpointError, TruncatedFileError

__all__ = ["IO", "Advice", "Bytes", "FileBytes", "check_io"]

IO = Literal["mmap", "read"]
Advice = Literal["willneed", "dontneed"]
Bytes = npt.NDArray[np.uint8]

_SPARE = 4
"""Buffers kept for the next reads."""


def check_io(io: str) -> None:
    """Raise unless there is such a way of reading.

    Parameters
    ----------
    io : str
        "mmap" or "read".

    Raises
    ------
    CheckpointError
        If it is another.
    """
    if io not in ("mmap", "read"):
        raise CheckpointError(
            f"io={io!r} is no way of reading. Pass 'mmap' (local disks), or 'read' where files lie on a network "
            "disk or may be cut short while they are read."
        )


def _mapped(file: int, size: int) -> mmap.mmap | None:
    """The whole file, or None where the system cannot map it; then it is read.

    Private and writable, so that torch accepts it: the file itself is never written. No memory is reserved for
    copies that nobody makes, or a file larger than the memory could not be mapped.
    """
    if size == 0:
        return None
    flags = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0)
    try:
        return mmap.mmap(file, size, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    except OSError:
        return None


class FileBytes:
    """Ranges of bytes of one local file.

    A mapped file is not copied: pages come from the system's cache when touched, and go when it needs room.
    If the file is cut short between the check before a read and the touch, the system kills the process
    (SIGBUS); a file that is replaced by renaming, or deleted, does no harm, for the old one stays mapped.
    ``"read"`` never meets that: it copies, and a short read is an error.

    Parameters
    ----------
    path : str
        What errors call the file.
    local : str
        Where it lies.
    io : {"mmap", "read"}
        How its bytes are read.
    written : int, optional
        Time of change, in nanoseconds, of the file that is meant: one written in its place is refused.
    """

    def __init__(self, path: str, local: str, io: IO, written: int | None = None) -> None:
        self._path = path
        self._written = written
        with reading(path):
            self._file = os.open(local, os.O_RDONLY)
            self._closing = weakref.finalize(self, os.close, self._file)
            self._size = os.fstat(self._file).st_size
            self._map = _mapped(self._file, self._size) if io == "mmap" else None
        self._spare: deque[Bytes] = deque(maxlen=_SPARE)

    def take(self, start: int, stop: int) -> Bytes:
        """Return a range of bytes; it stays valid as long as it, or a view of it, is referred to.

        Parameters
        ----------
        start, stop : int
            Offsets in the file.

        Returns
        -------
        numpy.ndarray
            Shape (stop - start,).

        Raises
        ------
        TruncatedFileError
            If the file has become shorter.
        CheckpointError
            If it cannot be read, or is not the file that is meant any more.
        """
        self._check(stop)
        if self._map is not None:
            return np.frombuffer(self._map, dtype=np.uint8, count=stop - start, offset=start)
        return self._read(start, stop)

    def advise(self, start: int, stop: int, advice: Advice) -> None:
        """Say that a range is needed soon, so that the disk is read meanwhile, or not any more.

        Parameters
        ----------
        start, stop : int
            Offsets in the file.
        advice : {"willneed", "dontneed"}
            "dontneed" drops mapped pages; what is touched again is read again.
        """
        if self._map is not None:
            first = start - start % mmap.PAGESIZE
            option = mmap.MADV_WILLNEED if advice == "willneed" else mmap.MADV_DONTNEED
            self._map.madvise(option, first, min(stop, self._size) - first)
        elif advice == "willneed" and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file, start, stop - start, os.POSIX_FADV_WILLNEED)

    def _read(self, start: int, stop: int) -> Bytes:
        buffer = self._buffer(stop - start)
        done = 0
        with reading(self._path):
            while done < buffer.size:
                count = os.preadv(self._file, [buffer.data[done:]], start + done)
                if count == 0:
                    raise self._cut_short(start + done, stop)
                done += count
        return buffer

    def _buffer(self, size: int) -> Bytes:
        """A view of a spare buffer that is large enough, or of a new one; it comes back when the view dies."""
        spare = [self._spare.popleft() for _ in range(len(self._spare))]
        fitting = min((each for each in spare if each.size >= size), key=len, default=None)
        self._spare.extend(each for each in spare if each is not fitting)
        buffer = np.empty(size, dtype=np.uint8) if fitting is None else fitting
        view = buffer[:size]
        weakref.finalize(view, self._spare.append, buffer).atexit = False
        return view

    def _check(self, needed: int) -> None:
        with reading(self._path):
            found = os.fstat(self._file)
        if found.st_size < max(needed, self._size):
            raise self._cut_short(found.st_size, needed)
        if self._written not in (None, found.st_mtime_ns):
            raise CheckpointError(
                f"{self._path} was written anew after its header had been read, which does not say any more where "
                "tensors lie in it. Wait until nothing writes it, then run the same call again."
            )

    def _cut_short(self, found: int, needed: int) -> TruncatedFileError:
        return TruncatedFileError(
            f"{self._path} has become shorter while it was read: it had {self._size} bytes, now bytes up to "
            f"{needed} are asked for and it ends at {found}. Something writes or deletes it: wait until it is "
            "complete, then run the same call again."
        )
