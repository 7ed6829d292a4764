"""Several processes of one thread each; one that is killed costs no more than its own matrix."""

import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from geostat.checkpoints import MatrixRef
from geostat.errors import EngineError, ProtocolError
from geostat.trajectories.engines.devices import devices_here
from geostat.trajectories.engines.job import Job, Outcome
from geostat.trajectories.engines.order import costliest_first
from geostat.trajectories.engines.worker import work
from geostat.trajectories.record import Record

__all__ = ["CHANCES", "lost_message", "processes", "require_files"]

CHANCES = 2
"""How often a matrix may lose the process that measures it."""


def processes(job: Job, refs: Sequence[MatrixRef], workers: int | None = None) -> Iterator[Record]:
    """Measure matrices in several processes of one thread each, the costliest first.

    On accelerators there is one process for each. A process that dies is replaced and its matrix tried
    once more; what dies twice is reported when all others are done.

    Parameters
    ----------
    job : Job
        What is measured, and how; its checkpoints must be paths.
    refs : sequence of MatrixRef
        The units still to do.
    workers : int or None
        Number of processes; one per core, or one per accelerator, by default.

    Yields
    ------
    Record
        As they finish.

    Raises
    ------
    ProtocolError
        If the weights lie in memory, where other processes cannot reach them.
    EngineError
        If a matrix has cost two processes their lives, or none can be started.
    """
    require_files(job, "processes")
    devices = devices_here(job.device)
    room = (os.cpu_count() or 1) if devices == ("cpu",) else len(devices)
    count = max(1, min(workers or room, len(refs)))
    if devices != ("cpu",):
        count = min(count, len(devices))
    with _Crew(job, deque(costliest_first(refs, job.plan.tier))) as crew:
        for index in range(count):
            crew.hire(devices[index % len(devices)])
        yield from crew.records()
        crew.report()


def require_files(job: Job, engine: str) -> None:
    """Refuse weights that other processes cannot reach.

    Parameters
    ----------
    job : Job
        What is measured.
    engine : str
        Name of the engine, for the message.

    Raises
    ------
    ProtocolError
        If some weights lie in memory.
    """
    if not all(isinstance(source, str | os.PathLike) for source in job.plan.checkpoints):
        raise ProtocolError(
            f"engine={engine!r} reads checkpoints from files, but some lie in memory. Use 'serial'."
        )


def lost_message(names: Sequence[str], times: int = CHANCES) -> str:
    """Say which matrices cost their workers' lives, and what to do.

    Parameters
    ----------
    names : sequence of str
        The matrices.
    times : int
        How often each of them did.

    Returns
    -------
    str
        Two or three sentences.
    """
    return (
        f"the worker measuring {', '.join(names[:5])}{' ...' if len(names) > 5 else ''} was killed "
        f"{times} times. Most often the system does that where memory is short: use fewer workers or a larger "
        "machine. All other matrices are in the journal of the store: run the same call again, it measures the rest."
    )


@dataclass
class _Hand:
    """One worker process, and what it is at."""

    process: BaseProcess
    connection: Connection
    device: str
    started: bool = False
    ref: MatrixRef | None = None


class _Crew:
    """The workers of one call, and the matrices that wait for them."""

    def __init__(self, job: Job, waiting: deque[MatrixRef]) -> None:
        self._job, self._waiting = job, waiting
        self._hands: list[_Hand] = []
        self._deaths: Counter[str] = Counter()
        self._lost: list[str] = []
        self._failed: BaseException | None = None

    def __enter__(self) -> "_Crew":
        return self

    def __exit__(self, *unused: Any) -> None:
        """Let idle workers end by themselves, and stop the others: their matrices are begun anew some day."""
        for hand in self._hands:
            if hand.ref is None and hand.started:
                self._tell(hand, None)
            else:
                hand.process.terminate()
            hand.connection.close()
        for hand in self._hands:
            hand.process.join()

    def hire(self, device: str) -> None:
        """Start a worker."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self._job, device), daemon=True)
        process.start()
        theirs.close()  # else its end would never be seen when it dies
        self._hands.append(_Hand(process, ours, device))

    def records(self) -> Iterator[Record]:
        """Yield what finishes, until nothing waits and nobody works."""
        while self._waiting or any(hand.ref is not None for hand in self._hands):
            by_connection = {hand.connection: hand for hand in self._hands}
            for ready in wait(list(by_connection)):
                hand = by_connection[ready]  # type: ignore[index]
                outcome = self._heard(hand)
                if outcome is not None:
                    yield outcome.told()

    def report(self) -> None:
        """Raise what went wrong on the way, now that the others are done."""
        if self._failed is not None:
            raise self._failed
        if self._lost:
            raise EngineError(lost_message(self._lost))

    def _heard(self, hand: _Hand) -> Outcome | None:
        """Take a worker's message, and give it the next matrix."""
        try:
            message = hand.connection.recv()
        except (EOFError, OSError):
            self._bury(hand)
            return None
        hand.started, hand.ref = True, None  # the first message only says that it is ready
        if isinstance(message, Exception):
            self._failed = self._failed or message
            self._waiting.clear()
        self._assign(hand)
        return message if isinstance(message, Outcome) else None

    def _assign(self, hand: _Hand) -> None:
        if self._waiting:
            hand.ref = self._waiting.popleft()
            self._tell(hand, (hand.ref, self._waiting[0] if self._waiting else None))

    def _tell(self, hand: _Hand, order: tuple[MatrixRef, MatrixRef | None] | None) -> None:
        try:
            hand.connection.send(order)
        except OSError:  # it died; the next look at its connection tells
            return

    def _bury(self, hand: _Hand) -> None:
        """A worker died: its matrix goes back to the front, another worker takes its place."""
        hand.process.join()
        hand.connection.close()
        self._hands.remove(hand)
        if not hand.started:
            self._failed = self._failed or EngineError(_unstarted_message(hand.process.exitcode))
            self._waiting.clear()
        if hand.ref is not None:
            self._deaths[hand.ref.name] += 1
            if self._deaths[hand.ref.name] < CHANCES:
                self._waiting.appendleft(hand.ref)
            else:
                self._lost.append(hand.ref.name)
        self._replace(hand)

    def _replace(self, dead: _Hand) -> None:
        idle = next((hand for hand in self._hands if hand.started and hand.ref is None), None)
        if idle is not None:
            self._assign(idle)
        elif self._waiting:
            self.hire(dead.device)


def _unstarted_message(exit_code: int | None) -> str:
    return (
        f"a worker process ended before it began, with exit code {exit_code}; its last words are above. Most often "
        "this call stands in a script outside `if __name__ == '__main__':`, which workers import. Finished matrices "
        "are in the journal of the store."
    )
