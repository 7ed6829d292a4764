"""Whether two recipes, or a recipe and a number, differ by less than matters: two one-sided tests."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import SampleError
from geostat.results.base import percent
from geostat.statistics.means.contrasts import Contrast, Noticed, against_number, bare, between_recipes
from geostat.statistics.means.equivalence_result import EquivalenceResult, judged
from geostat.statistics.means.margins import Margin, MarginLike, margin_of, too_wide
from geostat.statistics.means.multiplicity_words import POINTWISE
from geostat.statistics.means.scales import Scale, ScaleChoice, on_scales
from geostat.statistics.means.sharing import (
    SeedVariance,
    VarianceName,
    declare_variance,
    refuse_paired_sharing,
)
from geostat.statistics.runs.aggregation import cell_array
from geostat.statistics.runs.arguments import Sample, Samples, Weighting, as_number, check_level, gather
from geostat.statistics.runs.repeats import repeats_notices
from geostat.statistics.words.notices import give
from geostat.statistics.words.reasons import comparison_reasons, mean_reasons, text_array

__all__ = ["EquivalenceResult", "equivalence"]

ASSUMPTIONS = (
    "the margin was declared before the data were seen, and what lies within it does not matter",
    "runs are independent draws of their recipe (only the seed differs)",
    "run averages are about normal on the chosen scale",
    POINTWISE,
)

Found = Mapping[str, tuple[Contrast, Margin]]

_MOST_RUNS, _POWER = 200, 0.8
"""Runs up to which it is said how many would decide, and how surely they would."""


def equivalence(
    data: xr.DataArray | xr.Dataset,
    a: str | None = None,
    b: str | None = None,
    *,
    margin: MarginLike | Mapping[str, MarginLike],
    reference: float | None = None,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    level: float = 0.95,
    paired: bool = False,
    weighting: Weighting | None = None,
    scale: ScaleChoice = "identity",
    variance: VarianceName = "own",
    earlier: xr.DataArray | xr.Dataset | None = None,
    assumed_seed_sd: float | Mapping[str, float] | None = None,
) -> EquivalenceResult:
    r"""Equivalence of two recipes' means, or of one and a reference, within a margin.

    Two one-sided t-tests [1]_, each at 1 - level, on the difference :math:`d` and its standard error:

    .. math:: t_\mathrm{lower} = (d - \mathrm{low}) / \mathrm{se}, \qquad
       t_\mathrm{upper} = (d - \mathrm{high}) / \mathrm{se}

    Equivalence is established when both reject, that is when the interval of level 2 level - 1 lies
    inside (low, high); p is the larger of the two. It is not what a large p of `compare` says: few runs
    never establish equivalence, they leave it undetermined. And it is equivalence within *this* margin,
    which nobody but you can declare.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        One metric or several, with coordinate ``recipe`` along the runs where two are compared.
    a, b : str, optional
        Recipes; ``b`` is left out where ``reference`` is given, and ``a`` too where the data hold one recipe.
    margin : float, (low, high), or mapping of str to one
        What does not matter: in the metric's units on the identity scale (``0.5`` stands for -0.5 to
        0.5), a ratio on the log scale (``1.1`` for 1/1.1 to 1.1), an odds ratio on the logit scale.
    reference : float, optional
        A number, in the metric's units, that one recipe is set against.
    dim, sample_dim, weighting
        As in `mean_ci`.
    level : float
        In (0.5, 1); 0.95 makes each one-sided test one at 5% and the interval one of 90%.
    paired, scale, variance, earlier, assumed_seed_sd
        As in `compare`.

    Returns
    -------
    EquivalenceResult
        ``outcome``: ``equivalent`` (the interval lies inside the margin), ``different`` (it lies outside),
        ``undetermined`` (it does neither, or there is none, with a reason), ``undefined`` (no value). With
        the interval, both one-sided p-values, and about how many runs a side would decide with a
        probability of 80% if difference and spread stayed as they are.

    Raises
    ------
    SampleError
        If an argument does not fit the data.

    Warns
    -----
    GeostatWarning
        If the margin is larger than the range of the data; or as in `compare`.

    References
    ----------
    .. [1] Schuirmann (1987), equations 2 and 3.

    Examples
    --------
    >>> import xarray as xr
    >>> srank = xr.DataArray(
    ...     [20.0, 20.2, 19.9, 20.1, 20.0, 20.3],
    ...     dims="run",
    ...     coords={"recipe": ("run", ["plain"] * 3 + ["mixed"] * 3)},
    ...     attrs={"units": "1"},
    ...     name="stable_rank",
    ... )
    >>> equivalence(srank, "mixed", "plain", margin=0.4, dim=None).outcome.item()
    'equivalent'
    >>> equivalence(srank, "mixed", "plain", margin=0.2, dim=None).outcome.item()
    'undetermined'
    """
    reference = None if reference is None else as_number("reference", reference)
    _check(level, a, b, reference)
    gathered = gather(data, dim=dim, sample_dim=sample_dim, weighting=weighting)
    seeds = declare_variance(
        gathered,
        variance,
        earlier=earlier,
        assumed_seed_sd=assumed_seed_sd,
        dim=dim,
        sample_dim=sample_dim,
        weighting=weighting,
    )
    refuse_paired_sharing(paired, seeds)
    noticed = Noticed(list(gathered.notices))
    found: dict[str, tuple[Contrast, Margin]] = {}
    for sample in gathered.samples:
        contrast = _contrast(sample, a, b, reference, paired, scale, seeds, noticed)
        own = margin_of(margin, contrast.scale, sample.name, len(gathered.samples))
        noticed.notices.extend(too_wide(sample, own, contrast.scale, reference))
        found[sample.name] = (contrast, own)
    sides = (a or "the runs", b if b is not None else f"{reference:g}")
    cells = {n: _cells(c, m, level, sides, reference, paired, seeds) for n, (c, m) in found.items()}
    return EquivalenceResult(
        **_common(gathered, found),
        cells=cells,
        a=sides[0],
        b=sides[1],
        title=f"Equivalence of {sides[0]} and {sides[1]}: {', '.join(found)}",
        estimand=_estimand(gathered, found, sides),
        method=_method(seeds, b, paired, level, sample_dim, _scales(found)),
        scope=seeds.scope_of(cells),
        level=level,
        assumptions=(*ASSUMPTIONS, *seeds.assumptions),
        warnings=give(dict.fromkeys([*noticed.notices, *repeats_notices(noticed.repeats)])),
        settings={
            "dim": dim,
            "sample_dim": sample_dim,
            "paired": paired,
            "margin": {name: list(own) for name, (_, own) in found.items()},
            "reference": reference,
            "weighting": {sample.name: sample.weighting for sample in gathered.samples},
            "scale": {name: used.name for name, used in _scales(found).items()},
            "left_out": list(gathered.left_out),
            **seeds.settings,
        },
    )


def _scales(found: Found) -> dict[str, Scale]:
    return {name: contrast.scale for name, (contrast, _) in found.items()}


def _common(gathered: Samples, found: Found) -> dict[str, Any]:
    """Fields of every result; ratios have no units."""
    common, scales = gathered.common(), _scales(found)
    named = {
        name: variable if scales[name].name == "identity" else replace(variable, units="1")
        for name, variable in common["variables"].items()
    }
    return common | {"variables": named}


def _check(level: float, a: str | None, b: str | None, reference: float | None) -> None:
    check_level(level)
    if level <= 0.5:
        raise SampleError(
            f"level={level!r} leaves no interval: two one-sided tests at {1 - level:g} decide by one of level "
            f"{2 * level - 1:g}. Pass a level above 0.5, as 0.95."
        )
    if (b is None) == (reference is None):
        raise SampleError(
            f"equivalence was asked with b={b!r} and reference={reference!r}. Pass two recipes, "
            "equivalence(data, 'a', 'b', margin=...), or one and a number, reference=0.5."
        )
    if b is not None and (a is None or a == b):
        raise SampleError(f"recipe {b!r} is set against {a!r}. Name two recipes.")


def _contrast(
    sample: Sample,
    a: str | None,
    b: str | None,
    reference: float | None,
    paired: bool,
    scale: str,
    seeds: SeedVariance,
    noticed: Noticed,
) -> Contrast:
    if a is not None and b is not None:
        return between_recipes(sample, (a, b), paired, scale, seeds, noticed)
    if paired:
        raise SampleError("paired=True needs two recipes; against a reference there is nothing to pair.")
    return against_number(sample, a, float(reference or 0.0), scale, seeds, noticed)


def _cells(
    contrast: Contrast,
    margin: Margin,
    level: float,
    sides: tuple[str, str],
    reference: float | None,
    paired: bool,
    seeds: SeedVariance,
) -> xr.Dataset:
    scale, error, estimate = contrast.scale, contrast.error, contrast.estimate
    half = error.half_width(2 * level - 1)
    placed = [margin.low, margin.high] if scale.name == "identity" else np.log([margin.low, margin.high])
    above, below = estimate - float(placed[0]), estimate - float(placed[1])
    p_lower, p_upper = error.tail(above), error.tail(-below)
    first, second = contrast.sides[0], contrast.sides[-1]
    alone = len(contrast.sides) == 1
    numbers = {
        "estimate": scale.contrast_inverse(estimate),
        "low": scale.contrast_inverse(estimate - half),
        "high": scale.contrast_inverse(estimate + half),
        "p_value": p_lower.where(p_lower > p_upper, p_upper),
        "p_lower": p_lower,
        "p_upper": p_upper,
        "p_different": _smaller(error.tail(-above), error.tail(below)),
        "t_lower": above / error.error,
        "t_upper": below / error.error,
        "df": error.df,
        "margin_low": xr.full_like(estimate, margin.low, dtype=np.float64),
        "margin_high": xr.full_like(estimate, margin.high, dtype=np.float64),
        "mean_a": scale.inverse(first.mean),
        "mean_b": xr.full_like(estimate, reference) if alone else scale.inverse(second.mean),
        "n_a": first.n,
        "n_b": xr.zeros_like(first.n) if alone else second.n,
        "runs_to_decide": _runs_to_decide(contrast, _smaller(abs(above), abs(below)), level, paired),
        "n_matrices": contrast.run.n_matrices,
        "n_undefined": contrast.run.n_undefined,
    }
    whole = {name: cell_array(bare(array), estimate) for name, array in numbers.items()}
    reasons = _reasons(contrast, whole["n_undefined"], sides, bool(seeds.assumed))
    return judged(xr.Dataset(whole | {"reason": text_array(estimate, reasons)}), level)


def _smaller(first: xr.DataArray, second: xr.DataArray) -> xr.DataArray:
    return first.where(first < second, second)


def _reasons(contrast: Contrast, n_undefined: xr.DataArray, sides: tuple[str, str], assumed: bool) -> Any:
    if len(contrast.sides) == 1:
        return mean_reasons(contrast.sides[0], n_undefined, contrast.n_all[0], assumed=assumed)
    return comparison_reasons(
        contrast.sides, contrast.identical, n_undefined, sides, contrast.n_all, assumed=assumed
    )


def _runs_to_decide(contrast: Contrast, room: xr.DataArray, level: float, paired: bool) -> xr.DataArray:
    r"""Fewest runs a side for which the nearer end of the margin is far enough away.

    With a standard error that shrinks as :math:`1/\sqrt n`, decided once
    room >= :math:`(t_\mathrm{level} + t_\mathrm{power})\,\mathrm{se}(n)`; NaN beyond `_MOST_RUNS`.
    """
    from scipy import stats

    sides = 1 if paired else len(contrast.sides)
    counts = [found.n.where(found.n > 0) for found in contrast.sides]
    mean_count = len(counts) / sum(1 / count for count in counts)
    runs = np.arange(2, _MOST_RUNS + 1)
    df = sides * (runs - 1)
    needed = (stats.t.ppf(level, df) + stats.t.ppf(_POWER, df)) / np.sqrt(runs)
    have = (room / (contrast.error.error * mean_count**0.5)).values
    # `needed` falls as runs grow, so the first that is small enough is found by bisection.
    place = np.searchsorted(-needed, -np.where(np.isnan(have), -1.0, have))
    return room.copy(data=np.where(place < runs.size, runs[np.minimum(place, runs.size - 1)], np.nan))


def _method(
    seeds: SeedVariance,
    b: str | None,
    paired: bool,
    level: float,
    sample_dim: str,
    scales: Mapping[str, Scale],
) -> str:
    own = "t-interval" if b is None else f"{'paired' if paired else 'Welch'} t-interval"
    tests = "z-tests" if seeds.assumed else "t-tests"
    return (
        f"two one-sided {tests} at {percent(1 - level)} each, by the {percent(2 * level - 1)} "
        + on_scales(f"{seeds.interval_word(own)} over {sample_dim}s", scales)
        + seeds.words
    )


def _estimand(gathered: Samples, found: Mapping[str, tuple[Contrast, Margin]], sides: tuple[str, str]) -> str:
    meant: dict[str, list[str]] = {}
    for sample in gathered.samples:
        contrast, margin = found[sample.name]
        sign = "minus" if contrast.scale.name == "identity" else "over"
        what = f"{contrast.scale.contrast}, {sides[0]} {sign} {sides[1]}, over runs, each run giving "
        what += f"{sample.average}, against the margin: {margin.words(contrast.scale)}"
        meant.setdefault(what, []).append(sample.name)
    text = "; ".join(f"{what} ({', '.join(names)})" for what, names in meant.items())
    return f"{text[0].upper()}{text[1:]}."
