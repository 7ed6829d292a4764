"""One matrix after the other in this process."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from geostat.checkpoints import MatrixRef
from geostat.trajectories.engines.job import Job
from geostat.trajectories.record import Record

__all__ = ["serial"]


def serial(job: Job, refs: Sequence[MatrixRef], workers: int | None = None) -> Iterator[Record]:
    """Measure one matrix after the other in this process.

    Parameters
    ----------
    job : Job
        What is measured, and how.
    refs : sequence of MatrixRef
        The units still to do.
    workers : int or None
        Ignored.

    Yields
    ------
    Record
        In the order of refs.
    """
    checkpoints = job.open()
    try:
        for ref, following in zip_longest(refs, refs[1:]):
            job.expect(following, checkpoints)
            yield job.measure(ref, checkpoints)
    finally:
        for checkpoint in checkpoints:
            checkpoint.close()
