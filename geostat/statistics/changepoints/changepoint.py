"""Where the mean of a run's metric shifts: exact search, dated with Bai's interval."""

from typing import get_args

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import SampleError
from geostat.statistics.changepoints.cells import change_cells, change_notices
from geostat.statistics.changepoints.changepoint_result import ChangepointResult
from geostat.statistics.changepoints.fit import Search
from geostat.statistics.changepoints.selection import Errors, Rule
from geostat.statistics.changepoints.series import fit_curves
from geostat.statistics.locking.curves import run_curves
from geostat.statistics.runs.aggregation import cell_array
from geostat.statistics.runs.arguments import Sample, Weighting, check_level, gather
from geostat.statistics.words.notices import Notice, give

__all__ = ["ChangepointResult", "fit_changepoint"]

IID = "errors about the segment means are independent of one another: checkpoints of a run seldom are"
HAC = (
    "errors about the segment means are stationary and their long-run variance can be estimated from this "
    "series: at strong autocorrelation it is understated and intervals are too narrow"
)
ASSUMPTIONS = (
    "the mean is constant between changes and shifts at once: a gradual change is dated at some step within it",
    "the interval takes the change for real; whether there is one is for sup-F to say",
    "the interval speaks of this run's own errors, never of other seeds",
    "observations count in their order: uneven gaps between steps are not weighed",
)


def fit_changepoint(
    data: xr.DataArray | xr.Dataset,
    *,
    n_breaks: int | Rule = 1,
    max_breaks: int = 5,
    min_segment: int | float = 0.15,
    errors: Errors = "iid",
    equal_variance: bool = True,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    level: float = 0.95,
    weighting: Weighting | None = None,
) -> ChangepointResult:
    r"""Step at which the mean of a run's metric shifts.

    .. math:: x_t = \mu_j + e_t \quad \text{for } k_{j-1} < t \le k_j, \qquad
              (\hat k_1, \ldots, \hat k_m) = \arg\min \sum_j \sum_{t = k_{j-1}+1}^{k_j} (x_t - \bar x_j)^2

    over all admissible partitions. A break k is the *last* observation before the change. Its interval
    is that of Bai (1997): with shift d and error variances :math:`\omega_1, \omega_2` on either side,
    :math:`\hat k - k` follows the argmax of two-sided Brownian motion with drift.

    It is not an onset of locking (`lock_brackets`), for which a gradual curve counts from where it stays
    within a margin, and no inference about other seeds: each run is dated by itself. Intervals cover
    where shifts are large beside the errors and errors are independent. With autocorrelated errors of
    .9 and a shift of one standard deviation they cover less than half, and criteria find changes where there
    are none: see ``errors="hac"``, which widens but does not cure. Below 40 checkpoints ``errors="hac"`` and
    ``n_breaks="bic"`` report changes in independent noise as well: at a nominal 5%, sup-F with HAC in about
    21, 17 and 12% of series of 8, 12 and 20 checkpoints (BIC in 43, 34 and 20%), which is warned of.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        One metric or several, with dim ``step``; NaN where a run has no checkpoint.
    n_breaks : int or {"bic", "lwz", "sequential"}
        Number of changes; or the rule that finds it, whose answer may be none: an information criterion
        (Yao 1988; Liu, Wu and Zidek 1997), or sup-F tests one after another at 1 - `level`.
    max_breaks : int
        The most that a rule may find.
    min_segment : float or int
        Share in (0, .5) of the run's checkpoints, or number of them from 2 on, that a segment has at least.
    errors : {"iid", "hac"}
        Whether errors are independent, or autocorrelated with a long-run variance estimated by
        a prewhitened quadratic-spectral kernel (Andrews 1991; Andrews and Monahan 1992).
    equal_variance : bool
        Whether all segments share one error variance; otherwise each has its own, which takes longer segments.
    dim, sample_dim : str
        Matrices and runs, as in `mean_ci`; ``dim`` may be None.
    level : float
        Confidence level in (0, 1).
    weighting : {"matrix", "parameters"}, optional
        As in `mean_ci`.

    Returns
    -------
    ChangepointResult
        Per run the ``estimate`` (step of the last checkpoint before the change), ``low``, ``high``,
        ``first_after``, both means, ``sup_f`` and its ``p_value``, and an ``outcome``; with dim ``change``
        where several may be found.

    Raises
    ------
    SampleError
        If an argument does not fit the data.

    Warns
    -----
    GeostatWarning
        If errors taken for independent are autocorrelated, a series is too short for the HAC variance or BIC,
        or sup-F finds no change where one is dated.
    UndefinedWarning
        If checkpoints inside a run have no value.

    Notes
    -----
    The p-value of sup-F is that of its limit (Andrews 1993), solved numerically and not simulated.

    Examples
    --------
    >>> import xarray as xr
    >>> curve = xr.DataArray(
    ...     [4.9, 5.2, 5.0, 5.1, 8.1, 7.8, 8.0, 8.2, 7.9, 8.0],
    ...     dims="step",
    ...     coords={"step": range(10, 110, 10)},
    ...     attrs={"units": "1"},
    ...     name="stable_rank",
    ... )
    >>> row = fit_changepoint(curve, dim=None).rows()[0]
    >>> row["estimate"], row["first_after"], round(row["shift"], 2)
    (40.0, 50.0, 2.95)
    """
    search = _declared(n_breaks, max_breaks, min_segment, errors, equal_variance, level)
    gathered = gather(data, dim=dim, sample_dim=sample_dim, weighting=weighting)
    notices = list(gathered.notices)
    cells = {sample.name: _cells(sample, search, notices) for sample in gathered.samples}
    averages = "; ".join(f"{sample.name}: {sample.average}" for sample in gathered.samples)
    return ChangepointResult(
        **gathered.common(),
        cells=cells,
        title=f"Change points: {', '.join(cells)}",
        estimand="Last step before the mean of a run's metric shifts, each run by itself, "
        f"{_how_many(n_breaks, max_breaks)}; {averages}.",
        method=_method(search),
        scope="within-run",
        level=level,
        assumptions=(HAC if errors == "hac" else IID, *ASSUMPTIONS),
        warnings=give(dict.fromkeys(notices)),
        settings={
            "n_breaks": n_breaks,
            "max_breaks": max_breaks,
            "min_segment": min_segment,
            "errors": errors,
            "equal_variance": equal_variance,
            "dim": dim,
            "sample_dim": sample_dim,
            "weighting": {sample.name: sample.weighting for sample in gathered.samples},
            "left_out": list(gathered.left_out),
        },
    )


def _declared(
    n_breaks: int | Rule,
    max_breaks: int,
    min_segment: int | float,
    errors: Errors,
    equal_variance: bool,
    level: float,
) -> Search:
    check_level(level)
    if not (n_breaks in get_args(Rule) if isinstance(n_breaks, str) else _whole(n_breaks, 1)):
        raise SampleError(
            f"n_breaks={n_breaks!r} is not known. Pass a number from 1 on, 'bic', 'lwz' or 'sequential'."
        )
    if not _whole(max_breaks, 1):
        raise SampleError(
            f"max_breaks={max_breaks!r} is no number of changes: pass a whole number from 1 on."
        )
    share = isinstance(min_segment, float | np.floating) and 0 < min_segment < 0.5
    if not share and not _whole(min_segment, 2):
        raise SampleError(
            f"min_segment={min_segment!r} is no length of a segment. Pass a share of the checkpoints in (0, .5), "
            "or a number of them from 2 on."
        )
    if errors not in get_args(Errors):
        raise SampleError(f"errors={errors!r} is not known. Pass 'iid' or 'hac'.")
    number = n_breaks if isinstance(n_breaks, str) else int(n_breaks)
    return Search(
        number,
        int(max_breaks),
        float(min_segment) if share else int(min_segment),
        errors,
        bool(equal_variance),
        float(level),
    )


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= least


def _how_many(n_breaks: int | Rule, max_breaks: int) -> str:
    if isinstance(n_breaks, str):
        rule = "sequential sup-F tests find" if n_breaks == "sequential" else f"{n_breaks.upper()} finds"
        return f"as many shifts up to {max_breaks} as {rule}"
    return "one shift" if n_breaks == 1 else f"{n_breaks} shifts"


def _method(search: Search) -> str:
    errors = "independent errors" if search.errors == "iid" else "autocorrelated errors (HAC)"
    variance = "one common variance" if search.equal_variance else "one variance per segment"
    return f"Bai (1997) interval for the break date, {errors}, {variance}"


def _cells(sample: Sample, search: Search, notices: list[Notice]) -> xr.Dataset:
    runs, left_out = run_curves(sample, training_steps=None)
    curves = runs.values
    found = fit_curves(_steps(sample), curves.values.reshape(-1, curves.sizes["step"]), search)
    notices.extend([*left_out, *change_notices(sample.name, found, search)])
    told = change_cells(curves.isel(step=0, drop=True), found)
    told = told.assign(n_matrices=cell_array(runs.n_matrices, told["estimate"]))
    return told.isel(change=0, drop=True) if search.n_breaks == 1 else told


def _steps(sample: Sample) -> npt.NDArray[np.float64]:
    """Steps as numbers; observations counted from 1 where the data have no steps."""
    steps = sample.values["step"]
    if "step" not in sample.values.coords:
        return np.arange(1, steps.size + 1, dtype=np.float64)
    if steps.dtype.kind not in "iuf":
        raise SampleError(
            f"{sample.name}: step holds {steps.dtype}, not numbers. Pass training steps as numbers, "
            "for example data.assign_coords(step=range(data.sizes['step']))."
        )
    return np.asarray(steps.values, dtype=np.float64)
