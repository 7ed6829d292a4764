"""Training several branches, here or in processes of one thread each."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

from geostat.errors import StoreError
from geostat.lab.branches import Branch, BranchTask, train_branch
from geostat.lab.training import one_thread

__all__ = ["Progress", "run_tasks"]


@dataclass(frozen=True)
class Progress:
    """A branch has done `step` of its `steps` training steps."""

    branch: str
    step: int
    steps: int


def run_tasks(tasks: Sequence[BranchTask], workers: int, progress: Callable[[Progress], None]) -> None:
    """Train all branches, each after the one it starts from.

    Raises
    ------
    StoreError
        A worker died. An error in a branch is raised as it is. What was finished stays finished.
    """
    if workers <= 1 or len(tasks) < 2:
        with one_thread():
            for task in tasks:
                _train(task, progress)
        return
    with _processes(min(workers, len(tasks))) as connections:
        _distribute(tasks, connections, progress)


def _train(task: BranchTask, progress: Callable[[Progress], None]) -> Branch:
    steps = task.recipe.training.steps
    return train_branch(task, lambda step: progress(Progress(task.name, step, steps)))


def _distribute(
    tasks: Sequence[BranchTask], connections: Sequence[Connection], progress: Callable[[Progress], None]
) -> None:
    waiting, pending = list(tasks), {task.name for task in tasks}
    idle: list[Connection] = list(connections)
    busy: dict[Connection, BranchTask] = {}
    while pending:
        while idle and (ready := next((task for task in waiting if task.start not in pending), None)):
            waiting.remove(ready)
            connection = idle.pop()
            connection.send(ready)
            busy[connection] = ready
        spoken = wait(list(busy))
        for connection in [one for one in busy if one in spoken]:
            message = _receive(connection, busy[connection])
            if isinstance(message, Progress):
                progress(message)
            else:
                pending.remove(busy.pop(connection).name)
                idle.append(connection)


def _receive(connection: Connection, task: BranchTask) -> Progress | Branch:
    try:
        message = connection.recv()
    except EOFError:
        raise StoreError(
            f"the process that trained {task.name} ended before it was done. Finished branches in {task.out} "
            "are kept: call again to go on. If this was called at the top level of a script, put the call "
            'under `if __name__ == "__main__":`, or pass workers=1.'
        ) from None
    if isinstance(message, BaseException):
        message.add_note(f"while training {task.name}")
        raise message
    assert isinstance(message, Progress | Branch)
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
            except (EOFError, BrokenPipeError):
                return
            except Exception as error:
                connection.send(error)
