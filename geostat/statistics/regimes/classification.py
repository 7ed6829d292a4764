"""Which regime the runs of a recipe lie in: established, one of a set, mixed, or undetermined."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from geostat.results import Scope, Variable
from geostat.statistics.regimes.asking import DEFAULT_REFERENCES, Asking, prepare
from geostat.statistics.regimes.data_files import Source
from geostat.statistics.regimes.joining import joined, mean_excess
from geostat.statistics.regimes.questions import Question
from geostat.statistics.regimes.recipes import Told, tell
from geostat.statistics.regimes.regime_result import VERDICT, RegimeResult
from geostat.statistics.regimes.verdicts import too_few
from geostat.statistics.runs.arguments import Weighting
from geostat.statistics.runs.repeats import repeats_notices
from geostat.statistics.words.notices import Notice, give

__all__ = ["DEFAULT_REFERENCES", "RegimeResult", "classify_regime"]

ASSUMPTIONS = (
    "runs are independent draws of their recipe (only the seed differs)",
    "run averages are about normal on each metric's scale",
    "the metrics were declared before the runs were looked at: choosing them afterwards voids the level",
)


def classify_regime(
    data: xr.DataArray | xr.Dataset,
    *,
    references: Mapping[str, str] | None = None,
    boundaries: Source | None = None,
    metrics: Sequence[str] | None = None,
    level: float = 0.95,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    weighting: Weighting | None = None,
    matched: bool = True,
    assumed_seed_sd: Mapping[str, float] | None = None,
    leave_one_out: bool = True,
) -> RegimeResult:
    r"""Regime of every recipe: full-space, relaxed, sparse, a set of them, mixed, or undetermined.

    By default recipes are set against your own reference runs in the same data, read at the largest
    displacement that all of them reach. A boundary lies half-way between neighbouring references, on the
    metric's scale, and carries their uncertainty; one that the references do not straddle clearly is not
    used. With ``boundaries`` recipes are set, at the end of training, against published values, which rest on
    one paper and mostly on one seed.

    For regime r and metrics m with one-sided p-values :math:`p_{m,r}` of lying inside (the larger one where
    the regime has two boundaries), r is *established* when

    .. math:: \max_m p_{m,r} \le 1 - \mathrm{level}

    and excluded when :math:`M \min_m q_{m,r} \le 1 - \mathrm{level}` with p-values q of lying outside. It
    is no statement about what the recipe is: two algorithms may share a regime, and one algorithm may lie in
    several. Sparsity alone never classifies, and one run never does.

    Parameters
    ----------
    data : xarray.Dataset
        Metrics with dims among ``run, step, matrix``, coordinate ``recipe`` along the runs and, with own
        references, ``relative_update_norm``.
    references : mapping of str to str, optional
        Regime -> recipe in these data, two or more; by default ``{"full-space": "sft", "relaxed": "opd",
        "sparse": "rlvr"}``. Not together with `boundaries`.
    boundaries : "published", path or mapping, optional
        Published values, or your own file of the same form.
    metrics : sequence of str, optional
        The declared set; by default the default set of the boundaries file, as far as it was measured.
    level : float
        Confidence level.
    dim, sample_dim, weighting
        As in `mean_ci`.
    matched : bool
        Whether to read runs at a common displacement (own references only). Otherwise at their ends.
    assumed_seed_sd : mapping of str to float, optional
        Standard deviation over seeds taken as known, per metric and *on the metric's scale*
        (`settings["scale"]`: natural logarithm, log-odds, or the metric's units); the only way in which one
        run can be classified. The scope is then ``"model-dependent"``.
    leave_one_out : bool
        Whether to decide again without each reference run, metric and published checkpoint.

    Returns
    -------
    RegimeResult
        ``verdict``, ``established``, ``not_excluded``, ``p_value``, ``more_seeds``; per recipe and whatever
        else is left, such as ``eta``. Runs of one recipe in several storages are answered apart.

    Raises
    ------
    SampleError
        If a metric or a reference recipe is missing, or both references and boundaries are named.

    Warns
    -----
    GeostatWarning
        If recipes differ from their references in base, learning rate, storage or length; if runs could not
        be matched; if metrics were left out.

    References
    ----------
    .. [1] Shen et al. (2026), Table 1 and Figures 3 and 4: regimes and their published values.
    .. [2] Berger (1982), Theorem 1: intersection-union tests.
    .. [3] Banerjee (1960): one-sided tests between means of unequal variances that never reject too often.

    Examples
    --------
    >>> import xarray as xr
    >>> from geostat.protocols import PROTOCOLS
    >>> measured_as = {"protocol_hash": PROTOCOLS["shen2026"].hash}
    >>> runs = {
    ...     "update_sparsity": ("run", [0.76, 0.78, 0.77, 0.79], {"units": "1"}),
    ...     "normalized_spectral_shift": ("run", [1.1e-5, 0.9e-5, 1.0e-5, 1.2e-5], {"units": "1"}),
    ... }
    >>> data = xr.Dataset(runs, attrs=measured_as)
    >>> result = classify_regime(data, boundaries="published", metrics=list(runs), dim=None)
    >>> result.established.item()
    'sparse'
    """
    asking = prepare(
        data,
        references,
        boundaries,
        metrics,
        level,
        dim,
        sample_dim,
        weighting,
        matched,
        assumed_seed_sd,
    )
    told = {each.label: tell(asking.question, each, leave_one_out) for each in asking.groups}
    return _result(asking, told, give(dict.fromkeys([*asking.notices, *_noticed(told)])))


def _noticed(told: Mapping[str, Told]) -> list[Notice]:
    repeats = {f"recipe {label!r}: " if label else "": each.repeats for label, each in told.items()}
    return [*(notice for each in told.values() for notice in each.notices), *repeats_notices(repeats)]


def _result(asking: Asking, told: Mapping[str, Told], warnings: tuple[str, ...]) -> RegimeResult:
    question = asking.question
    cells = joined({label: each.cells for label, each in told.items()})
    metrics = [f"{sample.name} ({sample.average})" for sample in question.samples.values()]
    return RegimeResult(
        **asking.gathered.common() | {"variables": _variables(question), "single": False},
        cells=cells,
        title=f"Regime of {', '.join(label for label in told if label) or 'all runs'}",
        estimand="Regime in which the mean over runs lies in every one of: "
        f"{', '.join(metrics) or 'no metric'}.",
        method=f"intersection-union of one-sided t-tests over {question.sample_dim}s",
        scope=_scope(cells, question),
        level=question.level,
        assumptions=(*ASSUMPTIONS, *_assumed_text(question), *_weak(question)),
        warnings=warnings,
        settings=_settings(asking),
        reference=_reference_text(asking),
        regimes=question.regimes,
        refused=asking.refused,
        separation=tuple(row for each in told.values() for row in each.separation),
        omitted=tuple(row for each in told.values() for row in each.omitted),
        excess=mean_excess(
            asking.dataset, asking.wanted, asking.groups, asking.dim, question.sample_dim, question.samples
        ),
    )


def _variables(question: Question) -> dict[str, Variable]:
    known = {name: sample.variable for name, sample in question.samples.items()}
    return known | {VERDICT: Variable(VERDICT, "Verdict")}


def _scope(cells: Mapping[str, xr.Dataset], question: Question) -> Scope:
    if question.assumed:
        return "model-dependent"
    tested = any(bool(c["low"].notnull().any()) for name, c in cells.items() if name != VERDICT)
    return "population of runs" if tested else "descriptive"


def _assumed_text(question: Question) -> tuple[str, ...]:
    if not question.assumed:
        return ()
    told = ", ".join(f"{name} {sd:g}" for name, sd in question.assumed.items())
    return (f"the standard deviation over seeds is assumed, not estimated: {told}",)


def _weak(question: Question) -> tuple[str, ...]:
    weak = [name for name in question.metrics if question.facts(name).weak and not question.references]
    return (f"{', '.join(weak)}: boundaries read off a figure, the weakest of the set",) if weak else ()


def _settings(asking: Asking) -> dict[str, Any]:
    question = asking.question
    return {
        "dim": asking.dim,
        "sample_dim": question.sample_dim,
        "metrics": list(question.metrics),
        "references": dict(question.references),
        "boundaries": question.boundaries.label,
        "matched": asking.matched,
        "weighting": {name: sample.weighting for name, sample in question.samples.items()},
        "scale": {name: question.facts(name).scale for name in question.metrics},
        "assumed_seed_sd": dict(question.assumed),
        "enough_metrics": not too_few(question.metrics),
    }


def _reference_text(asking: Asking) -> str:
    question, file = asking.question, asking.question.boundaries
    if not question.references:
        return f"{file.label} ({file.reference})" + (f": {file.note}" if file.note else "")
    runs = Counter(each.group.recipe for each in asking.groups for _ in each.group.positions)
    told = [f"{recipe} ({regime}, n = {runs[recipe]})" for regime, recipe in question.references.items()]
    how = (
        "at equal relative update norm" if asking.matched else "each at its end, not matched in displacement"
    )
    return f"boundaries half-way between {', '.join(told)}, {how}"
