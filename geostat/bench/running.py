"""Carrying out the chosen jobs."""

from collections.abc import Callable, Iterator, Sequence

from geostat.bench.bars import Row
from geostat.bench.catalogue import JOBS
from geostat.bench.settings import Job, Settings
from geostat.errors import ProtocolError
from geostat.linalg import own_arithmetic

__all__ = ["chosen_jobs", "run_bench"]


def chosen_jobs(names: Sequence[str] = (), *, nightly: bool = False) -> list[Job]:
    """Return the jobs that a call asks for.

    Parameters
    ----------
    names : sequence of str
        Which; all by default.
    nightly : bool
        Whether those that take minutes belong to "all". A job that is named runs in any case.

    Returns
    -------
    list of Job
        In the order of the table.

    Raises
    ------
    ProtocolError
        If a name is not known.
    """
    unknown = sorted(set(names) - {job.name for job in JOBS})
    if unknown:
        raise ProtocolError(
            f"no job is called {', '.join(unknown)}. There are: {', '.join(j.name for j in JOBS)}."
        )
    return [job for job in JOBS if (job.name in names if names else nightly or not job.nightly)]


def run_bench(
    names: Sequence[str] = (),
    *,
    nightly: bool = False,
    repeats: int = 3,
    notify: Callable[[Job], None] = lambda job: None,
) -> Iterator[Row]:
    """Measure, one BLAS thread throughout, and hand over each line as it is found.

    Parameters
    ----------
    names : sequence of str
        Which jobs; all by default.
    nightly : bool
        Whether those that take minutes belong to "all".
    repeats : int
        Repetitions of which medians are taken; jobs of the night are run once.
    notify : callable
        Called with each job before it starts.

    Yields
    ------
    Row
        A line of the table.

    Raises
    ------
    ProtocolError
        If a name is not known.
    """
    for job in chosen_jobs(names, nightly=nightly):
        notify(job)
        with own_arithmetic():
            rows = [Row(job.name, *found) for found in job.run(Settings(1 if job.nightly else repeats))]
        yield from rows
