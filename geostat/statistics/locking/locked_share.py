"""The share of a recipe's runs that lock: the distribution-free statement about a recipe."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import SampleError
from geostat.statistics.locking.bands import AtLeast, Band
from geostat.statistics.locking.brackets import brackets_of, check_persistence, declared_band, self_reference
from geostat.statistics.locking.censoring import clopper_pearson, onset_bounds, without_value
from geostat.statistics.locking.locked_share_result import ShareResult
from geostat.statistics.locking.recipes import (
    RecipeCurves,
    average_in_words,
    doubtful_curves,
    gathered_curves,
    per_recipe,
)
from geostat.statistics.runs.aggregation import cell_array
from geostat.statistics.runs.arguments import Weighting, check_level, gather
from geostat.statistics.runs.groups import Group
from geostat.statistics.words.notices import give
from geostat.statistics.words.reasons import NO_VALUE, one_run, text_array

__all__ = ["ShareResult", "locked_share", "share_cells"]

ASSUMPTIONS = (
    "runs are independent draws of one recipe (only the seed differs); nothing is assumed of their curves",
    "a run of which the checkpoints do not tell counts as not locked at the lower end and as locked at the "
    "upper end",
    "intervals are pointwise: they hold for one step at a time",
    "cumulative metrics settle under a decaying learning rate whether or not a channel has formed",
)


def locked_share(
    data: xr.DataArray | xr.Dataset,
    *,
    reference: float | AtLeast | Literal["final"],
    margin: float | None = None,
    persistence: float = 0.25,
    by: Literal["steps"] | Sequence[float] | None = None,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    level: float = 0.95,
    training_steps: float | None = None,
    weighting: Weighting | None = None,
) -> ShareResult:
    r"""Share of a recipe's runs that lock.

    With the onsets :math:`T_s` of S runs, known up to checkpoints as in `lock_brackets`, the share
    :math:`P(T \le t)` has the exact interval of Clopper and Pearson (1934). A run whose bracket
    contains t may have locked or not: it is counted against the lower and for the upper end. So are
    runs that are too short to tell or have no value.

    It is not the share of matrices, and no statement about the mean trajectory: a mean can stay in the
    band while no single run does. With five runs or fewer no 95% interval lies above one half.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        One metric or several, with dim ``step``.
    reference : float, at_least(x) or "final"
        As in `lock_brackets`.
    margin : float
        Half-width in the metric's units; left out with `at_least`.
    persistence : float
        Share of training in (0, 1) for which a run must stay.
    by : "steps" or sequence of float, optional
        Steps t by which runs are to have locked, ``"steps"`` being all steps of the data; by default
        whether they lock at all.
    dim, sample_dim : str
        Matrices and runs, as in `mean_ci`; ``dim`` may be None.
    level : float
        Confidence level in (0, 1).
    training_steps : float, optional
        Declared length of training, as in `lock_brackets`.
    weighting : {"matrix", "parameters"}, optional
        As in `mean_ci`.

    Returns
    -------
    ShareResult
        ``estimate`` (runs that certainly locked over all runs), ``low``, ``high``, counts.

    Raises
    ------
    SampleError
        If an argument does not fit the data.

    Warns
    -----
    GeostatWarning
        If the metric looks at its own end, the margin is wider than a curve's range, or runs of a recipe
        differ in storage or length.

    References
    ----------
    Clopper and Pearson (1934), Biometrika 26, 404-413.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from geostat.statistics import at_least
    >>> onsets = np.array([63, 127, 127, 191, 127, 63])
    >>> steps = np.array([31, 63, 127, 191, 255, 299])
    >>> capture = xr.DataArray(
    ...     (steps >= onsets[:, None]) * np.linspace(0.8, 0.9, 6)[:, None],
    ...     dims=("run", "step"),
    ...     coords={"step": steps},
    ...     attrs={"units": "1"},
    ...     name="capture",
    ... )
    >>> share = locked_share(capture, reference=at_least(0.5), dim=None)
    >>> float(share.estimate), round(float(share.low), 3), float(share.high)
    (1.0, 0.541, 1.0)
    """
    check_level(level)
    band = declared_band(reference, margin)
    check_persistence(persistence)
    gathered = gather(data, dim=dim, sample_dim=sample_dim, weighting=weighting)
    curves, notices = gathered_curves(gathered, training_steps)
    notices += [notice for sample in gathered.samples for notice in self_reference(sample, band)]
    notices += doubtful_curves(curves, band)
    cells = {name: _cells(found, band, persistence, by, level) for name, found in curves.items()}
    inferred = any(bool(found["low"].notnull().any()) for found in cells.values())
    return ShareResult(
        **gathered.common(),
        cells=cells,
        title=f"Share of runs that lock: {', '.join(cells)}",
        estimand=f"Share of a recipe's runs whose metric stays {band.words} for at least {persistence:.0%} of "
        f"training{'' if by is None else ', from the stated step on or before'}; {average_in_words(gathered)}.",
        method="Clopper-Pearson interval over runs",
        scope="population of runs" if inferred else "within-run",
        level=level,
        assumptions=ASSUMPTIONS,
        warnings=give(notices),
        settings={
            "reference": str(reference),
            "margin": margin,
            "persistence": persistence,
            "by": by if by is None or isinstance(by, str) else [float(step) for step in by],
            "dim": dim,
            "sample_dim": sample_dim,
            "training_steps": training_steps,
            "weighting": {sample.name: sample.weighting for sample in gathered.samples},
            "left_out": list(gathered.left_out),
        },
    )


def _cells(
    found: RecipeCurves, band: Band, persistence: float, by: str | Sequence[float] | None, level: float
) -> xr.Dataset:
    runs = brackets_of(found.curves, band, persistence)
    steps = _asked(by, found.curves.values["step"])
    sample_dim = found.sample.sample_dim
    return per_recipe(
        runs, found.groups, sample_dim, lambda own, group: share_cells(own, group, sample_dim, level, steps)
    )


def _asked(by: str | Sequence[float] | None, grid: xr.DataArray) -> xr.DataArray | None:
    if by is None:
        return None
    if isinstance(by, str) and by != "steps":
        raise SampleError(f"by={by!r} is not known. Pass 'steps', a list of steps, or None.")
    labels = np.asarray(grid.values if isinstance(by, str) else by)
    usable = labels.ndim == 1 and labels.size and labels.dtype.kind in "iuf" and np.isfinite(labels).all()
    if not usable:
        raise SampleError(f"by={by!r} names no steps. Pass a list of finite numbers, 'steps', or None.")
    labels = labels[np.sort(np.unique(labels, return_index=True)[1])]
    steps: npt.NDArray[np.float64] = labels.astype(np.float64)
    return xr.DataArray(steps, dims="step", coords={"step": labels})


def share_cells(
    runs: xr.Dataset, group: Group, sample_dim: str, level: float, by: xr.DataArray | None = None
) -> xr.Dataset:
    """Share of the runs of one recipe that lock.

    Parameters
    ----------
    runs : xarray.Dataset
        Outcomes and brackets of its runs.
    group : Group
        The recipe.
    sample_dim : str
        Dimension of runs.
    level : float
        Confidence level.
    by : xarray.DataArray, optional
        Steps by which they are to have locked; by default at all.

    Returns
    -------
    xarray.Dataset
        ``estimate, low, high, n_locked, n_unknown, n_runs, n_matrices, reason``.
    """
    bounds = onset_bounds(runs)
    if by is None:
        yes, no = bounds.upper < np.inf, bounds.never
    else:
        yes, no = bounds.upper <= by, bounds.never | (bounds.lower >= by)
    n = yes.sizes[sample_dim]
    hits, misses = yes.sum(sample_dim), (no & ~yes).sum(sample_dim)
    total = hits * 0 + n
    low, high = clopper_pearson(hits.values, n - misses.values, total.values, level)
    one = n < 2
    numbers = {
        "estimate": hits / n,
        "low": hits.copy(data=np.where(one, np.nan, low)),
        "high": hits.copy(data=np.where(one, np.nan, high)),
        "n_locked": hits,
        "n_unknown": n - hits - misses,
        "n_runs": total,
        "n_matrices": runs["n_matrices"].max(sample_dim)
        if sample_dim in runs["n_matrices"].dims
        else total * 0,
    }
    whole = {name: cell_array(array, hits) for name, array in numbers.items()}
    return xr.Dataset(whole | {"reason": _reasons(whole, without_value(runs, hits, sample_dim), one)})


def _reasons(whole: dict[str, xr.DataArray], nothing: xr.DataArray, one: bool) -> xr.DataArray:
    undecided = whole["n_unknown"]
    told = [
        (undecided == count, f"{count} run{'s' if count > 1 else ''} undecided by the checkpoints: counted as not "
         "locked at the lower end and as locked at the upper end")
        for count in np.unique(undecided.values).tolist()
        if count
    ]  # fmt: skip
    alone = [(undecided == undecided, one_run(1))] if one else []
    return text_array(whole["estimate"], [(nothing, NO_VALUE), *alone, *told])
