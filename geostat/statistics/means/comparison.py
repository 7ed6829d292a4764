"""The difference between two recipes, with Welch's or the paired t-interval over runs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import xarray as xr

from geostat.errors import SampleError
from geostat.statistics.means.comparison_result import ComparisonResult
from geostat.statistics.means.contrasts import Contrast, Noticed, bare, between_recipes
from geostat.statistics.means.multiplicity_words import POINTWISE
from geostat.statistics.means.scales import Scale, ScaleChoice, on_scales
from geostat.statistics.means.sharing import VarianceName, declare_variance, refuse_paired_sharing
from geostat.statistics.runs.aggregation import cell_array
from geostat.statistics.runs.arguments import Samples, Weighting, check_level, gather
from geostat.statistics.runs.repeats import repeats_notices
from geostat.statistics.words.notices import give
from geostat.statistics.words.reasons import comparison_reasons, text_array

__all__ = ["ComparisonResult", "compare"]

ASSUMPTIONS = (
    "runs are independent draws of their recipe (only the seed differs)",
    "run averages are about normal on the chosen scale",
    POINTWISE,
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
    scale: ScaleChoice = "identity",
    variance: VarianceName = "own",
    earlier: xr.DataArray | xr.Dataset | None = None,
    assumed_seed_sd: float | Mapping[str, float] | None = None,
) -> ComparisonResult:
    r"""Difference of two recipes' means over runs, a minus b.

    Each run is first averaged over the matrices that have a value in every run of both recipes. With
    unequal variances (Welch):

    .. math:: \bar x_a - \bar x_b \pm t_{\nu} \sqrt{s_a^2 / S_a + s_b^2 / S_b}

    with Satterthwaite's :math:`\nu`; paired, the runs' differences by seed are the sample. It is not a
    test of equivalence: a wide interval around 0 says that nothing is known, not that nothing differs;
    `equivalence` answers that.

    The scale is not chosen by itself here, because it decides what is answered: a difference in the
    metric's units, or a ratio. Where `mean_ci` used the log scale, its means differ by the ratio.

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
    scale : {"identity", "log", "logit", "auto"}
        On the log scale the answer is the ratio a / b of geometric means, on the logit scale an odds ratio;
        ``"auto"`` as in `mean_ci`.
    variance : {"own", "pooled", "moderated"}
        ``"own"`` is Welch's interval. Shared variances are declared as in `mean_ci`, among all recipes in
        the data, not these two alone; with two recipes ``"pooled"`` is Student's two-sample interval.
    earlier, assumed_seed_sd
        As in `mean_ci`.

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
    found = {s.name: between_recipes(s, (a, b), paired, scale, seeds, noticed) for s in gathered.samples}
    scales = {name: contrast.scale for name, contrast in found.items()}
    common = gathered.common()
    cells = {name: _cells(c, level, (a, b), bool(seeds.assumed)) for name, c in found.items()}
    interval = seeds.interval_word("paired t-interval" if paired else "Welch t-interval")
    return ComparisonResult(
        **common | {"variables": {n: _units(v, scales[n]) for n, v in common["variables"].items()}},
        cells=cells,
        a=a,
        b=b,
        title=f"{a} against {b}: {', '.join(found)}",
        estimand=_estimand(gathered, scales, a, b),
        method=on_scales(f"{interval} over {sample_dim}s", scales) + seeds.words,
        scope=seeds.scope_of(cells),
        level=level,
        assumptions=(*ASSUMPTIONS, *seeds.assumptions),
        warnings=give(dict.fromkeys([*noticed.notices, *repeats_notices(noticed.repeats)])),
        settings={
            "dim": dim,
            "sample_dim": sample_dim,
            "paired": paired,
            "weighting": {sample.name: sample.weighting for sample in gathered.samples},
            "scale": {name: used.name for name, used in scales.items()},
            "left_out": list(gathered.left_out),
            **seeds.settings,
        },
    )


def _cells(contrast: Contrast, level: float, recipes: tuple[str, str], assumed: bool) -> xr.Dataset:
    scale, error, estimate = contrast.scale, contrast.error, contrast.estimate
    half = error.half_width(level)
    first, second = contrast.sides
    numbers = {
        "estimate": scale.contrast_inverse(estimate),
        "low": scale.contrast_inverse(estimate - half),
        "high": scale.contrast_inverse(estimate + half),
        "p_value": 2 * error.tail(abs(estimate)),
        "df": error.df,
        "mean_a": scale.inverse(first.mean),
        "mean_b": scale.inverse(second.mean),
        "n_a": first.n,
        "n_b": second.n,
        "n_matrices": contrast.run.n_matrices,
        "n_undefined": contrast.run.n_undefined,
    }
    whole = {name: cell_array(bare(array), estimate) for name, array in numbers.items()}
    reasons = comparison_reasons(
        contrast.sides, contrast.identical, whole["n_undefined"], recipes, contrast.n_all, assumed=assumed
    )
    return xr.Dataset(whole | {"reason": text_array(estimate, reasons)})


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
