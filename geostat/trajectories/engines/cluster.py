"""Workers of dask.distributed: on this machine, or wherever a scheduler has them."""

import logging
import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import dask
import distributed
from distributed import KilledWorker, Worker, WorkerPlugin, get_worker

import geostat
from geostat.checkpoints import Checkpoint, MatrixRef
from geostat.errors import EngineError, GeostatError
from geostat.trajectories.engines.devices import devices_here
from geostat.trajectories.engines.interrupts import heard
from geostat.trajectories.engines.job import Job, Outcome
from geostat.trajectories.engines.order import relative_cost
from geostat.trajectories.engines.pool import CHANCES, lost_message, require_files
from geostat.trajectories.record import Record

__all__ = ["distributed_over"]

_CONNECT_SECONDS, _WORKERS_SECONDS = 10, 60
_LOCAL_SETTINGS = {
    "distributed.scheduler.allowed-failures": CHANCES - 1,
    "distributed.scheduler.worker-saturation": 1.0,  # what merely waits behind a death is not blamed for it
    "distributed.comm.timeouts.connect": "30s",
}
_DEAF_TO_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
"""What workers started here run first: the terminal tells them of Ctrl-C too, but it is for the parent."""
_LIBRARY: Any = distributed
"""Most of it has no annotations."""
_ONE_AT_A_TIME = threading.Lock()
"""Precision and threads are set for a whole process, so no two matrices are measured in one at once."""


def distributed_over(
    address: str | None, job: Job, refs: Sequence[MatrixRef], workers: int | None = None
) -> Iterator[Record]:
    """Measure matrices on the workers of a dask cluster.

    Parameters
    ----------
    address : str or None
        Where a scheduler listens, "tcp://host:8786"; None starts one here, with its workers.
    job : Job
        What is measured, and how; its checkpoints must be paths that every worker sees.
    refs : sequence of MatrixRef
        The units still to do.
    workers : int or None
        Processes of one thread each, where the cluster is started here; one per core by default.

    Yields
    ------
    Record
        As they finish.

    Raises
    ------
    ProtocolError
        If the weights lie in memory, where other processes cannot reach them.
    EngineError
        If there is no scheduler or no worker, if workers lack geostat or the files, or if a matrix costs
        its worker's life time and again.
    """
    require_files(job, address or "dask")
    with _client(address, max(1, min(workers or os.cpu_count() or 1, len(refs)))) as client:
        equipment = _Equipment(
            replace(job, plan=replace(job.plan, checkpoints=_absolute(job.plan.checkpoints)))
        )
        with _equipped(client, equipment, strip=address is not None), heard() as check:
            for record in _gathered(client, equipment, refs):
                yield record
                check()


def _absolute(sources: Sequence[Any]) -> tuple[str, ...]:
    """Workers stand in other folders."""
    paths = (os.fspath(source) for source in sources)
    return tuple(path if "://" in path else os.path.abspath(path) for path in paths)


@contextmanager
def _client(address: str | None, workers: int) -> Iterator[Any]:
    with ExitStack() as opened:
        if address is None:
            opened.enter_context(dask.config.set(_LOCAL_SETTINGS))
            target: Any = opened.enter_context(_local_cluster(workers))
        else:
            target = address
        try:
            client = opened.enter_context(_connected(target))
            client.wait_for_workers(1, timeout=_WORKERS_SECONDS)
        except TimeoutError as error:
            raise EngineError(
                f"the scheduler at {address} has no worker after {_WORKERS_SECONDS} s. Start one or more with "
                f"`dask worker {address} --nthreads 1`."
            ) from error
        except (OSError, ValueError, TypeError) as error:  # the last where its protocol is not set up here
            raise EngineError(
                f"no dask scheduler answers at {address}: {error}. Start one with `dask scheduler`, and pass the "
                "address that it prints."
            ) from error
        yield client


def _connected(target: Any) -> Any:
    """A client; one that does not come about is closed at once, or the interpreter waits for it in the end."""
    client = _LIBRARY.Client.__new__(_LIBRARY.Client)
    try:
        client.__init__(target, timeout=_CONNECT_SECONDS, set_as_default=False)
    except BaseException:
        client.close()
        raise
    return client


def _local_cluster(workers: int) -> Any:
    """Workers without a limit of memory: one that is short of it is not to be killed at an estimate."""
    return _LIBRARY.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        memory_limit=None,
        dashboard_address=":0",
        preload=[_DEAF_TO_CTRL_C],
        silence_logs=logging.CRITICAL + 1,  # what ends a measurement is told by an error of ours, in one line
    )


class _Equipment(WorkerPlugin):
    """What every worker is given, also one that joins later or replaces a dead one.

    Parameters
    ----------
    job : Job
        What is measured.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.name = f"geostat-{uuid.uuid4().hex}"
        self.version = geostat.__version__
        self._checkpoints: list[Checkpoint] | None = None
        self._device = "cpu"

    def setup(self, worker: Worker) -> None:
        """Refuse another version; choose the device of this worker."""
        if geostat.__version__ != self.version:
            raise EngineError(
                f"the worker {worker.address} has geostat {geostat.__version__}, but this process {self.version}. "
                "Install the same version everywhere."
            )
        devices = devices_here(self.job.device)
        self._device = devices[worker.name % len(devices) if isinstance(worker.name, int) else 0]

    def teardown(self, worker: Worker) -> None:
        """Close the files."""
        for checkpoint in self._checkpoints or ():
            checkpoint.close()

    def measure(self, ref: MatrixRef) -> Outcome:
        """Measure one matrix here."""
        with _ONE_AT_A_TIME:
            if self._checkpoints is None:
                self._checkpoints = self._open()
            return self.job.outcome(ref, self._checkpoints, self._device)

    def _open(self) -> list[Checkpoint]:
        try:
            return self.job.open()
        except (GeostatError, OSError) as error:
            raise EngineError(
                f"the worker {get_worker().address} cannot open the checkpoints: {error} Put them where every "
                "machine of the cluster sees them under the same path, or start its workers where they are."
            ) from error


def _task(name: str, ref: MatrixRef) -> Outcome:
    equipment: Any = get_worker().plugins[name]
    outcome: Outcome = equipment.measure(ref)
    return outcome


@contextmanager
def _equipped(client: Any, equipment: _Equipment, *, strip: bool) -> Iterator[None]:
    """Workers that are not ours are left as they were; a local one may be at a matrix, and ends anyway."""
    try:
        client.register_plugin(equipment, name=equipment.name)
    except ImportError as error:
        raise EngineError(
            f"the workers cannot import what they need: {error}. Install geostat where they run."
        ) from error
    try:
        yield
    finally:
        if strip and client.status == "running":
            client.unregister_worker_plugin(equipment.name)


def _gathered(client: Any, equipment: _Equipment, refs: Sequence[MatrixRef]) -> Iterator[Record]:
    """Yield what finishes; after an error still what workers are at, then raise it."""
    tier = equipment.job.plan.tier
    waiting: dict[Any, MatrixRef] = {}
    for index, ref in enumerate(refs):
        cost, key = relative_cost(ref.rows, ref.cols, tier), f"{equipment.name}-{index}"
        waiting[client.submit(_task, equipment.name, ref, key=key, priority=cost, pure=False)] = ref
    lost: list[str] = []
    times = CHANCES
    failed: BaseException | None = None
    finished = _LIBRARY.as_completed(list(waiting), loop=client.loop, raise_errors=False)
    try:
        for future in finished:
            ref = waiting.pop(future)
            if future.status == "finished":
                yield future.result().told()
            elif future.cancelled():
                failed = failed or EngineError(
                    "the scheduler gave up this measurement, or was lost. Finished matrices are in the journal of the "
                    "store: start the scheduler and its workers again, then run the same call."
                )
            elif isinstance(error := future.exception(), KilledWorker):
                lost.append(ref.name)
                times = int(error.allowed_failures) + 1
            elif failed is None:
                failed = error
                _cancel_unbegun(client, waiting)
    finally:
        if client.status == "running":
            client.cancel(list(waiting))
    if failed is not None:
        raise failed
    if lost:
        raise EngineError(lost_message(lost, times))


def _cancel_unbegun(client: Any, waiting: dict[Any, MatrixRef]) -> None:
    begun = {key for keys in client.processing().values() for key in keys}
    client.cancel([future for future in waiting if future.key not in begun and not future.done()])
