"""A bar that a measurement must reach, and what was found."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Bar", "Measured", "Outcome", "Row"]

Outcome = Literal["met", "missed", "skipped", "reported"]


@dataclass(frozen=True)
class Bar:
    """One line of the table.

    Attributes
    ----------
    name : str
        What is measured, unique.
    quantity : str
        What the figure is: "ratio", "GB/s", "degree", "CPU-s".
    at_least, at_most : float or None
        The bound; neither where the figure is only reported.
    goal : float or None
        What is aimed at.
    error_bar : float or None
        Largest error that the fast figures may have in the same run.
    """

    name: str
    quantity: str
    at_least: float | None = None
    at_most: float | None = None
    goal: float | None = None
    error_bar: float | None = None


@dataclass(frozen=True)
class Measured:
    """What a job found for one bar.

    Attributes
    ----------
    value : float or None
        The figure; None where it could not be had, and `note` says why.
    naive_seconds, fast_seconds : float or None
        CPU time of either side, where there are two.
    error : float or None
        Largest difference between the two.
    note : str
        What a reader should know.
    """

    value: float | None
    naive_seconds: float | None = None
    fast_seconds: float | None = None
    error: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A bar with what was found.

    Attributes
    ----------
    job : str
        The job it belongs to.
    bar : Bar
        The bound.
    found : Measured
        The figure.
    """

    job: str
    bar: Bar
    found: Measured

    @property
    def outcome(self) -> Outcome:
        """Whether value and error keep their bounds."""
        value, error = self.found.value, self.found.error
        if value is None:
            return "skipped"
        kept = [value >= self.bar.at_least] if self.bar.at_least is not None else []
        kept += [value <= self.bar.at_most] if self.bar.at_most is not None else []
        if self.bar.error_bar is not None:
            kept.append(error is not None and error <= self.bar.error_bar)
        if not kept:
            return "reported"
        return "met" if all(kept) else "missed"
