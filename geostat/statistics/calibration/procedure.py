"""What is calibrated: anything that turns the data of a study into an interval or a declaration."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import SampleError
from geostat.statistics.calibration.answers import Answers, joined, read_answers
from geostat.statistics.calibration.scenario import Kind, Scenario, Simulated

__all__ = ["Asked", "Procedure", "as_procedure"]


@dataclass(frozen=True)
class Asked:
    """What a procedure is told beside the data.

    Attributes
    ----------
    level : float
        Confidence level.
    rng : numpy.random.Generator
        Randomness of its own.
    settings : mapping
        Of the scenario: margin, length of training.
    """

    level: float
    rng: np.random.Generator
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Procedure:
    """A procedure and what it claims.

    Attributes
    ----------
    name : str
        As reports print it.
    call : callable
        Takes the data and an `Asked`; returns a result or a pair (low, high).
    kind : {"seeds", "two recipes", "curves", "regimes", "any"}
        What data it takes.
    estimand : str
        Which truth of a scenario its interval has to contain.
    claim : str
        What it declares.
    vectorised : bool
        Whether it keeps the dim ``replicate``; otherwise it is called for one replicate at a time.
    units : str
        Of its interval's width; left out where the data say it.
    says : str
        One line.
    population : callable, optional
        For an estimand that is a figure of all runs: takes many replicates' data and an `Asked`, and returns
        the truth.
    null_below : float, optional
        For such an estimand: up to this truth every declaration is an error.
    """

    name: str
    call: Callable[[Any, Asked], Any]
    kind: Kind = "any"
    estimand: str = ""
    claim: str = ""
    vectorised: bool = False
    units: str = ""
    says: str = ""
    population: Callable[[Any, Asked], float] | None = None
    null_below: float | None = None

    def answers(self, simulated: Simulated, asked: Asked, step: Callable[[int], object]) -> Answers:
        """Ask about every replicate.

        Parameters
        ----------
        simulated : Simulated
            Data with dim replicate.
        asked : Asked
            The rest.
        step : callable
            Told how many replicates were finished.

        Returns
        -------
        Answers
            With dim replicate.
        """
        data = simulated.data
        n = data.sizes["replicate"]
        if self.vectorised:
            found = read_answers(self.call(data, asked), asked.level)
            step(n)
            return found
        each = []
        for i in range(n):
            each.append(read_answers(self.call(data.isel(replicate=i, drop=True), asked), asked.level))
            step(1)
        return joined(each)

    def is_null(self, simulated: Simulated, whole: float | None) -> bool | None:
        """Whether every declaration is an error; None where nothing says so."""
        if self.null_below is not None and whole is not None:
            return whole <= self.null_below
        return simulated.null_of(self.claim)

    def fits(self, scenario: Scenario) -> bool:
        """Whether the scenario makes the data that the procedure takes."""
        return self.kind in ("any", scenario.kind) or scenario.kind == "any"


def as_procedure(given: Procedure | Callable[..., Any]) -> Procedure:
    """Wrap a user's function.

    Parameters
    ----------
    given : Procedure or callable
        A callable takes a DataArray and, if it has such parameters, ``level`` and ``rng``.

    Returns
    -------
    Procedure
        Called for one replicate at a time.

    Raises
    ------
    SampleError
        If it is neither.
    """
    if isinstance(given, Procedure):
        return given
    if not callable(given):
        raise SampleError(
            f"procedure={given!r} is no procedure. Pass a name, a callable that takes a DataArray, or a Procedure."
        )
    name = str(getattr(getattr(given, "func", given), "__name__", type(given).__name__))
    return Procedure(name, _Called(given))


@dataclass(frozen=True)
class _Called:
    """A user's function, told what it can hear."""

    function: Callable[..., Any]

    def __call__(self, data: xr.DataArray | xr.Dataset, asked: Asked) -> Any:
        """Pass level and rng where they are parameters."""
        try:
            known: Mapping[str, Any] = inspect.signature(self.function).parameters
        except ValueError:  # a builtin does not tell its parameters
            known = {}
        told = {name: getattr(asked, name) for name in ("level", "rng") if name in known}
        return self.function(data, **told)
