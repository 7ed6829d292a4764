"""Bootstrap intervals over runs, offered where they cover and refused where they do not."""

from collections.abc import Callable
from typing import Literal

import xarray as xr

from geostat.errors import SampleError
from geostat.results.base import Scope
from geostat.statistics.bootstraps.bootstrap_cells import Asked, bootstrap_cells, undercovers
from geostat.statistics.bootstraps.bootstrap_intervals import METHODS, Method, check_resamples
from geostat.statistics.bootstraps.bootstrap_result import BootstrapResult
from geostat.statistics.bootstraps.bootstrap_scope import SIMULATED_COVERAGE
from geostat.statistics.bootstraps.resampling import MEAN, MEDIAN, Array, from_callable
from geostat.statistics.runs.arguments import Samples, Weighting, check_level, gather
from geostat.statistics.runs.randomness import Randomness, seeded
from geostat.statistics.runs.repeats import Repeats, repeats_notices
from geostat.statistics.words.notices import give

__all__ = ["BootstrapResult", "bootstrap_ci"]


def bootstrap_ci(
    data: xr.DataArray | xr.Dataset,
    *,
    statistic: Literal["mean", "median"] | Callable[[Array, int], Array] = "mean",
    method: Method = "bootstrap-t",
    n_resamples: int = 9999,
    rng: Randomness = None,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    cluster: str | None = None,
    level: float = 0.95,
    weighting: Weighting | None = None,
    allow_undercoverage: bool = False,
) -> BootstrapResult:
    r"""Statistic over runs with a bootstrap interval.

    Each run is first averaged over its matrices, exactly; the runs of a recipe are then resampled with
    replacement, the same runs in every cell. With ``cluster`` (for example ``base``, when every set of
    initial weights has several runs) the runs of a cluster are averaged and the clusters are resampled:
    the unit is the highest level that varies, because runs within a cluster are not independent.

    Matrices and checkpoints are never resampled: they are a fixed list. It is no way around few seeds
    either: percentile intervals of 3 runs hold the mean in 75% of cases, not 95%. Below the number of
    units from which a method is offered (percentile, basic, BCa 10; bootstrap-t 5) the answer is the
    value and the reason. Even from 10 units percentile, basic and BCa intervals cover 90%, from 20 93%.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        One metric or several, with dims among ``run, step, matrix`` and a metric's own.
    statistic : {"mean", "median"} or callable
        ``statistic(values, axis)`` must reduce that (negative) axis of an array without NaN. The standard
        error within bootstrap-t is s / sqrt(n) for the mean, Maritz and Jarrett's for the median, and the
        jackknife's for a callable, which must then be smooth (no quantile).
    method : {"bootstrap-t", "percentile", "basic", "bca"}
        See `geostat.statistics.bootstraps.bootstrap_intervals.bootstrap_interval` for the formulas.
    n_resamples : int
        Resamples.
    rng : int, numpy.random.Generator or None
        Source of random numbers; the result names the seed.
    dim, sample_dim, level, weighting
        As in `mean_ci`.
    cluster : str, optional
        Coordinate along the runs whose values are independent draws.
    allow_undercoverage : bool
        Whether to give intervals from fewer units all the same; the result says what they are worth.

    Returns
    -------
    BootstrapResult
        ``estimate``, ``low``, ``high`` over recipe, step and what else is left; NaN with a reason where
        there is no interval, an infinite end with a reason where too many resamples have no spread.

    Raises
    ------
    SampleError
        If an argument does not fit the data.

    Warns
    -----
    SmallSampleWarning
        If ``allow_undercoverage`` gave an interval, or runs look like identical seeds.
    GeostatWarning
        If ``cluster`` does not vary, or runs of a recipe differ in storage or length of training.

    References
    ----------
    :cite:t:`davison1997`, chapter 5 and section 3.8; :cite:t:`maritz1978` for the median's error.

    Examples
    --------
    >>> import xarray as xr
    >>> hours = xr.DataArray(
    ...     [3.0, 5, 7, 18, 43, 85, 91, 98, 100, 130, 230, 487],
    ...     dims="run",
    ...     attrs={"units": "h"},
    ...     name="failure_time",
    ... )
    >>> result = bootstrap_ci(hours, method="percentile", dim=None, rng=1)
    >>> round(float(result.estimate), 3), 40 < float(result.low) < 52 < 185 < float(result.high) < 205
    (108.083, True)
    >>> bootstrap_ci(hours[:3], method="percentile", dim=None, rng=1).ci is None
    True
    """
    check_level(level)
    asked = _asked(statistic, method, level, n_resamples, allow_undercoverage, seeded(rng)[1])
    gathered = gather(data, dim=dim, sample_dim=sample_dim, weighting=weighting)
    notices = list(gathered.notices)
    repeats: dict[str, list[Repeats]] = {}
    cells = {
        sample.name: bootstrap_cells(sample, asked, cluster, notices, repeats) for sample in gathered.samples
    }
    notices += repeats_notices(repeats)
    units = f"{sample_dim}s" if cluster is None else f"clusters ({cluster})"
    return BootstrapResult(
        **gathered.common(),
        cells=cells,
        statistic=asked.estimator.name,
        title=f"Bootstrap of the {asked.estimator.name} over {units}: {', '.join(cells)}",
        estimand=_estimand(gathered, asked.estimator.name, cluster),
        method=f"{NAMES[method]} interval over {units}",
        scope=_scope(cells, gathered.n_runs),
        level=level,
        assumptions=_assumptions(units, cluster, method),
        warnings=give(dict.fromkeys(notices)),
        settings={
            "statistic": asked.estimator.name,
            "method": method,
            "n_resamples": int(n_resamples),
            "dim": dim,
            "sample_dim": sample_dim,
            "cluster": cluster,
            "weighting": {sample.name: sample.weighting for sample in gathered.samples},
            "allow_undercoverage": allow_undercoverage,
            "undercovers": any(undercovers(found, asked) for found in cells.values()),
            "left_out": list(gathered.left_out),
        },
        seed=asked.seed,
    )


NAMES = {
    "percentile": "percentile bootstrap",
    "basic": "basic bootstrap",
    "bca": "BCa bootstrap",
    "bootstrap-t": "bootstrap-t",
}


def _asked(
    statistic: str | Callable[[Array, int], Array],
    method: Method,
    level: float,
    n_resamples: int,
    allow_undercoverage: bool,
    seed: int,
) -> Asked:
    known = {"mean": MEAN, "median": MEDIAN}
    if not callable(statistic) and statistic not in known:
        raise SampleError(
            f"statistic={statistic!r} is not known. Pass 'mean', 'median' or a function of (values, axis)."
        )
    if method not in METHODS:
        raise SampleError(f"method={method!r} is not known. Pass one of {', '.join(METHODS)}.")
    estimator = from_callable(statistic) if callable(statistic) else known[statistic]
    check_resamples(n_resamples, level)
    return Asked(estimator, method, level, n_resamples, allow_undercoverage, seed)


def _scope(found: dict[str, xr.Dataset], n_runs: int) -> Scope:
    if any(bool(cells["low"].notnull().any()) for cells in found.values()):
        return "population of runs"
    return "within-run" if n_runs == 1 else "descriptive"


def _assumptions(units: str, cluster: str | None, method: Method) -> tuple[str, ...]:
    within = f" (runs of one {cluster} may depend on each other)" if cluster else " of one recipe"
    return (
        f"{units} are independent draws{within}",
        f"the sample stands for its population: in simulation 95% intervals of this kind for a mean of normal "
        f"effects covered {SIMULATED_COVERAGE[method][10]:.2f} from 10 and {SIMULATED_COVERAGE[method][20]:.2f} "
        "from 20 of them, less with skewed effects",
        "intervals are pointwise: they hold for one cell at a time, not for all steps or metrics together",
    )


def _estimand(gathered: Samples, statistic: str, cluster: str | None) -> str:
    over = (
        "over runs" if cluster is None else f"over clusters (one per {cluster}) of the mean over their runs"
    )
    meant: dict[str, list[str]] = {}
    for sample in gathered.samples:
        meant.setdefault(f"{statistic} {over}, each run giving {sample.average}", []).append(sample.name)
    text = "; ".join(f"{what} ({', '.join(names)})" for what, names in meant.items())
    return f"{text[0].upper()}{text[1:]}."
