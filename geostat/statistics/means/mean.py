"""The mean of a recipe over its runs, with the t-interval that covers at few seeds."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from geostat.errors import UndefinedWarning
from geostat.statistics.means.mean_result import MeanResult
from geostat.statistics.means.sampling_error import SamplingError
from geostat.statistics.means.scales import SCALES, Scale, ScaleChoice, choose_scale, on_scales
from geostat.statistics.means.sharing import SeedVariance, VarianceName, declare_variance
from geostat.statistics.runs.aggregation import RunValues, aggregate, cell_array
from geostat.statistics.runs.arguments import Sample, Samples, Weighting, check_level, gather
from geostat.statistics.runs.confounding import mixed
from geostat.statistics.runs.groups import (
    Group,
    group_by_recipe,
    joined_recipes,
    left_out_of,
    with_progress,
)
from geostat.statistics.runs.moments import Moments, moments
from geostat.statistics.runs.repeats import Repeats, repeated_runs, repeats_notices
from geostat.statistics.words.notices import Notice, give
from geostat.statistics.words.reasons import mean_reasons, text_array

__all__ = ["MeanResult", "mean_ci"]

ASSUMPTIONS = (
    "runs are independent draws of one recipe (only the seed differs)",
    "run averages are about normal on the chosen scale: with skewed seed effects no interval from few "
    "seeds is exact",
    "intervals are pointwise: they hold for one cell at a time, not for all steps or metrics together",
)


def mean_ci(
    data: xr.DataArray | xr.Dataset,
    *,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    level: float = 0.95,
    weighting: Weighting | None = None,
    scale: ScaleChoice = "auto",
    variance: VarianceName = "own",
    earlier: xr.DataArray | xr.Dataset | None = None,
    assumed_seed_sd: float | Mapping[str, float] | None = None,
) -> MeanResult:
    r"""Mean over runs with a t-interval.

    Each run is first averaged over its matrices, exactly; the S run averages :math:`x_s` of a recipe
    are then the sample:

    .. math:: \bar x \pm t_{S-1,\,(1+\mathrm{level})/2}\; s / \sqrt{S}

    It is not an interval over matrices: a run's matrices are a fixed, correlated list, and resampling
    them covers far less than it says. One run has no interval, only a value and the reason. The
    standard deviation over matrices is reported as heterogeneity.

    With two or three runs a recipe the interval is wide because each recipe's variance is hardly known.
    It narrows when sharing is *declared*: ``variance="pooled"`` gives all recipes of the data one
    variance, with :math:`\sum_r (S_r - 1)` degrees of freedom; ``"moderated"`` takes their variances as
    draws from one distribution [1]_ whose parameters are integrated out, so that each recipe keeps as much
    of its own variance as the data speak for. Recipes with a single run, or with identical runs, lend
    nothing and get nothing.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        One metric or several, with dims among ``run, step, matrix`` and a metric's own.
    dim : str or None
        Dimension that each run is averaged over; None when the values are one per run already.
        Variables of a dataset that lack it are taken as one value per run.
    sample_dim : str
        Dimension of independent runs; data without it are one run. What varies within a run (matrices,
        steps, settings of a metric) is refused.
    level : float
        Confidence level in (0, 1).
    weighting : {"matrix", "parameters"}, optional
        Weights over matrices; by default what the metric's attributes say.
    scale : {"auto", "identity", "log", "logit"}
        Scale on which run averages are averaged and the interval is formed; ends are transformed back,
        so that the estimand becomes a geometric (or logit) mean over runs. ``"auto"`` follows the metric's
        ``valid_min`` and ``valid_max``: logit between 0 and 1, log for others that are never negative,
        otherwise identity; identity too where no recipe has two runs. A value on the end of a scale
        (exactly 0 or 1) leads back to identity, with a warning.
    variance : {"own", "pooled", "moderated"}
        Whose variance over seeds an interval rests on. Recipes that share it are those in the data.
    earlier : xarray.DataArray or xarray.Dataset, optional
        Runs of earlier studies, of the same metrics and with the same labels of cells, whose variance
        over seeds is shared too; their means are not.
    assumed_seed_sd : float or mapping of str to float, optional
        Standard deviation over seeds taken as known, on the scale of the interval (identity unless
        ``scale`` names another): a normal interval in every cell, the only kind that one run can have.
        Its scope is ``"model-dependent"``.

    Returns
    -------
    MeanResult
        ``estimate``, ``low``, ``high`` over recipe (where the data name recipes), step and what else
        is left; NaN with a reason where there is no interval.

    Raises
    ------
    SampleError
        If an argument does not fit the data.

    Warns
    -----
    UndefinedWarning
        If matrices without a value in some run were left out.
    SmallSampleWarning
        If two runs of a recipe hold identical values wherever both have one.
    GeostatWarning
        If runs of a recipe differ in storage or length of training.

    References
    ----------
    .. [1] Smyth (2004), section 3; there the parameters are estimated and plugged in, which needs
       thousands of variances, not a handful of recipes.

    Examples
    --------
    >>> import xarray as xr
    >>> srank = xr.DataArray(
    ...     [[20.0, 22.0], [21.0, 25.0], [22.0, 22.0]],
    ...     dims=("run", "matrix"),
    ...     attrs={"units": "1"},
    ...     name="stable_rank",
    ... )
    >>> result = mean_ci(srank)
    >>> float(result.estimate), round(float(result.low), 2), round(float(result.high), 2)
    (22.0, 19.52, 24.48)
    >>> mean_ci(srank.isel(run=0)).ci is None
    True
    >>> alone = mean_ci(srank.isel(run=0), assumed_seed_sd=1.5)
    >>> alone.scope, round(float(alone.low), 2), round(float(alone.high), 2)
    ('model-dependent', 18.06, 23.94)
    """
    check_level(level)
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
    notices = list(gathered.notices)
    repeats: dict[str, list[Repeats]] = {}
    found = {s.name: _cells(s, level, scale, seeds, notices, repeats) for s in gathered.samples}
    notices += repeats_notices(repeats)
    scales = {name: used for name, (_, used) in found.items()}
    return MeanResult(
        **gathered.common(),
        cells={name: cells for name, (cells, _) in found.items()},
        title=_title(gathered),
        estimand=_estimand(gathered, scales),
        method=on_scales(f"{seeds.interval_word('t-interval')} over {sample_dim}s", scales) + seeds.words,
        scope=seeds.scope if _any_interval(found) else "within-run",
        level=level,
        assumptions=(*ASSUMPTIONS, *seeds.assumptions),
        warnings=give(dict.fromkeys(notices)),
        settings={
            "dim": dim,
            "sample_dim": sample_dim,
            "weighting": {sample.name: sample.weighting for sample in gathered.samples},
            "scale": {name: used.name for name, used in scales.items()},
            "left_out": list(gathered.left_out),
            **seeds.settings,
        },
    )


def _cells(
    sample: Sample,
    level: float,
    scale_name: str,
    seeds: SeedVariance,
    notices: list[Notice],
    repeats: dict[str, list[Repeats]],
) -> tuple[xr.Dataset, Scale]:
    groups = group_by_recipe(sample)
    notices.extend(mixed(sample, groups))
    runs = [aggregate(sample, group.positions) for group in groups]
    scale = _scale(scale_name, sample, groups, runs, seeds, notices)
    with np.errstate(invalid="ignore"):
        found = [moments(scale.forward(run.values), sample.sample_dim) for run in runs]
    parts = []
    for i, (group, run) in enumerate(zip(groups, runs, strict=True)):
        error = seeds.error([found[i]], [*found[:i], *found[i + 1 :]], sample, scale)
        parts.append(_interval(found[i], error, run, scale, level, len(group.positions), seeds))
        notices.extend(left_out_of(sample, group, run))
        whose = f"recipe {group.recipe!r}: " if group.recipe else ""
        repeats.setdefault(whose, []).append(repeated_runs(run.values, sample.sample_dim))
    return with_progress(joined_recipes(parts, groups), sample, groups), scale


def _scale(
    name: str,
    sample: Sample,
    groups: Sequence[Group],
    runs: Sequence[RunValues],
    seeds: SeedVariance,
    notices: list[Notice],
) -> Scale:
    alone = all(len(group.positions) == 1 for group in groups)
    if name == "auto" and (alone or seeds.assumed):
        return SCALES["identity"]
    values = [run.values for run in [*runs, *seeds.earlier.get(sample.name, ())]]
    scale, fallback = choose_scale(name, values, sample.name, sample.variable)
    notices.extend([Notice(UndefinedWarning, fallback)] if fallback else [])
    return scale


def _interval(
    found: Moments,
    error: SamplingError,
    run: RunValues,
    scale: Scale,
    level: float,
    n_all: int,
    seeds: SeedVariance,
) -> xr.Dataset:
    half = error.half_width(level)
    numbers = {
        "estimate": scale.inverse(found.mean),
        "low": scale.inverse(found.mean - half),
        "high": scale.inverse(found.mean + half),
        "n_runs": found.n,
        "df": error.df,
        "seed_sd": error.error * found.n**0.5,
        "n_matrices": run.n_matrices,
        "n_undefined": run.n_undefined,
        "spread": run.spread,
    }
    whole = {name: cell_array(array, found.mean) for name, array in numbers.items()}
    reasons = mean_reasons(found, whole["n_undefined"], n_all, assumed=bool(seeds.assumed))
    return xr.Dataset(whole | {"reason": text_array(found.mean, reasons)})


def _any_interval(found: dict[str, tuple[xr.Dataset, Scale]]) -> bool:
    return any(bool(cells["low"].notnull().any()) for cells, _ in found.values())


def _title(gathered: Samples) -> str:
    names = [sample.name for sample in gathered.samples]
    what = "Mean over runs" if gathered.n_runs > 1 else "One run"
    return f"{what}: {', '.join(names) if len(names) <= 3 else f'{len(names)} metrics'}"


def _estimand(gathered: Samples, scales: dict[str, Scale]) -> str:
    meant: dict[str, list[str]] = {}
    for sample in gathered.samples:
        what = f"{scales[sample.name].mean} over runs, each run giving {sample.average}"
        if gathered.n_runs == 1:
            what = f"value of one run, {sample.average}"
        meant.setdefault(what, []).append(sample.name)
    parts = [f"{what} ({', '.join(names)})" for what, names in meant.items()]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."
