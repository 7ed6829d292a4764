"""Training several branches, here or in processes of one thread each."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Protocol

from geostat.errors import NonFiniteError, ProtocolError, StoreError
from geostat.lab.training import one_thread

__all__ = ["Progress", "Task", "run_tasks"]


@dataclass(frozen=True)
class Progress:
    """A branch has done `step` of its `steps` training steps."""

    branch: str
    step: int
    steps: int


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

    def run(self, on_step: Callable[[int], None]) -> None:
        """Train."""


@dataclass(frozen=True)
class _Done:
    """A task has ended, by a reason if it diverged."""

    diverged: NonFiniteError | None = None


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
    """
    if workers < 1:
        raise ProtocolError(f"workers={workers}: at least one process trains.")
    for task in tasks:  # so that the whole is known before it begins
        progress(Progress(task.name, 0, task.steps))
    if workers == 1 or len(tasks) < 2:
        return _one_after_the_other(tasks, progress)
    with _processes(min(workers, len(tasks))) as connections:
        return _distribute(tasks, connections, progress)


def _one_after_the_other(
    tasks: Sequence[Task], progress: Callable[[Progress], None]
) -> dict[str, NonFiniteError]:
    lost: dict[str, NonFiniteError] = {}
    with one_thread():
        for task in tasks:
            reason = _hopeless(task) if task.start in lost else _train(task, progress).diverged
            if reason is not None:
                lost[task.name] = reason
    return lost


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
            try:
                connection.send(ready)
            except ConnectionError:
                raise _died(ready) from None
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
    while hopeless := [task for task in waiting if task.start in lost]:
        for task in hopeless:
            waiting.remove(task)
            pending.remove(task.name)
            lost[task.name] = _hopeless(task)


def _hopeless(task: Task) -> NonFiniteError:
    return NonFiniteError(f"{task.start}, where it begins, diverged.")


def _receive(connection: Connection, task: Task) -> Progress | _Done:
    try:
        message = connection.recv()
    except (EOFError, ConnectionError):
        raise _died(task) from None
    if isinstance(message, BaseException):
        message.add_note(f"while training {task.name}")
        raise message
    assert isinstance(message, Progress | _Done)
    return message


def _died(task: Task) -> StoreError:
    return StoreError(
        f"the process that trained {task.name} ended before it was done. Finished branches in {task.out} "
        "are kept: call again to go on. If this was called at the top level of a script, put the call "
        'under `if __name__ == "__main__":`, or pass workers=1.'
    )


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
            except (EOFError, BrokenPipeError):
                return
            except Exception as error:
                connection.send(error)
