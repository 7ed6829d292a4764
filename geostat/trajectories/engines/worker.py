"""What runs in a worker process: take a matrix, measure it, send the outcome, until told to stop."""

import pickle
import signal
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection

from geostat.errors import EngineError, GeostatError
from geostat.trajectories.engines.job import Job

__all__ = ["READY", "work"]

READY = "ready"
"""First message of a worker that has started."""


def work(connection: Connection, job: Job, device: str) -> None:
    """Serve a parent over a connection.

    Parameters
    ----------
    connection : Connection
        Receives pairs of a ref and the one that waits next, and None to stop; sends `READY`, then one outcome
        or error for each pair.
    job : Job
        What is measured, and how.
    device : str
        The device of this worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops its workers
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
        try:
            checkpoints = job.open()
        except Exception as error:
            connection.send(_portable(error))
            return
        connection.send(READY)
        while (order := connection.recv()) is not None:
            ref, following = order
            try:
                job.expect(following, checkpoints)
                connection.send(job.outcome(ref, checkpoints, device))
            except (BrokenPipeError, ConnectionResetError):
                return
            except Exception as error:
                connection.send(_portable(error))


def _portable(error: Exception) -> Exception:
    """The error as it will arrive in the parent; where it cannot travel, what it says."""
    if not isinstance(error, GeostatError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return EngineError(f"a worker failed: {type(error).__name__}: {error}")
    return error
