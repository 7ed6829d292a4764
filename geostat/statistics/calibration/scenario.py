"""What is simulated: studies whose truth is known."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import xarray as xr

from geostat.errors import SampleError

__all__ = ["Kind", "Scenario", "Simulated", "as_scenario"]

Kind = Literal["seeds", "two recipes", "curves", "regimes", "any"]
"""What data a scenario makes and a procedure takes: values of runs, of two recipes, curves, several metrics."""


Truth = float | xr.DataArray
Value = TypeVar("Value", Truth, bool)


@dataclass(frozen=True)
class Simulated:
    """Replicates of one study, and what is true of all of them.

    Attributes
    ----------
    data : xarray.DataArray or xarray.Dataset
        One metric or several, with dim ``replicate`` beside ``run`` and whatever else a study has.
    truth : float, xarray.DataArray or mapping of str to these
        The value that an interval has to contain, one for all or labelled by replicate (and run); where
        several procedures ask for several values, one per estimand. NaN or left out where there is none, such
        as the onset of a curve that never settles.
    null : bool or mapping of str to bool, optional
        Whether there is nothing to declare, so that every declaration is an error; per claim where
        procedures claim several things. None where no procedure declares anything.
    seed_sd : float
        Standard deviation between runs, in which widths can be told; NaN where that says nothing.
    settings : mapping
        What a procedure has to be told: margin, reference, length of training.
    """

    data: xr.DataArray | xr.Dataset
    truth: Truth | dict[str, Truth]
    null: bool | dict[str, bool] | None = None
    seed_sd: float = math.nan
    settings: Mapping[str, Any] = field(default_factory=dict)

    def truth_of(self, estimand: str) -> Truth:
        """The value that an interval for this estimand has to contain, NaN where there is none."""
        truths = self.truth
        found = _entry(truths, estimand, "truths", "estimand") if isinstance(truths, dict) else truths
        return math.nan if found is None else found

    def null_of(self, claim: str) -> bool | None:
        """Whether declaring this is an error; None where the scenario does not say."""
        return _entry(self.null, claim, "claims", "claim") if isinstance(self.null, dict) else self.null


def _entry(entries: Mapping[str, Value], name: str, what: str, argument: str) -> Value | None:
    """The entry of that name; a procedure that names none gets the only one."""
    if name or not entries:
        return entries.get(name)
    if len(entries) > 1:
        raise SampleError(
            f"the scenario knows several {what} ({', '.join(entries)}), and the procedure does not say which it "
            f"means. Wrap it: Procedure(name, call, {argument}=...), call taking the data and an Asked."
        )
    return next(iter(entries.values()))


@dataclass(frozen=True)
class Scenario:
    """A way to simulate studies.

    Attributes
    ----------
    name : str
        As reports print it.
    simulate : callable
        ``simulate(rng, n_rep, **cell)`` gives a `Simulated` with ``n_rep`` replicates.
    kind : {"seeds", "two recipes", "curves", "regimes", "any"}
        What data it makes; "any" fits every procedure.
    says : str
        One line on what is simulated.
    """

    name: str
    simulate: Callable[..., Simulated]
    kind: Kind = "any"
    says: str = ""

    @property
    def parameters(self) -> dict[str, Any]:
        """Names and defaults of what a cell may set; names alone where there is no default."""
        found = list(inspect.signature(self.simulate).parameters.values())[2:]
        return {p.name: p.default for p in found if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}

    def check(self, names: object) -> None:
        """Refuse settings that the scenario does not have.

        Parameters
        ----------
        names : iterable of str
            Keys of a grid.

        Raises
        ------
        SampleError
            If one is unknown, or one without a default is missing.
        """
        given, known = set(names), self.parameters  # type: ignore[call-overload]
        variadic = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(self.simulate).parameters.values())
        unknown = sorted(given - set(known))
        if unknown and not variadic:
            raise SampleError(
                f"scenario {self.name!r} has no setting {unknown[0]!r}. It has: {', '.join(known)}."
            )
        needed = [name for name, default in known.items() if default is inspect.Parameter.empty]
        missing = [name for name in needed if name not in given]
        if missing:
            raise SampleError(f"scenario {self.name!r} needs {missing[0]!r}. Put it into the grid.")


def as_scenario(given: "Scenario | Callable[..., Simulated]") -> Scenario:
    """Wrap a user's simulator.

    Parameters
    ----------
    given : Scenario or callable
        A callable takes ``(rng, n_rep, **cell)`` and gives a `Simulated`.

    Returns
    -------
    Scenario
        Named after the callable.

    Raises
    ------
    SampleError
        If it is neither.
    """
    if isinstance(given, Scenario):
        return given
    if callable(given):
        return Scenario(getattr(given, "__name__", type(given).__name__), given)
    raise SampleError(
        f"scenario={given!r} is no scenario. Pass a name, a Scenario, or a callable (rng, n_rep, **cell)."
    )
