"""Whether a result keeps to a plan, read off the result itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from geostat.errors import SampleError
from geostat.results import Result
from geostat.statistics.plans.analysis import Analysis
from geostat.statistics.plans.canonical import plain

__all__ = ["outside", "stamped"]

AnyResult = TypeVar("AnyResult", bound=Result)

_FIELDS = {"dim": "dim", "sample_dim": "sample_dim", "persistence": "persistence"}


def outside(plan: Analysis, result: Result) -> list[str]:
    """How a result departs from a plan, each in a few words.

    Parameters
    ----------
    plan : Analysis
        The declarations.
    result : Result
        Of any procedure.

    Returns
    -------
    list of str
        Empty where nothing that the result records departs from it.
    """
    return [
        *_level(plan, result),
        *_metrics(plan, result),
        *_contrast(plan, result),
        *_settings(plan, result),
    ]


def stamped(result: AnyResult, plan_hash: str, told: Sequence[str]) -> AnyResult:
    """The same result with the plan's hash, and why it lies outside where it does.

    Parameters
    ----------
    result : Result
        Without a plan, or with this one.
    plan_hash : str
        Of the frozen plan.
    told : sequence of str
        How it departs from the plan.

    Returns
    -------
    Result
        A copy.

    Raises
    ------
    SampleError
        If it belongs to another plan.
    """
    if result.plan_hash not in ("", plan_hash):
        raise SampleError(
            f"the result belongs to plan {result.plan_hash}, not to {plan_hash}. One result answers to one plan."
        )
    reasons = dict.fromkeys([*([result.exploratory] if result.exploratory else []), *told])
    return replace(result, plan_hash=plan_hash, exploratory="; ".join(reasons))


def _level(plan: Analysis, result: Result) -> Iterator[str]:
    if result.level is not None and abs(result.level - plan.level) > 1e-12:
        yield f"level {result.level:g} instead of {plan.level:g}"


def _metrics(plan: Analysis, result: Result) -> Iterator[str]:
    named = result.settings.get("metrics")
    looked_at = named if isinstance(named, list | tuple) else [n for n in result.variables if n != "verdict"]
    for name in looked_at:
        if name not in plan.metrics:
            yield f"metric {name} was not declared"


def _contrast(plan: Analysis, result: Result) -> Iterator[str]:
    a, b = getattr(result, "a", None), getattr(result, "b", None)
    if not (isinstance(a, str) and isinstance(b, str) and a and b):
        return
    if (a, b) not in plan.contrasts and (b, a) not in plan.contrasts:
        yield f"contrast {a} against {b} was not declared"


def _settings(plan: Analysis, result: Result) -> Iterator[str]:
    for name, field in _FIELDS.items():
        if name in result.settings and result.settings[name] != getattr(plan, field):
            yield f"{name} {result.settings[name]} instead of {getattr(plan, field)}"
    yield from _per_metric(result.settings.get("scale"), plan.scale, "scale")
    yield from _per_metric(result.settings.get("weighting"), plan.weighting, "weighting")
    yield from _margins(plan, result.settings.get("margin"))
    yield from _band(plan, result.settings)
    if plan.references and "references" in result.settings:
        found = result.settings["references"]
        if plain(found, "references") != plain(plan.references, "references"):
            yield f"references {dict(found)} instead of {dict(plan.references)}"


def _per_metric(found: Any, wanted: str | None, what: str) -> Iterator[str]:
    """Settings that a procedure may have per metric; a scale of "auto" or one that fell back is no departure."""
    if wanted in (None, "auto") or found is None:
        return
    used = set(found.values()) if isinstance(found, Mapping) else {found}
    for value in sorted(map(str, used - {wanted, "identity"} if what == "scale" else used - {wanted})):
        yield f"{what} {value} instead of {wanted}"


def _margins(plan: Analysis, found: Any) -> Iterator[str]:
    """Margins of equivalence; those of bands are settings of the call."""
    if not isinstance(found, Mapping):
        return
    for name, margin in found.items():
        wanted = plan.margins.get(name)
        if wanted is None:
            yield f"margin of {name} was not declared"
        elif _ends(margin) != _ends(wanted):
            yield f"margin {margin} of {name} instead of {wanted}"


def _band(plan: Analysis, settings: Mapping[str, Any]) -> Iterator[str]:
    """Bands of locking; a default band that the caller did not touch has no setting `reference`."""
    if "persistence" not in settings or "reference" not in settings:
        return
    if plan.lock_reference is None:
        yield "no band of locking was declared"
    elif str(settings["reference"]) != str(plan.lock_reference):
        yield f"band {settings['reference']} instead of {plan.lock_reference}"
    elif (settings.get("margin") or None) != (plan.lock_margin or None):
        yield f"margin {settings.get('margin')} instead of {plan.lock_margin}"


def _ends(margin: Any) -> tuple[float, ...]:
    if isinstance(margin, int | float):
        return (-float(margin), float(margin))
    return tuple(float(end) for end in margin)
