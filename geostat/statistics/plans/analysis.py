"""What is going to be estimated, declared before the runs are looked at."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from geostat.errors import SampleError
from geostat.statistics.locking.bands import AtLeast
from geostat.statistics.plans.canonical import plain
from geostat.statistics.runs.arguments import Weighting, check_level

if TYPE_CHECKING:
    from geostat.statistics.plans.frozen import FrozenAnalysis

__all__ = ["Analysis"]

Margin = float | tuple[float, float]
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """Plan of an analysis: metrics, contrasts, margins, level, references.

    It declares what would count before anybody has seen the data; `freeze` gives it a hash that every
    table and sentence prints. It is no registration: nothing keeps you from freezing a plan after looking.
    Publish the hash, or the file, before the runs are done.

    Attributes
    ----------
    metrics : tuple of str
        Identifiers of the metrics that are looked at.
    contrasts : tuple of (str, str)
        Pairs of recipes that are compared.
    margins : mapping of str to float or (float, float)
        Metric -> largest difference that does not matter, in the metric's units.
    level : float
        Confidence level.
    scale : str or None
        Scale on which runs are averaged; None for each procedure's own default.
    weighting : {"matrix", "parameters"} or None
        Average over matrices; None for what the data say.
    dim, sample_dim : str
        Matrices and runs.
    references : mapping of str to str
        Regime -> reference recipe; empty for the default ones.
    boundaries : str or None
        ``"published"`` or the path of a file, where regimes are not judged against own references. The hash
        covers the values, not the path.
    lock_reference : float, at_least(x), "final" or None
        Band in which a run counts as locked; None for the procedure's default.
    lock_margin : float or None
        Its half-width.
    persistence : float
        Share of training for which a run must stay in it.
    settings : mapping of str to mapping
        Procedure -> further arguments, such as ``{"compare": {"paired": True}}``.

    Examples
    --------
    >>> plan = Analysis(metrics=["stable_rank"], contrasts=[("opd", "rlvr")], margins={"stable_rank": 2.0})
    >>> plan.freeze().hash == plan.freeze().hash
    True
    """

    metrics: Sequence[str]
    contrasts: Sequence[tuple[str, str]] = ()
    margins: Mapping[str, Margin] = field(default_factory=dict)
    level: float = 0.95
    scale: str | None = None
    weighting: Weighting | None = None
    dim: str | None = "matrix"
    sample_dim: str = "run"
    references: Mapping[str, str] = field(default_factory=dict)
    boundaries: str | None = None
    lock_reference: float | AtLeast | Literal["final"] | None = None
    lock_margin: float | None = None
    persistence: float = 0.25
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what declares nothing; make the fields immutable."""
        check_level(self.level)
        if isinstance(self.metrics, str) or not self.metrics:
            raise SampleError(f"metrics={self.metrics!r} declares nothing. Pass a list of identifiers.")
        pairs = tuple(tuple(pair) for pair in self.contrasts)
        if any(
            len(pair) != 2 or isinstance(given, str)
            for pair, given in zip(pairs, self.contrasts, strict=True)
        ):
            raise SampleError(f"contrasts={self.contrasts!r}: each contrast is a pair of recipes.")
        self._check_margins()
        if not 0 < self.persistence < 1:
            raise SampleError(f"persistence={self.persistence!r} is no share of training.")
        if self.references and self.boundaries is not None:
            raise SampleError("references and boundaries are two ways to say where regimes end. Declare one.")
        object.__setattr__(self, "metrics", tuple(dict.fromkeys(map(str, self.metrics))))
        object.__setattr__(self, "contrasts", tuple((str(a), str(b)) for a, b in pairs))
        object.__setattr__(self, "level", float(self.level))
        for name in ("margins", "references", "settings"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        self.record()

    def _check_margins(self) -> None:
        for name, margin in self.margins.items():
            ends = margin if isinstance(margin, tuple | list) else (margin,)
            if name not in self.metrics:
                raise SampleError(
                    f"margins: {name!r} is not among the declared metrics {list(self.metrics)}."
                )
            if not all(isinstance(end, Real) and math.isfinite(end) for end in ends):
                raise SampleError(f"margins: {name} has {margin!r}. Give a number, or two, in its units.")

    def record(self) -> dict[str, Any]:
        """All fields with the types of JSON; the order of metrics and contrasts means nothing.

        Returns
        -------
        dict
            Field -> value.
        """
        found = {entry.name: plain(getattr(self, entry.name), entry.name) for entry in fields(self)}
        return found | {"metrics": sorted(found["metrics"]), "contrasts": sorted(found["contrasts"])}

    def freeze(self) -> "FrozenAnalysis":
        """Fix the plan under a hash of its fields and of the methods behind them.

        Returns
        -------
        FrozenAnalysis
            Runs procedures with the plan's settings and marks their results.
        """
        from geostat.statistics.plans.frozen import FrozenAnalysis

        return FrozenAnalysis.of(self)
