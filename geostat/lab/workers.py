"""Training several branches, here or in processes of one thread each."""

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Protocol

from geostat.errors import NonFiniteError, ProtocolError, StoreError
from geostat.lab.training import one_thread

__all__ = ["Progress", "Task", "run_tasks"]


@dataclass(frozen=True)
class Progress:
    """A branch has done `step` of its `steps` training steps, of `total` that all branches of the call take."""

    branch: str
    step: int
    steps: int
    total: int = 0


class Task(Protocol):
    """Something to train that leaves its results on disk."""

    @property
    def name(self) -> str:
        """Of the branch."""

    @property
    def out(self) -> Path:
        """Folder of the study."""

    @property
    def start(self) -> str | None:
        """Name of the branch that has to be there before."""

    @property
    def steps(self) -> int:
        """How many training steps it takes."""

    @property
    def done(self) -> bool:
        """Whether its results are there."""

    def run(self, on_step: Callable[[int], None]) -> None:
        """Train."""


@dataclass(frozen=True)
class _Done:
    """A task has ended, by a reason if it diverged."""

    diverged: NonFiniteError | None = None


class _StartLostError(NonFiniteError):
    """What a task starts from diverged."""


def run_tasks(
    tasks: Sequence[Task], workers: int, progress: Callable[[Progress], None]
) -> dict[str, NonFiniteError]:
    """Train all branches, each after the one it starts from.

    Returns
    -------
    dict of str to NonFiniteError
        Branches that diverged, and those that were to start from them. All others were trained.

    Raises
    ------
    StoreError
        A worker died. An error in a branch is raised as it is. What was finished stays finished.
    ProtocolError
        Several processes were asked for, and a task cannot be sent to one.
    """
    total = sum(task.steps for task in tasks)

    def told(event: Progress) -> None:
        progress(replace(event, total=total))

    if workers <= 1 or len(tasks) < 2:
        return _one_after_the_other(tasks, told)
    _check_sendable(tasks)
    with _processes(min(workers, len(tasks))) as connections:
        return _distribute(tasks, connections, told)


def _check_sendable(tasks: Sequence[Task]) -> None:
    for task in tasks:
        try:
            ForkingPickler.dumps(task)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ProtocolError(
                f"{task.name} was to be trained in another process, but cannot be sent there ({error}). Define its "
                "objective at the top level of a module, by def, or pass workers=1."
            ) from error


def _one_after_the_other(
    tasks: Sequence[Task], progress: Callable[[Progress], None]
) -> dict[str, NonFiniteError]:
    lost: dict[str, NonFiniteError] = {}
    with one_thread():
        for task in tasks:
            reason = _never_began(task, lost) or _train(task, progress).diverged
            if reason is not None:
                lost[task.name] = reason
    return lost


def _never_began(task: Task, lost: Mapping[str, NonFiniteError]) -> _StartLostError | None:
    """Why a task cannot begin: the first in the line of its starts that diverged."""
    before = lost.get(task.start or "")
    if before is None or isinstance(before, _StartLostError):
        return before
    return _StartLostError(f"its start {task.start} diverged, so that it never began.")


def _train(task: Task, progress: Callable[[Progress], None]) -> _Done:
    try:
        task.run(lambda step: progress(Progress(task.name, step, task.steps)))
    except NonFiniteError as error:
        return _Done(error)
    return _Done()


def _distribute(
    tasks: Sequence[Task], connections: Sequence[Connection], progress: Callable[[Progress], None]
) -> dict[str, NonFiniteError]:
    waiting, pending = list(tasks), {task.name for task in tasks}
    idle: list[Connection] = list(connections)
    busy: dict[Connection, Task] = {}
    lost: dict[str, NonFiniteError] = {}
    while pending:
        while idle and (ready := next((task for task in waiting if task.start not in pending), None)):
            waiting.remove(ready)
            connection = idle.pop()
            _send(connection, ready)
            busy[connection] = ready
        spoken = wait(list(busy))
        for connection in [one for one in busy if one in spoken]:
            message = _receive(connection, busy[connection])
            if isinstance(message, Progress):
                progress(message)
                continue
            name = busy.pop(connection).name
            pending.remove(name)
            idle.append(connection)
            if message.diverged is not None:
                lost[name] = message.diverged
                _give_up(waiting, pending, lost)
    return lost


def _give_up(waiting: list[Task], pending: set[str], lost: dict[str, NonFiniteError]) -> None:
    """Take out what would start from a branch that diverged."""
    for task in tuple(waiting):  # each stands after the one it starts from
        reason = _never_began(task, lost)
        if reason is not None:
            waiting.remove(task)
            pending.remove(task.name)
            lost[task.name] = reason


@contextmanager
def _alive(task: Task) -> Iterator[None]:
    """Say of a process that is gone what it was to train."""
    try:
        yield
    except (EOFError, ConnectionError):
        raise StoreError(
            f"the process that trained {task.name} ended before it was done. Finished branches in {task.out} "
            "are kept: call again to go on. If this was called at the top level of a script, put the call "
            'under `if __name__ == "__main__":`, or pass workers=1.'
        ) from None


def _send(connection: Connection, task: Task) -> None:
    with _alive(task):
        connection.send(task)


def _receive(connection: Connection, task: Task) -> Progress | _Done:
    with _alive(task):
        message = connection.recv()
    if isinstance(message, BaseException):
        message.add_note(f"while training {task.name}")
        raise message
    assert isinstance(message, Progress | _Done)
    return message


@contextmanager
def _processes(count: int) -> Iterator[list[Connection]]:
    """Fresh processes (spawned, so that no thread's state is copied), ended on the way out."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(count)]
    processes = [context.Process(target=_serve, args=(theirs,), daemon=True) for _, theirs in pipes]
    try:
        for process in processes:
            process.start()
        for _, theirs in pipes:
            theirs.close()
        yield [ours for ours, _ in pipes]
    finally:
        for process in processes:
            if process.pid is not None:
                process.terminate()
                process.join()


def _serve(connection: Connection) -> None:
    """Train what comes in until the other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with one_thread():
        while True:
            try:
                task = connection.recv()
                connection.send(_train(task, connection.send))
            except (EOFError, ConnectionError):
                return
            except Exception as error:
                connection.send(error)
