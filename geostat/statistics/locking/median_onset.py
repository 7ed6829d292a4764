"""The median onset over runs, with the interval that order statistics give."""

from typing import Literal

import numpy as np
import xarray as xr

from geostat.statistics.locking.bands import AtLeast, Band
from geostat.statistics.locking.brackets import brackets_of, check_persistence, declared_band, self_reference
from geostat.statistics.locking.censoring import onset_bounds, runs_for_median, without_value
from geostat.statistics.locking.median_onset_result import MedianOnsetResult
from geostat.statistics.locking.recipes import (
    RecipeCurves,
    average_in_words,
    doubtful_curves,
    gathered_curves,
    per_recipe,
)
from geostat.statistics.locking.step_words import steps_text
from geostat.statistics.runs.aggregation import cell_array
from geostat.statistics.runs.arguments import Weighting, check_level, gather
from geostat.statistics.words.notices import give
from geostat.statistics.words.reasons import NO_VALUE, one_run, text_array

__all__ = ["MedianOnsetResult", "median_cells", "median_onset", "order_statistic"]

ASSUMPTIONS = (
    "runs are independent draws of one recipe (only the seed differs); nothing is assumed of their curves",
    "a run that never locks in this training has an infinite onset",
    "a run of which the checkpoints do not tell counts as early at the lower end and as late at the upper end",
    "cumulative metrics settle under a decaying learning rate whether or not a channel has formed",
)


def median_onset(
    data: xr.DataArray | xr.Dataset,
    *,
    reference: float | AtLeast | Literal["final"],
    margin: float | None = None,
    persistence: float = 0.25,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    level: float = 0.95,
    training_steps: float | None = None,
    weighting: Weighting | None = None,
) -> MedianOnsetResult:
    r"""Median over runs of the step from which a run's metric stays in the band.

    The sorted onsets of S runs enclose the median of the recipe with

    .. math:: P(T_{(r)} \le \mathrm{median} \le T_{(S+1-r)}) \ge
              1 - 2\, P(\mathrm{Bin}(S, \tfrac12) \le r - 1)

    whatever their distribution; r is the largest rank that keeps the level, so that a 95% interval
    exists from S = 6. Onsets are known up to checkpoints: the lower end is the last checkpoint outside
    of the run ranked r, the upper end the first one inside of the run ranked S + 1 - r, each ranked
    among its own kind, so that both ends are rounded outward.

    It is not the onset of the mean trajectory (`band_entry`). A median that is infinite means that at
    least half of the runs do not lock in this training.

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
    MedianOnsetResult
        ``low`` and ``high`` in steps, with the attained ``confidence``; ``sample_low`` and
        ``sample_high``, the bracket of the runs' own median. Minus infinity: left-censored (at or before
        ``high``); infinity: no bound, because too many runs never lock or do not tell.

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
    David and Nagaraja (2003), Order Statistics, section 7.1.

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
    >>> row = median_onset(capture, reference=at_least(0.5), dim=None).rows()[0]
    >>> row["onset"], row["interval"], row["confidence"]
    ('(63, 127]', '(31, 191]', 0.96875)
    """
    check_level(level)
    band = declared_band(reference, margin)
    check_persistence(persistence)
    gathered = gather(data, dim=dim, sample_dim=sample_dim, weighting=weighting)
    curves, notices = gathered_curves(gathered, training_steps)
    notices += [notice for sample in gathered.samples for notice in self_reference(sample, band)]
    notices += doubtful_curves(curves, band)
    cells = {name: _cells(found, band, persistence, level) for name, found in curves.items()}
    inferred = any(bool(found["low"].notnull().any()) for found in cells.values())
    return MedianOnsetResult(
        **gathered.common(),
        cells=cells,
        title=f"Median onset of locking: {', '.join(cells)}",
        estimand=f"Median over a recipe's runs of the first step from which a run's metric stays {band.words} "
        f"for at least {persistence:.0%} of training; {average_in_words(gathered)}.",
        method="order-statistic interval over runs, ends rounded outward to checkpoints",
        scope="population of runs" if inferred else "within-run",
        level=level,
        assumptions=ASSUMPTIONS,
        warnings=give(notices),
        settings={
            "reference": str(reference),
            "margin": margin,
            "persistence": persistence,
            "dim": dim,
            "sample_dim": sample_dim,
            "training_steps": training_steps,
            "weighting": {sample.name: sample.weighting for sample in gathered.samples},
            "left_out": list(gathered.left_out),
        },
    )


def _cells(found: RecipeCurves, band: Band, persistence: float, level: float) -> xr.Dataset:
    runs = brackets_of(found.curves, band, persistence)
    sample_dim = found.sample.sample_dim
    return per_recipe(runs, found.groups, sample_dim, lambda own, _: median_cells(own, sample_dim, level))


def order_statistic(n: int, level: float) -> tuple[int, float]:
    """Rank whose order statistics enclose the median, and with what confidence.

    Parameters
    ----------
    n : int
        Runs.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    tuple of int and float
        The largest rank r (from 1) that keeps the level; 0 and NaN where none does.

    Examples
    --------
    >>> order_statistic(10, 0.95)
    (2, 0.978515625)
    """
    from scipy import stats

    ranks = np.arange(1, n // 2 + 1)
    confidence = 1 - 2 * stats.binom.cdf(ranks - 1, n, 0.5)
    enough = np.flatnonzero(confidence >= level - 1e-12)
    return (int(ranks[enough[-1]]), float(confidence[enough[-1]])) if enough.size else (0, float("nan"))


def median_cells(runs: xr.Dataset, sample_dim: str, level: float) -> xr.Dataset:
    """Median onset of the runs of one recipe.

    Parameters
    ----------
    runs : xarray.Dataset
        Outcomes and brackets of its runs.
    sample_dim : str
        Dimension of runs.
    level : float
        Confidence level.

    Returns
    -------
    xarray.Dataset
        ``low, high, sample_low, sample_high, onset, interval, confidence``, counts and ``reason``.
    """
    bounds = onset_bounds(runs)
    n = bounds.lower.sizes[sample_dim]
    rank, confidence = order_statistic(n, level)
    lower, upper = (_sorted(array, sample_dim) for array in (bounds.lower, bounds.upper))
    like = bounds.never.sum(sample_dim)
    numbers = {
        "low": lower[rank - 1] if rank else like * np.nan,
        "high": upper[n - rank] if rank else like * np.nan,
        "sample_low": lower[(n - 1) // 2],
        "sample_high": upper[n // 2],
        "confidence": like * 0 + confidence,
        "n_locked": (bounds.upper < np.inf).sum(sample_dim),
        "n_unknown": bounds.unknown.sum(sample_dim),
        "n_runs": like * 0 + n,
        "n_matrices": runs["n_matrices"].max(sample_dim)
        if sample_dim in runs["n_matrices"].dims
        else like * 0,
    }
    whole = {name: cell_array(array, like) for name, array in numbers.items()}
    texts = {
        "onset": _texts(whole["sample_low"], whole["sample_high"]),
        "interval": _texts(whole["low"], whole["high"]),
    }
    return xr.Dataset(
        whole | texts | {"reason": _reason(whole, without_value(runs, like, sample_dim), rank, n, level)}
    )


def _sorted(array: xr.DataArray, sample_dim: str) -> list[xr.DataArray]:
    """Cells of the smallest run, of the second smallest, and so on."""
    cell = array.isel({sample_dim: 0}, drop=True)
    place = array.get_axis_num(sample_dim)
    return [cell.copy(data=values) for values in np.moveaxis(np.sort(array.values, axis=place), place, 0)]


def _texts(low: xr.DataArray, high: xr.DataArray) -> xr.DataArray:
    pairs = zip(low.values.ravel().tolist(), high.values.ravel().tolist(), strict=True)
    texts = np.array([steps_text(*pair).plain for pair in pairs], dtype=np.dtypes.StringDType())
    return low.copy(data=texts.reshape(low.shape))


def _reason(
    whole: dict[str, xr.DataArray], nothing: xr.DataArray, rank: int, n: int, level: float
) -> xr.DataArray:
    like = whole["low"]
    everywhere = like.copy(data=np.ones(like.shape, dtype=np.bool_))
    if n == 1:
        return text_array(like, [(nothing, NO_VALUE), (everywhere, one_run(1))])
    if not rank:
        needed = runs_for_median(level)
        text = (
            f"{n} runs: the smallest and the largest of them enclose the median with {1 - 2.0 ** (1 - n):.3g}, "
            f"less than {level:g}; {needed} runs are needed"
        )
        return text_array(like, [(nothing, NO_VALUE), (everywhere, text)])
    undecided = (whole["n_unknown"] > 0, "some runs are undecided: counted as early at the lower end and as "
                 "late at the upper end")  # fmt: skip
    late = (
        whole["high"] == np.inf,
        "no upper end: too many runs do not lock in this training, or do not tell",
    )
    return text_array(like, [(nothing, NO_VALUE), late, undecided])
