"""Who computes the units of work: this process, or several."""

import multiprocessing
import os
import signal
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from types import MappingProxyType
from typing import Protocol as Interface

from geostat.checkpoints import Checkpoint, MatrixRef
from geostat.errors import EngineError, ProtocolError
from geostat.trajectories.plan import Plan
from geostat.trajectories.record import Record
from geostat.trajectories.unit import measure_matrix

__all__ = ["ENGINES", "Engine", "find_engine"]


class Engine(Interface):
    """Anything that turns units of work into records, in whatever order they finish."""

    def __call__(
        self, plan: Plan, refs: list[MatrixRef], device: str, workers: int | None
    ) -> Iterator[Record]:
        """Yield one record per ref."""


def serial(plan: Plan, refs: list[MatrixRef], device: str, workers: int | None) -> Iterator[Record]:
    """Measure one matrix after the other in this process.

    Parameters
    ----------
    plan : Plan
        What is measured.
    refs : list of MatrixRef
        The units still to do.
    device : str
        Where the arithmetic runs.
    workers : int or None
        Ignored.

    Yields
    ------
    Record
        In the order of refs.
    """
    checkpoints = plan.open()
    try:
        for ref in refs:
            yield measure_matrix(plan, ref, checkpoints, device)
    finally:
        for checkpoint in checkpoints:
            checkpoint.close()


Done = tuple[Record, list[tuple[str, type[Warning]]]]
"""What a worker sends back: the record, and the warnings given on the way."""

_OPEN: dict[str, list[Checkpoint]] = {}


def _prepare_worker() -> None:
    """Leave Ctrl-C to the parent, which stops the workers in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _work(plan: Plan, ref: MatrixRef, device: str) -> Done:
    if plan.identity not in _OPEN:
        _OPEN[plan.identity] = plan.open()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        record = measure_matrix(plan, ref, _OPEN[plan.identity], device)
    return record, [(str(warning.message), warning.category) for warning in caught]


def processes(plan: Plan, refs: list[MatrixRef], device: str, workers: int | None) -> Iterator[Record]:
    """Measure matrices in several processes of one thread each, the costliest first.

    Parameters
    ----------
    plan : Plan
        What is measured; its checkpoints must be paths.
    refs : list of MatrixRef
        The units still to do.
    device : str
        Where the arithmetic runs.
    workers : int or None
        Number of processes; one per core by default.

    Yields
    ------
    Record
        As they finish.

    Raises
    ------
    ProtocolError
        If the weights lie in memory, where other processes cannot reach them.
    EngineError
        If a worker died.
    """
    if not all(isinstance(source, str | os.PathLike) for source in plan.checkpoints):
        raise ProtocolError(
            "engine='processes' reads checkpoints from files, but some lie in memory. Use 'serial'."
        )
    ordered = sorted(refs, key=lambda ref: -ref.n_params * min(ref.rows, ref.cols))
    n_workers = max(1, min(workers or os.cpu_count() or 1, len(refs)))
    pool = ProcessPoolExecutor(n_workers, multiprocessing.get_context("spawn"), _prepare_worker)
    try:
        yield from _drained(pool, [pool.submit(_work, plan, ref, device) for ref in ordered])
    except BrokenProcessPool as error:
        raise EngineError(
            f"one of {n_workers} workers died. Either the system killed it (memory: use fewer workers), or this "
            "call stands in a script outside `if __name__ == '__main__':`, which workers import. Finished matrices "
            "are in the journal of the store: run the same call again."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _drained(pool: ProcessPoolExecutor, futures: list[Future[Done]]) -> Iterator[Record]:
    """Yield what finishes; after an error still what other workers were at, then raise it."""
    failed: BaseException | None = None
    for done in as_completed(futures):
        if done.cancelled():
            continue
        error = done.exception()
        if error is None:
            record, caught = done.result()
            for message, category in caught:
                warnings.warn(message, category, stacklevel=3)
            yield record
        elif failed is None:
            failed = error
            pool.shutdown(wait=False, cancel_futures=True)
    if failed is not None:
        raise failed


ENGINES: Mapping[str, Engine] = MappingProxyType({"serial": serial, "processes": processes})
"""Engines by name."""


def find_engine(name: str) -> Engine:
    """Look an engine up by name.

    Parameters
    ----------
    name : str
        A key of `ENGINES`.

    Returns
    -------
    Engine
        The engine.

    Raises
    ------
    ProtocolError
        If there is none of that name.
    """
    if name not in ENGINES:
        raise ProtocolError(f"engine {name!r} is not known. Choose one of {', '.join(ENGINES)}.")
    return ENGINES[name]
