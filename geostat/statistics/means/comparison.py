"""The difference between two recipes, with Welch's or the paired t-interval over runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import SampleError, UndefinedWarning
from geostat.statistics.means.comparison_result import ComparisonResult
from geostat.statistics.means.scales import Scale, ScaleName, choose_scale, on_scales
from geostat.statistics.runs.aggregation import RunValues, aggregate, cell_array
from geostat.statistics.runs.arguments import Sample, Samples, Weighting, check_level, gather
from geostat.statistics.runs.confounding import confounding, mixed
from geostat.statistics.runs.groups import Group, recipe_group
from geostat.statistics.runs.moments import Moments, moments, p_value, t_quantile
from geostat.statistics.runs.repeats import Repeats, repeated_runs, repeats_notices
from geostat.statistics.words.notices import Notice, give, matrices_left_out
from geostat.statistics.words.reasons import comparison_reasons, text_array

__all__ = ["ComparisonResult", "compare"]

ASSUMPTIONS = (
    "runs are independent draws of their recipe (only the seed differs)",
    "run averages are about normal on the chosen scale",
    "intervals and p-values are pointwise: nothing is adjusted for several steps or metrics",
)


def compare(
    data: xr.DataArray | xr.Dataset,
    a: str,
    b: str,
    *,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    level: float = 0.95,
    paired: bool = False,
    weighting: Weighting | None = None,
    scale: ScaleName = "identity",
) -> ComparisonResult:
    r"""Difference of two recipes' means over runs, a minus b.

    Each run is first averaged over the matrices that have a value in every run of both recipes. With
    unequal variances (Welch):

    .. math:: \bar x_a - \bar x_b \pm t_{\nu} \sqrt{s_a^2 / S_a + s_b^2 / S_b}

    with Satterthwaite's :math:`\nu`; paired, the runs' differences by seed are the sample. It is not a
    test of equivalence: a wide interval around 0 says that nothing is known, not that nothing differs.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        One metric or several, with coordinate ``recipe`` along the runs.
    a, b : str
        Recipes.
    dim, sample_dim, level, weighting
        As in `mean_ci`.
    paired : bool
        Whether runs with the same ``seed`` belong together; both recipes must have the same seeds.
    scale : {"identity", "log", "logit"}
        On the log scale the answer is the ratio a / b of geometric means, on the logit scale an odds ratio.

    Returns
    -------
    ComparisonResult
        ``estimate``, ``low``, ``high``, ``p_value`` over step and what else is left; NaN with a reason
        where one side has a single run.

    Raises
    ------
    SampleError
        If a recipe is missing or, paired, seeds do not match.

    Warns
    -----
    GeostatWarning
        If the recipes differ in their base, storage or length of training, or the runs of one in storage
        or length.

    Examples
    --------
    >>> import xarray as xr
    >>> srank = xr.DataArray(
    ...     [20.0, 22.0, 24.0, 11.0, 12.0, 13.0],
    ...     dims="run",
    ...     coords={"recipe": ("run", ["opd"] * 3 + ["rlvr"] * 3)},
    ...     attrs={"units": "1"},
    ...     name="stable_rank",
    ... )
    >>> float(compare(srank, "opd", "rlvr", dim=None).estimate)
    10.0
    """
    check_level(level)
    if a == b:
        raise SampleError(f"recipe {a!r} is compared with itself. Name two recipes.")
    gathered = gather(data, dim=dim, sample_dim=sample_dim, weighting=weighting)
    notices = list(gathered.notices)
    repeats: dict[str, list[Repeats]] = {}
    found = {s.name: _cells(s, (a, b), level, paired, scale, notices, repeats) for s in gathered.samples}
    notices += repeats_notices(repeats)
    scales = {name: used for name, (_, used) in found.items()}
    common = gathered.common()
    return ComparisonResult(
        **common | {"variables": {n: _units(v, scales[n]) for n, v in common["variables"].items()}},
        cells={name: cells for name, (cells, _) in found.items()},
        a=a,
        b=b,
        title=f"{a} against {b}: {', '.join(found)}",
        estimand=_estimand(gathered, scales, a, b),
        method=on_scales(f"{'paired' if paired else 'Welch'} t-interval over {sample_dim}s", scales),
        scope="population of runs",
        level=level,
        assumptions=ASSUMPTIONS,
        warnings=give(dict.fromkeys(notices)),
        settings=_settings(gathered, scales, dim, sample_dim, paired),
    )


def _settings(
    gathered: Samples, scales: dict[str, Scale], dim: str | None, sample_dim: str, paired: bool
) -> dict[str, Any]:
    return {
        "dim": dim,
        "sample_dim": sample_dim,
        "paired": paired,
        "weighting": {sample.name: sample.weighting for sample in gathered.samples},
        "scale": {name: used.name for name, used in scales.items()},
        "left_out": list(gathered.left_out),
    }


def _cells(
    sample: Sample,
    recipes: tuple[str, str],
    level: float,
    paired: bool,
    scale_name: str,
    notices: list[Notice],
    repeats: dict[str, list[Repeats]],
) -> tuple[xr.Dataset, Scale]:
    groups = [recipe_group(sample, recipe) for recipe in recipes]
    notices.extend([*confounding(sample, groups), *mixed(sample, groups)])
    order = [_by_seed(sample, group) for group in groups] if paired else [group.positions for group in groups]
    if paired:
        _check_seeds(sample, order, recipes)
    run = aggregate(sample, [*order[0], *order[1]])
    scale, fallback = choose_scale(scale_name, [run.values], sample.name)
    notices.extend([Notice(UndefinedWarning, fallback)] if fallback else [])
    on_scale = _bare(scale.forward(run.values)).drop_vars(sample.sample_dim, errors="ignore")
    parts = [{sample.sample_dim: part} for part in (slice(0, len(order[0])), slice(len(order[0]), None))]
    sides = [on_scale.isel(part) for part in parts]
    for recipe, part in zip(recipes, parts, strict=True):
        own = repeated_runs(run.values.isel(part), sample.sample_dim)
        repeats.setdefault(f"recipe {recipe!r}: ", []).append(own)
    contrast = _paired(sides, sample.sample_dim) if paired else _welch(sides, sample.sample_dim)
    notices.extend(_noticed(sample, recipes, run))
    return _interval(contrast, run, scale, level, recipes, [len(p) for p in order]), scale


@dataclass(frozen=True)
class _Contrast:
    """A difference on the scale, its standard error and degrees of freedom."""

    estimate: xr.DataArray
    error: xr.DataArray
    df: xr.DataArray
    sides: tuple[Moments, Moments]
    identical: xr.DataArray


def _welch(sides: Sequence[xr.DataArray], sample_dim: str) -> _Contrast:
    first, second = (moments(side, sample_dim) for side in sides)
    shares = [m.variance / m.n.where(m.n > 0) for m in (first, second)]
    usable = first.has_interval & second.has_interval
    total = (shares[0] + shares[1]).where(usable)
    spent = shares[0] ** 2 / (first.n - 1).where(usable) + shares[1] ** 2 / (second.n - 1).where(usable)
    identical = first.identical | second.identical
    with np.errstate(invalid="ignore"):
        difference = first.mean - second.mean
    return _Contrast(difference, total**0.5, total**2 / spent, (first, second), identical)


def _paired(sides: Sequence[xr.DataArray], sample_dim: str) -> _Contrast:
    both = sides[0].notnull() & sides[1].notnull()
    kept = [side.where(both) for side in sides]
    with np.errstate(invalid="ignore"):
        found = moments(kept[0] - kept[1], sample_dim)
    error = (found.variance / found.n.where(found.has_interval)) ** 0.5
    first, second = (moments(side, sample_dim) for side in kept)
    return _Contrast(
        found.mean, error, (found.n - 1).where(found.has_interval), (first, second), found.identical
    )


def _interval(
    contrast: _Contrast,
    run: RunValues,
    scale: Scale,
    level: float,
    recipes: tuple[str, str],
    n_all: Sequence[int],
) -> xr.Dataset:
    half = t_quantile(level, contrast.df) * contrast.error
    first, second = contrast.sides
    numbers = {
        "estimate": scale.contrast_inverse(contrast.estimate),
        "low": scale.contrast_inverse(contrast.estimate - half),
        "high": scale.contrast_inverse(contrast.estimate + half),
        "p_value": p_value(contrast.estimate / contrast.error, contrast.df),
        "df": contrast.df,
        "mean_a": scale.inverse(first.mean),
        "mean_b": scale.inverse(second.mean),
        "n_a": first.n,
        "n_b": second.n,
        "n_matrices": run.n_matrices,
        "n_undefined": run.n_undefined,
    }
    like = contrast.estimate
    whole = {name: cell_array(_bare(array), like) for name, array in numbers.items()}
    reasons = comparison_reasons(contrast.sides, contrast.identical, whole["n_undefined"], recipes, n_all)
    return xr.Dataset(whole | {"reason": text_array(like, reasons)})


def _bare(array: xr.DataArray) -> xr.DataArray:
    """Coordinates of single runs do not describe a contrast."""
    return array.drop_vars(["recipe", "seed", "run", "progress"], errors="ignore")


def _by_seed(sample: Sample, group: Group) -> tuple[int, ...]:
    seeds = sample.values.coords.get("seed")
    if seeds is None or seeds.dims != (sample.sample_dim,):
        raise SampleError(
            f"paired=True, but the data have no coordinate `seed` along {sample.sample_dim!r}. "
            "Attach it with data.assign_coords(seed=(...)), or compare unpaired."
        )
    return tuple(sorted(group.positions, key=lambda position: seeds.values[position]))


def _check_seeds(sample: Sample, order: Sequence[Sequence[int]], recipes: tuple[str, str]) -> None:
    seeds = [sample.values["seed"].values[list(positions)].tolist() for positions in order]
    if seeds[0] != seeds[1] or len(set(seeds[0])) != len(seeds[0]):
        raise SampleError(
            f"paired=True, but recipe {recipes[0]!r} has seeds {seeds[0]} and {recipes[1]!r} has {seeds[1]}. "
            "Each seed must occur once in both: select common seeds, or compare unpaired."
        )


def _noticed(sample: Sample, recipes: tuple[str, str], run: RunValues) -> list[Notice]:
    if not run.undefined:
        return []
    why = f"in some run of {recipes[0]!r} or {recipes[1]!r} and are left out of both there"
    return [matrices_left_out(sample.name, run.undefined, sample.n_matrices, why)]


def _units(variable: Any, scale: Scale) -> Any:
    return variable if scale.name == "identity" else replace(variable, units="1")


def _estimand(gathered: Samples, scales: dict[str, Scale], a: str, b: str) -> str:
    meant: dict[str, list[str]] = {}
    for sample in gathered.samples:
        sign = "minus" if scales[sample.name].name == "identity" else "over"
        what = f"{scales[sample.name].contrast}, {a} {sign} {b}, over runs, each run giving {sample.average}"
        meant.setdefault(what, []).append(sample.name)
    text = "; ".join(f"{what} ({', '.join(names)})" for what, names in meant.items())
    return f"{text[0].upper()}{text[1:]}."
