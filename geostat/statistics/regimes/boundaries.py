"""Boundaries between regimes as data: values, scales, directions, tolerances, sources."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from geostat.errors import SampleError
from geostat.statistics.means.scales import SCALES, ScaleName
from geostat.statistics.regimes.data_files import Source, read_data

__all__ = ["Boundaries", "MetricCuts", "load_boundaries"]

Points = Mapping[str, Mapping[str, float]]

_MIDDLES: dict[str, Callable[[float, float], float]] = {
    "arithmetic": lambda low, high: (low + high) / 2,
    "geometric": lambda low, high: math.sqrt(low * high),
}


@dataclass(frozen=True, kw_only=True)
class MetricCuts:
    """What is known of one metric.

    Attributes
    ----------
    name : str
        Identifier.
    scale : {"identity", "log", "logit"}
        Scale on which runs are averaged and tested.
    direction : int
        1 when the metric grows from the first regime to the last, -1 when it falls, 0 when nobody says.
    cuts : tuple of float or None
        One per pair of neighbouring regimes, in the metric's units; None where none is known.
    tolerance : float
        How far a value may be off for reasons other than the seed, in the metric's units.
    default, weak : bool
        Whether the metric belongs to the default set, and whether its values are read off a figure.
    weighting : {"matrix", "parameters"}
        Average over matrices.
    settings : tuple of str
        Settings of the convention that the metric depends on.
    source : str
        Where the values are printed.
    middle : str
        How a cut follows from the points: "arithmetic" or "geometric" middle; empty where it does not.
    points : mapping
        Regime -> checkpoint -> value that the cuts are derived from.
    """

    name: str
    scale: ScaleName = "identity"
    direction: int = 0
    cuts: tuple[float | None, ...] = ()
    tolerance: float = 0.0
    default: bool = False
    weak: bool = False
    weighting: str = "matrix"
    settings: tuple[str, ...] = ()
    source: str = ""
    middle: str = ""
    points: Points = field(default_factory=dict)

    def derived(self, regimes: Sequence[str]) -> tuple[float | None, ...]:
        """Cuts that the points imply: the middle of the gap between neighbouring regimes.

        Parameters
        ----------
        regimes : sequence of str
            In order.

        Returns
        -------
        tuple of float or None
            None where a regime has no point, or where the file knows no cut.
        """
        pairs = zip(regimes[:-1], regimes[1:], self.cuts, strict=True)
        return tuple(None if cut is None else self._middle(low, high) for low, high, cut in pairs)

    def _middle(self, low: str, high: str) -> float | None:
        below, above = (list(self.points.get(regime, {}).values()) for regime in (low, high))
        if not (below and above and self.middle):
            return None
        ends = (max(below), min(above)) if self.direction > 0 else (min(below), max(above))
        return float(_MIDDLES[self.middle](*ends))

    def without(self, point: str, regimes: Sequence[str]) -> Self:
        """Cuts refitted without one published checkpoint; NaN where they rest on it alone.

        Parameters
        ----------
        point : str
            Its name.
        regimes : sequence of str
            In order.

        Returns
        -------
        MetricCuts
            The same metric, the same object when it does not rest on that checkpoint.
        """
        if not any(point in values for values in self.points.values()):
            return self
        left = {
            regime: {name: value for name, value in values.items() if name != point}
            for regime, values in self.points.items()
        }
        refitted = replace(self, points=left).derived(regimes)
        lost = [c if c is not None else math.nan for c in refitted]
        cuts = tuple(new if old is not None else None for old, new in zip(self.cuts, lost, strict=True))
        return replace(self, points=left, cuts=cuts)


@dataclass(frozen=True, kw_only=True)
class Boundaries:
    """A versioned set of boundaries.

    Attributes
    ----------
    version, title, reference, note, origin : str
        What results name.
    regimes : tuple of str
        In order.
    convention : mapping
        Settings under which the values were measured.
    metrics : mapping of str to MetricCuts
        What is known of each metric.
    """

    version: str
    title: str
    reference: str
    note: str
    origin: str
    regimes: tuple[str, ...]
    convention: Mapping[str, Any]
    metrics: Mapping[str, MetricCuts]

    @property
    def label(self) -> str:
        """Name and version, for every verdict that rests on them."""
        return f"boundaries {self.origin!r}, version {self.version}"

    @property
    def default_set(self) -> tuple[str, ...]:
        """Metrics that a verdict rests on when none are declared."""
        return tuple(name for name, cuts in self.metrics.items() if cuts.default)

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Published checkpoints that some cut rests on."""
        names = [p for m in self.metrics.values() for points in m.points.values() for p in points]
        return tuple(dict.fromkeys(names))


def load_boundaries(source: Source = "published") -> Boundaries:
    """Boundaries between regimes from the packaged file or from your own.

    They are values that papers print, not facts of nature: each carries its source and the convention
    under which it was measured.

    Parameters
    ----------
    source : "published", path or mapping
        A TOML file of the same form as the packaged one, or its content.

    Returns
    -------
    Boundaries
        Checked: known scales, one cut between neighbouring regimes, cuts in the stated direction.

    Raises
    ------
    SampleError
        If something is missing or contradictory.

    Examples
    --------
    >>> load_boundaries().metrics["normalized_spectral_shift"].cuts
    (0.00032, 3.2e-05)
    """
    content, origin = read_data(source, {"published": "regimes.toml"})
    regimes = tuple(content.get("regimes", ()))
    if len(regimes) < 2 or not content.get("metrics"):
        raise SampleError(
            f"{origin}: a file of boundaries lists two or more `regimes` in order and a table per metric "
            "under `metrics`."
        )
    convention = content.get("convention", {})
    try:
        metrics = {
            name: _metric(name, entry, regimes, convention, origin)
            for name, entry in content["metrics"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, SampleError):
            raise
        raise SampleError(f"{origin}: an entry under `metrics` cannot be read ({error!r}).") from error
    texts = {key: str(content.get(key, "")) for key in ("version", "title", "reference", "note")}
    if not texts["version"]:
        raise SampleError(f"{origin}: give the boundaries a `version`, so that results can name it.")
    return Boundaries(**texts, origin=origin, regimes=regimes, convention=convention, metrics=metrics)


def _metric(
    name: str, entry: Mapping[str, Any], regimes: Sequence[str], convention: Mapping[str, Any], origin: str
) -> MetricCuts:
    scale, direction = entry.get("scale", "identity"), entry.get("direction")
    if scale not in SCALES or direction not in ("increasing", "decreasing"):
        raise SampleError(
            f"{origin}: {name} has scale {scale!r} and direction {direction!r}. Scales: {', '.join(SCALES)}; "
            f"direction: 'increasing' or 'decreasing' from {regimes[0]} to {regimes[-1]}."
        )
    minus = float(convention[entry["minus"]]) if entry.get("minus") else 0.0
    known = {
        key: entry[key] for key in ("tolerance", "default", "weak", "weighting", "source") if key in entry
    }
    points = {
        regime: {checkpoint: float(value) + minus for checkpoint, value in values.items()}
        for regime, values in entry.get("points", {}).items()
    }
    built = MetricCuts(
        name=name,
        scale=scale,
        direction=1 if direction == "increasing" else -1,
        cuts=tuple(_cut(value, minus) for value in entry.get("cuts", ())),
        settings=tuple(entry.get("settings", ())),
        middle=entry.get("middle", ""),
        points=points,
        **known,
    )
    _check_cuts(built, regimes, origin)
    return built


def _cut(value: Any, minus: float) -> float | None:
    return None if value == "none" else float(value) + minus


def _check_cuts(metric: MetricCuts, regimes: Sequence[str], origin: str) -> None:
    if len(metric.cuts) != len(regimes) - 1:
        raise SampleError(
            f"{origin}: {metric.name} has {len(metric.cuts)} cuts for {len(regimes)} regimes. Give one between "
            'each two neighbours, "none" where there is none.'
        )
    known = [cut * metric.direction for cut in metric.cuts if cut is not None]
    if not known or known != sorted(known):
        raise SampleError(
            f"{origin}: the cuts {list(metric.cuts)} of {metric.name} do not run in its direction from "
            f"{regimes[0]} to {regimes[-1]}."
        )
    if not (math.isfinite(metric.tolerance) and metric.tolerance >= 0):
        raise SampleError(f"{origin}: {metric.name} has tolerance {metric.tolerance!r}; it is 0 or more.")
