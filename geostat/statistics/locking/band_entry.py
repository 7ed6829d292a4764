"""When the mean over runs enters a band: equivalence tests backwards from the last checkpoint."""

from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import SampleError
from geostat.statistics.locking.band_entry_core import (
    Entry,
    contrasts_with,
    entry_of,
    has_values,
    window_means,
    windows_of,
)
from geostat.statistics.locking.band_entry_result import BandEntryResult
from geostat.statistics.locking.bands import AtLeast, Band
from geostat.statistics.locking.brackets import check_persistence, declared_band, self_reference
from geostat.statistics.locking.curves import RunCurves
from geostat.statistics.locking.recipes import (
    RecipeCurves,
    average_in_words,
    doubtful_curves,
    gathered_curves,
    joined,
    runs_of,
)
from geostat.statistics.locking.step_words import steps_text
from geostat.statistics.runs.arguments import Weighting, check_level, gather
from geostat.statistics.words.notices import give
from geostat.statistics.words.reasons import IDENTICAL, NO_VALUE, one_run, text_array

__all__ = ["BandEntryResult", "band_entry", "check_windows", "entry_cells"]

ASSUMPTIONS = (
    "runs are independent draws of one recipe (only the seed differs)",
    "at every window the run averages are about normal; nothing is assumed of their autocorrelation",
    "the mean trajectory is within a window on one side of the band's edge before the entry and on the other after",
    "the estimand is the mean over runs: runs that each wander have a constant mean, so this may never be read "
    "as saying that the runs lock",
)


def band_entry(
    data: xr.DataArray | xr.Dataset,
    *,
    reference: float | AtLeast | Literal["final"],
    margin: float | None = None,
    persistence: float = 0.25,
    windows: int = 10,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    level: float = 0.95,
    training_steps: float | None = None,
    weighting: Weighting | None = None,
) -> BandEntryResult:
    r"""Step from which the mean over runs stays in a band.

    At every checkpoint two one-sided t-tests over runs, each at :math:`(1-\mathrm{level})/2`, ask whether
    the mean :math:`\bar m(u)` over S runs lies inside:

    .. math:: |\bar m(u) - \mathrm{ref}| + t_{S-1,\,(1+\mathrm{level})/2}\, s(u)/\sqrt S \le \mathrm{margin}

    They are taken in fixed sequence from the last tested checkpoint backwards, up to the first failure:
    the upper end is the earliest checkpoint reached. The lower end is the last of the leading
    checkpoints at which the mean is shown *outside* (the same with a minus sign, above the margin).
    Errors do not add up along a fixed sequence. More than ``windows`` checkpoints are averaged, run by
    run, into that many windows, and both ends rounded outward to the windows' checkpoints.

    It is a statement about the mean trajectory and may never be read as "the runs lock": runs that each
    walk randomly have a constant mean, which more and more runs show to be in the band. For the runs
    see `locked_share`.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        One metric or several, with dim ``step``; two runs or more of a recipe.
    reference : float, at_least(x) or "final"
        As in `lock_brackets`; with "final" each run's own mean over the last 10% of training.
    margin : float
        Half-width in the metric's units; left out with `at_least`.
    persistence : float
        Share of training in (0, 1) for which the mean must be shown to stay.
    windows : int
        Tests at most along the trajectory, 2 or more.
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
    BandEntryResult
        ``low`` and ``high`` in steps: minus infinity where no leading checkpoint is shown outside,
        infinity where staying is not shown; NaN with a reason for one run.

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
    Schuirmann (1987), J. Pharmacokinet. Biopharm. 15, 657-680 (two one-sided tests); Maurer, Hothorn and
    Lehmacher (1995), fixed sequences of tests.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> mean = np.array([9.0, 6.0, 5.1, 5.0, 4.9])
    >>> noise = np.random.default_rng(0).normal(0, 0.05, (5, 5))
    >>> runs = xr.DataArray(
    ...     mean + noise,
    ...     dims=("run", "step"),
    ...     coords={"step": [63, 127, 191, 255, 299]},
    ...     attrs={"units": "1"},
    ...     name="stable_rank",
    ... )
    >>> band_entry(runs, reference=5.0, margin=0.5, dim=None).rows()[0]["interval"]
    '(127, 191]'
    """
    check_level(level)
    band = declared_band(reference, margin)
    check_persistence(persistence)
    check_windows(windows)
    gathered = gather(data, dim=dim, sample_dim=sample_dim, weighting=weighting)
    curves, notices = gathered_curves(gathered, training_steps)
    notices += [notice for sample in gathered.samples for notice in self_reference(sample, band)]
    notices += doubtful_curves(curves, band)
    cells = {name: _cells(found, band, persistence, windows, level) for name, found in curves.items()}
    inferred = any(bool(found["low"].notnull().any()) for found in cells.values())
    return BandEntryResult(
        **gathered.common(),
        cells=cells,
        title=f"Entry of the mean over runs into a band: {', '.join(cells)}",
        estimand=f"First step from which the mean over a recipe's runs stays {band.words} for at least "
        f"{persistence:.0%} of training; {average_in_words(gathered)}. It is no statement about single runs.",
        method=f"fixed sequence of equivalence tests over runs in at most {windows} windows",
        scope="population of runs" if inferred else "within-run",
        level=level,
        assumptions=ASSUMPTIONS,
        warnings=give(notices),
        settings={
            "reference": str(reference),
            "margin": margin,
            "persistence": persistence,
            "windows": windows,
            "dim": dim,
            "sample_dim": sample_dim,
            "training_steps": training_steps,
            "weighting": {sample.name: sample.weighting for sample in gathered.samples},
            "left_out": list(gathered.left_out),
        },
    )


def check_windows(windows: int) -> None:
    """Refuse a number of windows that leaves no sequence of tests.

    Parameters
    ----------
    windows : int
        2 or more.

    Raises
    ------
    SampleError
        Otherwise.
    """
    if not isinstance(windows, int | np.integer) or isinstance(windows, bool) or windows < 2:
        raise SampleError(f"windows={windows!r} leaves no sequence of tests. Pass a whole number from 2 on.")


def _cells(found: RecipeCurves, band: Band, persistence: float, windows: int, level: float) -> xr.Dataset:
    parts = []
    for group in found.groups:
        own = runs_of(found.curves, group, found.sample.sample_dim)
        parts.append(entry_cells(own, band, persistence, windows, level, found.sample.sample_dim))
    return joined(parts, found.groups)


def entry_cells(
    curves: RunCurves, band: Band, persistence: float, windows: int, level: float, sample_dim: str
) -> xr.Dataset:
    """Entry of the mean over the runs of one recipe.

    Parameters
    ----------
    curves : RunCurves
        Its runs.
    band : Band
        Where the mean has to stay.
    persistence : float
        Share of training for which it has to stay.
    windows : int
        Tests at most.
    level : float
        Confidence level.
    sample_dim : str
        Dimension of runs.

    Returns
    -------
    xarray.Dataset
        ``estimate, low, high, interval, n_windows, n_runs, n_matrices, reason``.
    """
    values = curves.values.transpose(..., sample_dim, "step")
    steps = np.asarray(values["step"].values, dtype=np.float64)
    array = np.asarray(values.values, dtype=np.float64)
    lengths = _lengths(array, steps, curves.training_steps)
    centre = None if band.reference == "final" else _number(band)
    contrasts, tested = contrasts_with(array, steps, lengths, centre)
    places = windows_of(tested, windows)
    like = curves.values.isel({sample_dim: 0, "step": 0}, drop=True).transpose(*values.dims[:-2])
    found = _found(contrasts, places, steps, band, level) if places else None
    needed = persistence * float(np.nanmax(lengths)) if np.isfinite(lengths).any() else np.nan
    return _labelled(like, found, needed, curves, sample_dim)


def _number(band: Band) -> float:
    return band.reference.threshold if isinstance(band.reference, AtLeast) else float(band.reference)


def _lengths(values: npt.NDArray[np.float64], steps: npt.NDArray[np.float64], declared: tuple[float, ...]
) -> npt.NDArray[np.float64]:  # fmt: skip
    last = np.where(has_values(values), steps, -np.inf).max(axis=1)
    own = np.where(np.isfinite(last), last, np.nan)
    given = np.asarray(declared, dtype=np.float64)
    return np.where(np.isnan(given), own, given)


class _Found:
    """Ends of the windows in steps, and where the sequences of tests stop."""

    def __init__(self, entry: Entry, starts: npt.NDArray[np.float64], ends: npt.NDArray[np.float64]) -> None:
        count = len(ends)
        self.entry, self.n_windows, self.last = entry, count, float(ends[-1])
        beyond = np.append(ends, np.inf)
        self.high = beyond[entry.first_in]
        self.estimate = np.append(ends, np.nan)[entry.first_observed]
        self.low = np.append(-np.inf, starts)[entry.leading_out]


def _found(
    contrasts: npt.NDArray[np.float64],
    places: list[npt.NDArray[np.intp]],
    steps: npt.NDArray[np.float64],
    band: Band,
    level: float,
) -> _Found:
    margin = None if isinstance(band.reference, AtLeast) else band.margin
    entry = entry_of(window_means(contrasts, places), margin, level)
    starts = np.array([steps[window[0]] for window in places])
    ends = np.array([steps[window[-1]] for window in places])
    return _Found(entry, starts, ends)


def _labelled(
    like: xr.DataArray, found: _Found | None, needed: float, curves: RunCurves, sample_dim: str
) -> xr.Dataset:
    n_all = curves.values.sizes[sample_dim]
    n = curves.values.notnull().any("step").sum(sample_dim).transpose(*like.dims)
    shape, several = like.shape, n.values >= 2
    if found is None:
        nothing = np.full(shape, np.nan)
        numbers = {"estimate": nothing, "low": nothing, "high": nothing}
        conditions = [(n == 0, NO_VALUE), (n == 1, one_run(n_all)), (n > 1, NO_PAIR)]
    else:
        short = np.isfinite(found.high) & (found.last - found.high < needed)
        high = np.where(short, np.inf, found.high)
        some = several & found.entry.testable.any(axis=-1)
        numbers = {
            "estimate": np.where(n.values > 0, found.estimate, np.nan),
            "low": np.where(some, found.low, np.nan),
            "high": np.where(some, high, np.nan),
        }
        conditions = _conditions(like, found, n, n_all, some, short)
    arrays = {name: like.copy(data=np.asarray(value, dtype=np.float64)) for name, value in numbers.items()}
    texts = [
        steps_text(*pair).plain
        for pair in zip(
            arrays["low"].values.ravel().tolist(), arrays["high"].values.ravel().tolist(), strict=True
        )
    ]
    matrices = curves.n_matrices
    matrices = matrices.max(sample_dim) if sample_dim in matrices.dims else matrices
    whole = arrays | {
        "interval": like.copy(data=np.array(texts, dtype=np.dtypes.StringDType()).reshape(shape)),
        "n_windows": like.copy(data=np.full(shape, found.n_windows if found else 0)),
        "n_runs": n,
        "n_matrices": matrices.broadcast_like(like).transpose(*like.dims),
        "reason": text_array(arrays["low"], conditions),
    }
    return xr.Dataset({name: a.drop_attrs(deep=False).rename(None) for name, a in whole.items()})


NO_PAIR = "no two runs have a value that is tested: with reference 'final' the last 10% of training are not"


def _conditions(
    like: xr.DataArray,
    found: _Found,
    n: xr.DataArray,
    n_all: int,
    some: npt.NDArray[np.bool_],
    short: npt.NDArray[np.bool_],
) -> list[tuple[xr.DataArray, str]]:
    untestable = ~found.entry.testable[..., -1] & some
    open_end = np.isposinf(found.high)
    return [
        (n == 0, NO_VALUE),
        (n == 1, one_run(n_all)),
        (like.copy(data=~some), IDENTICAL),
        (
            like.copy(data=untestable),
            "no test at the last window: fewer than two runs have a finite value there, or all hold the same one",
        ),
        (
            like.copy(data=open_end),
            f"the mean over runs is not shown to be in the band at the last tested window, up to step {found.last:g}",
        ),
        (like.copy(data=short), "the mean over runs is shown in the band only for less than the persistence"),
    ]
