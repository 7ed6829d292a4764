"""The journal of a measurement: one file for each finished unit of work."""

import hashlib
import json
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from geostat.errors import JournalError, NumericalWarning, StoreError
from geostat.trajectories.files import write_whole
from geostat.trajectories.plan import Plan
from geostat.trajectories.record import Record

__all__ = ["Journal", "journal_path"]

_MANIFEST, _LOCK = "manifest.json", ".lock"
_OURS = re.compile(r"\.lock|\.?manifest\.json(\.\d+)?|\.?[0-9a-f]{24}\.npz(\.\d+)?")
"""Names of the files that a journal writes, those left aside by a kill included."""


def journal_path(store: Path) -> Path:
    """Return the folder in which a store's journal is kept until it is sealed.

    Parameters
    ----------
    store : Path
        The store.

    Returns
    -------
    Path
        Beside it, with ``.journal`` appended.
    """
    return store.with_name(store.name + ".journal")


class Journal:
    """Finished units of one measurement; written whole or not at all, so a kill loses none.

    Parameters
    ----------
    folder : Path
        Where the records lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = FileLock(folder / _LOCK)

    @classmethod
    def start(cls, folder: Path, plan: Plan, description: dict[str, Any], *, resume: bool) -> "Journal":
        """Open the journal of a plan, or begin it.

        Parameters
        ----------
        folder : Path
            Where it lies or shall lie.
        plan : Plan
            The measurement.
        description : dict
            What a reader needs to label the records without the checkpoints.
        resume : bool
            Whether to keep records that are there.

        Returns
        -------
        Journal
            With the records of earlier calls, if any.

        Raises
        ------
        JournalError
            If the folder holds the journal of another measurement, or another process writes it now.
        StoreError
            If it cannot be made.
        """
        journal = cls(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make {folder}: {error.strerror}. Choose another place.") from error
        journal._hold()
        try:
            journal._prepare(plan, description, resume)
        except BaseException:
            journal.release()
            raise
        return journal

    def _prepare(self, plan: Plan, description: dict[str, Any], resume: bool) -> None:
        self._require_own()
        if not resume or not any(self.folder.glob("*.npz")):
            self._clear()
        if (self.folder / _MANIFEST).exists():
            self._require(plan)
            return
        content = {"identity": plan.identity, "manifest": plan.fingerprints(), "description": description}
        write_whole(self.folder / _MANIFEST, json.dumps(content, indent=1).encode())

    def _hold(self) -> None:
        """Keep other processes out for as long as this one lives; a kill lets go."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise JournalError(
                f"another process measures into {self.folder} at this moment. Wait for it, or give this "
                "measurement another store."
            ) from error

    def _clear(self) -> None:
        for entry in self.folder.glob("*"):
            if _OURS.fullmatch(entry.name) and entry.name != _LOCK:
                entry.unlink(missing_ok=True)

    def _require_own(self) -> None:
        foreign = [entry.name for entry in self.folder.glob("*") if not _OURS.fullmatch(entry.name)]
        if foreign:
            raise JournalError(
                f"{self.folder} is needed for the journal, but holds {foreign[0]!r}, which is none of geostat's. "
                "Choose another place for the store."
            )

    def belongs_to(self, plan: Plan) -> bool:
        """Whether there is a journal here, and of this measurement.

        Parameters
        ----------
        plan : Plan
            The measurement.

        Returns
        -------
        bool
            False where there is none.
        """
        try:
            return bool(self.content["identity"] == plan.identity)
        except JournalError:
            return False

    @property
    def content(self) -> dict[str, Any]:
        """The manifest: identity, what was asked for, and how to label it.

        Raises
        ------
        JournalError
            If there is none or it cannot be read.
        """
        try:
            found: dict[str, Any] = json.loads((self.folder / _MANIFEST).read_text())
        except (OSError, ValueError) as error:
            raise JournalError(
                f"{self.folder} cannot be read as a journal: {error}. If a measurement has just begun or ended "
                "there, try again in a moment; otherwise remove the folder."
            ) from error
        if not isinstance(found, dict) or not {"identity", "manifest", "description"} <= set(found):
            raise JournalError(
                f"{self.folder / _MANIFEST} is none of geostat's. Choose another place for the store."
            )
        return found

    def _require(self, plan: Plan) -> None:
        found = self.content
        if found["identity"] == plan.identity:
            return
        raise JournalError(
            f"{self.folder} is the journal of another measurement: {plan.differences(found['manifest'])} differ "
            "from what is asked now. Give this measurement another store, or drop it with resume=False (--no-resume)."
        )

    def _file(self, matrix: str) -> Path:
        return self.folder / f"{hashlib.sha256(matrix.encode()).hexdigest()[:24]}.npz"

    def write(self, record: Record) -> None:
        """Add a finished unit.

        Parameters
        ----------
        record : Record
            All that was measured on one matrix.

        Raises
        ------
        StoreError
            If the disk refuses; earlier records are whole.
        """
        write_whole(self._file(record.matrix), record.to_bytes())

    def read(self, matrix: str) -> Record | None:
        """Read one finished unit.

        Parameters
        ----------
        matrix : str
            Its name.

        Returns
        -------
        Record or None
            None if it is not finished, or its file is damaged, of which is warned.
        """
        path = self._file(matrix)
        if not path.exists():
            return None
        try:
            return Record.from_bytes(path.read_bytes())
        except JournalError as error:
            warnings.warn(
                f"the record of {matrix} in {path} is damaged and will be measured again: {error}",
                NumericalWarning,
                stacklevel=2,
            )
            return None

    def finished(self, matrices: tuple[str, ...]) -> set[str]:
        """Return which units are done and readable.

        Parameters
        ----------
        matrices : tuple of str
            The units of the measurement.

        Returns
        -------
        set of str
            Names of finished ones.
        """
        return {name for name in matrices if self.read(name) is not None}

    def records(self, matrices: tuple[str, ...]) -> Iterator[Record]:
        """Iterate over the finished units in the given order.

        Parameters
        ----------
        matrices : tuple of str
            The units.

        Yields
        ------
        Record
            One at a time.
        """
        for name in matrices:
            record = self.read(name)
            if record is not None:
                yield record

    def discard(self) -> None:
        """Remove the journal with all its records, and nothing else."""
        self._clear()
        (self.folder / _LOCK).unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()
        self.release()

    def release(self) -> None:
        """Let other processes in again."""
        self._lock.release()
