"""A plan that no longer changes: it runs procedures and marks what they give."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Self, TypeVar

from geostat.errors import SampleError
from geostat.results import Result
from geostat.statistics.plans.analysis import Analysis
from geostat.statistics.plans.arguments import departures, planned_arguments, planned_data
from geostat.statistics.plans.canonical import digest, plain, restored
from geostat.statistics.plans.choices import CHOICES, boundaries_record, choices
from geostat.statistics.plans.methods import PlannedMethods
from geostat.statistics.plans.procedures import find_procedure
from geostat.statistics.plans.stamping import outside, stamped

__all__ = ["FrozenAnalysis"]

SCHEMA, SCHEMA_VERSION = "geostat.analysis", 1

AnyResult = TypeVar("AnyResult", bound=Result)


@dataclass(frozen=True, eq=False)
class FrozenAnalysis(PlannedMethods):
    """A declared plan under its hash.

    Two frozen plans are equal when their hashes are. The time of freezing is kept beside the hash, not in it,
    and proves nothing by itself.

    Attributes
    ----------
    analysis : Analysis
        The declarations.
    choices : mapping
        Methods and boundaries behind them, as they were when the plan was frozen.
    frozen_at : str
        Time of freezing (UTC).
    """

    analysis: Analysis
    choices: Mapping[str, Any]
    frozen_at: str = ""

    @classmethod
    def of(cls, analysis: Analysis) -> Self:
        """Freeze a plan now.

        Parameters
        ----------
        analysis : Analysis
            The declarations.

        Returns
        -------
        FrozenAnalysis
            With the present methods and boundaries.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(analysis, MappingProxyType(choices(analysis.boundaries)), now)

    @property
    def hash(self) -> str:
        """Hash of the declarations and of the methods behind them."""
        return digest(self._record())

    def _record(self) -> dict[str, Any]:
        # A file of boundaries counts by its content, wherever it lies.
        declared = self.analysis.record()
        if declared["boundaries"] not in (None, "published"):
            declared["boundaries"] = "own"
        return {
            "schema": SCHEMA,
            "version": SCHEMA_VERSION,
            "analysis": declared,
            "choices": dict(self.choices),
        }

    def __eq__(self, other: object) -> bool:
        """Compare two plans by their hashes."""
        return isinstance(other, FrozenAnalysis) and self.hash == other.hash

    def __hash__(self) -> int:
        """Hash for sets and mappings."""
        return hash(self.hash)

    def __str__(self) -> str:
        """Say what was declared."""
        plan = self.analysis
        pairs = ", ".join(f"{a} against {b}" for a, b in plan.contrasts) or "none"
        frozen = f", frozen {self.frozen_at}" if self.frozen_at else ""
        return (
            f"plan {self.hash}{frozen}: metrics {', '.join(plan.metrics)}; contrasts {pairs}; "
            f"level {plan.level:g}; margins {dict(plan.margins) or 'none'}"
        )

    def to_json(self) -> str:
        """Write the plan with its hash, to be published before the runs are done.

        Returns
        -------
        str
            JSON that `from_json` reads back.
        """
        analysis = self.analysis.record()
        record = {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "hash": self.hash,
            "frozen_at": self.frozen_at,
            "analysis": analysis,
            "choices": dict(self.choices),
        }
        return json.dumps(record, indent=1, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read back what `to_json` wrote, and verify its hash.

        Parameters
        ----------
        text : str
            JSON of a frozen plan.

        Returns
        -------
        FrozenAnalysis
            The same plan.

        Raises
        ------
        SampleError
            If the text is no plan, or was edited.
        """
        record = _parsed(text)
        known = {entry.name for entry in fields(Analysis)}
        declared = record.get("analysis", {})
        if set(declared) != known:
            odd = sorted(set(declared) ^ known)
            raise SampleError(
                f"the plan has other fields than an Analysis ({', '.join(odd)}): it was edited."
            )
        plan = cls(
            Analysis(**restored(declared)),
            MappingProxyType(record.get("choices", {})),
            str(record.get("frozen_at", "")),
        )
        if plan.hash != record.get("hash"):
            raise SampleError(
                f"the plan says that its hash is {record.get('hash')}, but its content gives {plan.hash}: it was "
                "edited after it was frozen. Freeze a new plan instead, and report both."
            )
        return plan

    def run(self, procedure: str | Callable[..., Any], data: Any, /, *args: Any, **arguments: Any) -> Any:
        """Run a procedure as declared; whatever departs from the plan is done, and marked exploratory.

        Parameters
        ----------
        procedure : str or callable
            Name of a procedure, or the function.
        data : xarray.DataArray or xarray.Dataset
            Measured runs; of a dataset the declared metrics are taken.
        *args, **arguments
            Further arguments of the procedure. They win over the plan.

        Returns
        -------
        Result
            With the plan's hash.

        Examples
        --------
        >>> import xarray as xr
        >>> plan = Analysis(metrics=["stable_rank"]).freeze()
        >>> runs = xr.DataArray([20.0, 22.0, 24.0], dims="run", attrs={"units": "1"}, name="stable_rank")
        >>> plan.run("mean_ci", runs, dim=None).exploratory
        'dim None instead of matrix'
        """
        chosen = find_procedure(procedure)
        function = chosen.function
        given = inspect.signature(function).bind_partial(data, *args, **arguments).arguments
        named = {name: value for name, value in list(given.items())[1:]}
        selected = planned_data(self.analysis, chosen, data)
        planned = planned_arguments(self.analysis, chosen, selected)
        told = departures(self.analysis, chosen, planned, named)
        if "references" in named or "boundaries" in named:
            planned = {
                key: value for key, value in planned.items() if key not in ("references", "boundaries")
            }
        result = function(selected, **(planned | named))
        return self.stamp(result, told)

    def stamp(self, result: AnyResult, also: list[str] | None = None) -> AnyResult:
        """Mark a result that was made elsewhere: part of the plan, or exploratory and why.

        Only what a result records can be compared with the plan.

        Parameters
        ----------
        result : Result
            Of any procedure.
        also : list of str, optional
            Departures that the result does not show.

        Returns
        -------
        Result
            A copy with ``plan_hash`` and ``exploratory``.

        Raises
        ------
        SampleError
            If the result belongs to another plan.
        """
        told = [*(also or []), *outside(self.analysis, result), *self._changed_methods(result)]
        return stamped(result, self.hash, told)

    def _changed_methods(self, result: Result) -> list[str]:
        """Methods that are no longer those of the plan; boundaries count where the result rests on some."""
        now = dict(plain(CHOICES, "choices"))
        if "boundaries" in result.settings:
            now["boundaries"] = boundaries_record(self.analysis.boundaries)
        changed = sorted(name for name in now if now[name] != self.choices.get(name))
        return [f"{name} changed since the plan was frozen" for name in changed]


def _parsed(text: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise SampleError(f"the text is not JSON ({error}). Pass what to_json() wrote.") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise SampleError("the JSON is no frozen plan. Pass what FrozenAnalysis.to_json() wrote.")
    if record.get("schema_version") != SCHEMA_VERSION:
        raise SampleError(
            f"the plan has schema version {record.get('schema_version')}, this geostat reads {SCHEMA_VERSION}. "
            "Read it with the version of geostat that wrote it."
        )
    return record
