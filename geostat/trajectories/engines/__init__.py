"""Who computes the units of work: this process, several, or a cluster."""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Protocol as Interface

from geostat.checkpoints import MatrixRef
from geostat.errors import EngineError, ProtocolError
from geostat.trajectories.engines.in_process import serial
from geostat.trajectories.engines.job import Job
from geostat.trajectories.engines.pool import processes
from geostat.trajectories.record import Record

__all__ = ["ENGINES", "Engine", "Job", "at_once", "find_engine", "require_workers"]

_SCHEMES = ("tcp://", "tls://", "ucx://")


class Engine(Interface):
    """Anything that turns units of work into records, in whatever order they finish."""

    def __call__(self, job: Job, refs: Sequence[MatrixRef], workers: int | None = None) -> Iterator[Record]:
        """Yield one record per ref."""


def dask(job: Job, refs: Sequence[MatrixRef], workers: int | None = None) -> Iterator[Record]:
    """Measure on a dask cluster that is started here and stopped afterwards.

    Parameters
    ----------
    job : Job
        What is measured, and how.
    refs : sequence of MatrixRef
        The units still to do.
    workers : int or None
        Processes of one thread each; one per core by default.

    Returns
    -------
    iterator of Record
        As they finish.
    """
    return _distributed(None)(job, refs, workers)


ENGINES: Mapping[str, Engine] = MappingProxyType({"serial": serial, "processes": processes, "dask": dask})
"""Engines by name."""


def find_engine(name: str) -> Engine:
    """Look an engine up by name, or take the address of a dask scheduler for one.

    Parameters
    ----------
    name : str
        A key of `ENGINES`, or an address such as "tcp://host:8786".

    Returns
    -------
    Engine
        The engine.

    Raises
    ------
    ProtocolError
        If there is none of that name.
    EngineError
        If it needs a library that is not installed.
    """
    if isinstance(name, str) and name.startswith(_SCHEMES):
        return _distributed(name)
    if name not in ENGINES:
        raise ProtocolError(
            f"engine {name!r} is not known. Choose one of {', '.join(ENGINES)}, or give the address of a dask "
            "scheduler, tcp://host:8786."
        )
    if name == "dask":
        return _distributed(None)
    return ENGINES[name]


def require_workers(workers: int | None) -> None:
    """Refuse a number of workers that is none.

    Parameters
    ----------
    workers : int or None
        Processes asked for.

    Raises
    ------
    ProtocolError
        If it is no integer of at least 1.
    """
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise ProtocolError(
            f"workers={workers!r}. Pass how many processes measure at once, 1 or more, or None for one per core or "
            "accelerator."
        )


def at_once(name: str, workers: int | None) -> int:
    """How many matrices an engine measures at a time, for an estimate of the time remaining.

    Parameters
    ----------
    name : str
        As for `find_engine`.
    workers : int or None
        Processes asked for.

    Returns
    -------
    int
        1 for "serial"; else what was asked for, or the number of cores.
    """
    return 1 if name == "serial" else workers or os.cpu_count() or 1


def _distributed(address: str | None) -> Engine:
    try:
        from geostat.trajectories.engines.cluster import distributed_over
    except ImportError as error:
        raise EngineError(
            f"engine={address or 'dask'!r} needs dask.distributed, which is not installed here ({error}). Install it "
            "with pip install 'geostat-training[distributed]', or use engine='processes'."
        ) from error
    return partial(distributed_over, address)
