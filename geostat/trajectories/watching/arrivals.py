"""Which checkpoints are there, and which of them are complete."""

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from geostat.checkpoints import open_checkpoint, step_of
from geostat.checkpoints.directory import is_weights_file
from geostat.errors import GeostatError

__all__ = ["Arrivals", "Sighting"]

_TEMPORARY = re.compile(
    r"^[._~]|^(?:tmp|temp)(?:[-_.]|$)|\.(?:tmp|temp|part|partial|incomplete|lock)\b", re.IGNORECASE
)
"""Names under which trainers and copiers write before they rename."""
_PATIENCE = 30.0
"""A checkpoint that does not become complete holds later ones up for this many times the settling time."""

_CHANGING = "its files still change"

Signature = tuple[tuple[str, int, int], ...]


@dataclass
class Sighting:
    """A checkpoint as it was seen last.

    Attributes
    ----------
    path : str
        Where it lies.
    signature : tuple
        Names, sizes and times of change of its files.
    since : float
        Clock time since which they are the same.
    lacking : str
        What it waits for; empty once it is complete.
    """

    path: str
    signature: Signature
    since: float
    lacking: str = _CHANGING


@dataclass
class Arrivals:
    """Checkpoints in a folder, looked at again and again.

    Attributes
    ----------
    folder : str
        Where they appear.
    settle : float
        Seconds for which the files of a checkpoint must not change.
    trust : bool
        Whether formats that need unpickling may be opened.
    clock : callable
        Gives seconds.
    seen : dict of int to Sighting
        Step -> what is known of it.
    changed : float
        Clock time of the last change of anything.
    met : set of int
        Steps that were ever there.
    """

    folder: str
    settle: float
    trust: bool = False
    clock: Callable[[], float] = time.monotonic
    seen: dict[int, Sighting] = field(default_factory=dict)
    changed: float = -1.0
    met: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.changed = self.clock()

    def look(self, after: int = -1) -> tuple[list[int], list[int]]:
        """Look at the folder.

        Parameters
        ----------
        after : int
            Steps up to this one are of no interest any more.

        Returns
        -------
        gone, late : list of int
            Steps seen before and now not there; steps of no interest that were never there before.
        """
        listed = self._listed()
        late = [step for step in sorted(listed.keys() - self.met) if step <= after]
        self.met |= listed.keys()
        there = {step: path for step, path in listed.items() if step > after}
        gone = [step for step in self.seen if step > after and step not in there]
        self.seen = {step: sighting for step, sighting in self.seen.items() if step in there}
        for step, path in there.items():
            self._see(step, path)
        return gone, late

    def next(self) -> int | None:
        """Return the smallest step that is complete, unless a smaller one is still being written.

        Returns
        -------
        int or None
            None where there is none now.
        """
        for step in sorted(self.seen):
            sighting = self.seen[step]
            if not sighting.lacking:
                return step
            if self.clock() - sighting.since < _PATIENCE * max(self.settle, 0.01):
                return None
        return None

    @property
    def settling(self) -> bool:
        """Whether a checkpoint may be complete as soon as its files have not changed for long enough."""
        return any(sighting.lacking == _CHANGING for sighting in self.seen.values())

    def _listed(self) -> dict[int, str]:
        found: dict[int, str] = {}
        try:
            names = sorted(os.listdir(self.folder))
        except OSError:  # it is not there yet, or its disk does not answer now
            return found
        for name in names:
            step, path = step_of(name), os.path.join(self.folder, name)
            if step is None or _TEMPORARY.search(name):
                continue
            if is_weights_file(name) or os.path.isdir(path):
                found.setdefault(step, path)
        return found

    def _see(self, step: int, path: str) -> None:
        signature, now = _signature(path), self.clock()
        known = self.seen.get(step)
        if known is None or known.signature != signature:
            known = self.seen[step] = Sighting(path, signature, now)
            self.changed = now
        if not known.lacking:
            return
        quiet = max(now - known.since, time.time() - max((each[2] for each in signature), default=0) / 1e9)
        known.lacking = self._lacking(path) if quiet >= self.settle else _CHANGING

    def _lacking(self, path: str) -> str:
        """Why a checkpoint cannot be measured yet; every header is read, every shard looked for."""
        try:
            with open_checkpoint(path, trust=self.trust, io="read") as checkpoint:
                for name in checkpoint:
                    checkpoint.shape(name)
        except (GeostatError, OSError) as error:
            return str(error)
        return ""


def _signature(path: str) -> Signature:
    place = Path(path)
    try:
        files = [place] if place.is_file() else sorted(each for each in place.iterdir() if each.is_file())
        told = [(each.name, each.stat()) for each in files]
    except OSError:  # deleted this moment
        return ()
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in told)
