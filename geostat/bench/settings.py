"""What a job is told, and what it hands back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from geostat.bench.bars import Bar, Measured

__all__ = ["Found", "Job", "Settings"]


@dataclass(frozen=True)
class Settings:
    """How often things are repeated.

    Attributes
    ----------
    repeats : int
        Repetitions of which medians are taken.
    """

    repeats: int = 3


Found = Iterator[tuple[Bar, Measured]]


@dataclass(frozen=True)
class Job:
    """A measurement that fills one or several lines of the table.

    Attributes
    ----------
    name : str
        What ``--job`` takes.
    says : str
        What is measured.
    bars : tuple of Bar
        The lines.
    run : callable
        Yields every bar with what was found.
    nightly : bool
        Whether it takes minutes.
    """

    name: str
    says: str
    bars: tuple[Bar, ...]
    run: Callable[[Settings], Found]
    nightly: bool = False
