"""The journal of a measurement: one file for each finished unit of work."""

import hashlib
import json
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from geostat.errors import JournalError, NumericalWarning, StoreError
from geostat.trajectories.files import write_whole
from geostat.trajectories.locks import LOCK_NAME, JournalLocks
from geostat.trajectories.plans import Plan
from geostat.trajectories.record import Record
from geostat.trajectories.shards import Shard

__all__ = ["Journal", "journal_path"]

_MANIFEST = "manifest.json"
_OURS = re.compile(
    LOCK_NAME.pattern
    + r"|\.?(manifest|made(-\d+-of-\d+)?)\.json(\.[\w.-]+)?|\.?[0-9a-f]{24}\.(record|npz)(\.[\w.-]+)?"
)
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
        self.locks = JournalLocks(folder)

    @classmethod
    def start(
        cls,
        folder: Path,
        plan: Plan,
        description: dict[str, Any],
        *,
        resume: bool,
        shard: Shard | None = None,
    ) -> "Journal":
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
            Whether to keep records that are there; of a share, its own.
        shard : Shard, optional
            Measure only this share; others may do theirs at the same time.

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
        if shard is None:
            journal.locks.hold_all()
            try:
                journal._prepare(plan, description, keep=resume)
            except BaseException:
                journal.release()
                raise
        else:
            with journal.locks.hold_share(shard) as alone:
                journal._prepare(plan, description, keep=True, may_clear=alone, shard=shard)
        return journal

    def _prepare(
        self,
        plan: Plan,
        description: dict[str, Any],
        *,
        keep: bool,
        may_clear: bool = True,
        shard: Shard | None = None,
    ) -> None:
        self._require_own()
        if may_clear and (not keep or not any(self.folder.glob("*.record"))):
            self._clear()
        if (self.folder / _MANIFEST).exists():
            self._require(plan, shard)
            return
        content = {"identity": plan.identity, "manifest": plan.fingerprints(), "description": description}
        write_whole(self.folder / _MANIFEST, json.dumps(content, indent=1).encode())

    def _clear(self) -> None:
        for entry in self.folder.glob("*"):
            if _OURS.fullmatch(entry.name) and not LOCK_NAME.fullmatch(entry.name):
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

    def _require(self, plan: Plan, shard: Shard | None) -> None:
        found = self.content
        if found["identity"] == plan.identity:
            return
        drop = (
            "drop it with resume=False (--no-resume)"
            if shard is None
            else "remove that folder, for all shares"
        )
        raise JournalError(
            f"{self.folder} is the journal of another measurement: {plan.differences(found['manifest'])} other "
            f"than asked now. Give this measurement another store, or {drop}."
        )

    def _file(self, matrix: str) -> Path:
        return self.folder / f"{hashlib.sha256(matrix.encode()).hexdigest()[:24]}.record"

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

    def require(self, matrix: str) -> Record:
        """Read a unit that must be there.

        Parameters
        ----------
        matrix : str
            Its name.

        Returns
        -------
        Record
            The unit.

        Raises
        ------
        JournalError
            If it is missing or damaged.
        """
        path = self._file(matrix)
        try:
            return Record.from_bytes(path.read_bytes())
        except (OSError, JournalError) as error:
            raise JournalError(
                f"the record of {matrix} in {path} cannot be read: {error}. Run the same measurement again, it "
                "measures this matrix anew."
            ) from error

    def present(self, matrices: Iterable[str]) -> set[str]:
        """Return which units have a file; whether it is whole is seen when it is read.

        Parameters
        ----------
        matrices : iterable of str
            The units of the measurement.

        Returns
        -------
        set of str
            Their names.
        """
        there = {path.name for path in self.folder.glob("*.record")}
        return {name for name in matrices if self._file(name).name in there}

    def drop(self, matrices: Iterable[str]) -> None:
        """Forget finished units.

        Parameters
        ----------
        matrices : iterable of str
            Their names.
        """
        for name in matrices:
            self._file(name).unlink(missing_ok=True)

    def finished(self, matrices: Iterable[str]) -> set[str]:
        """Return which units are done and readable; none of them is kept in memory.

        Parameters
        ----------
        matrices : iterable of str
            The units of the measurement.

        Returns
        -------
        set of str
            Names of finished ones.
        """
        return {name for name in matrices if self.read(name) is not None}

    def records(self, matrices: Iterable[str]) -> Iterator[Record]:
        """Iterate over the finished units in the given order.

        Parameters
        ----------
        matrices : iterable of str
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

    def note_making(self, made: dict[str, Any], shard: Shard | None = None) -> None:
        """Keep who measured, when and with what, until the store is sealed.

        Parameters
        ----------
        made : dict
            Serialisable provenance.
        shard : Shard, optional
            The share that was measured.
        """
        name = "made.json" if shard is None else f"made-{shard.index}-of-{shard.count}.json"
        write_whole(self.folder / name, json.dumps(made | ({"shard": str(shard)} if shard else {})).encode())

    def makings(self) -> list[dict[str, Any]]:
        """Return what `note_making` kept.

        Returns
        -------
        list of dict
            One for each call or share that came to its end.
        """
        found = []
        for path in sorted(self.folder.glob("made*.json")):
            with suppress(OSError, ValueError):
                found.append(json.loads(path.read_text()))
        return found

    def discard(self) -> None:
        """Remove the journal with all its records, and nothing else."""
        self._clear()
        self.locks.remove()
        with suppress(OSError):
            self.folder.rmdir()
        self.release()

    def release(self) -> None:
        """Let other processes in again."""
        self.locks.release()
