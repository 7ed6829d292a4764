"""How many runs a question needs, before they are run."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import SampleError
from geostat.statistics.runs.arguments import Weighting, as_number, check_level
from geostat.statistics.sample_size.power_of_tests import Design
from geostat.statistics.sample_size.power_questions import Question, check_probability, question_of
from geostat.statistics.sample_size.power_result import PowerResult
from geostat.statistics.sample_size.power_seed_sd import SeedSD, assumed, from_pilot, without
from geostat.statistics.words.notices import give

__all__ = ["PowerResult", "power"]

Procedure = Literal["compare", "equivalence", "mean_ci", "locked_share", "median_onset"]


def power(
    procedure: Procedure,
    *,
    seed_sd: float | xr.DataArray | xr.Dataset | None = None,
    effect: float | None = None,
    margin: float | None = None,
    half_width: float | None = None,
    share: float = 1.0,
    wanted_share: float | None = None,
    design: Design = "welch",
    correlation: float = 0.0,
    n_runs: Sequence[int] = tuple(range(2, 21)),
    target: float = 0.8,
    level: float = 0.95,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    weighting: Weighting | None = None,
) -> PowerResult:
    r"""Power by number of runs, and the smallest number that is enough.

    What the power is the probability of depends on the procedure:

    - ``"compare"``: a t-test of two recipes finds a difference of ``effect``;
    - ``"equivalence"``: two one-sided t-tests at 1 - level show equivalence within ``margin`` when the true
      difference is ``effect`` (0 by default);
    - ``"mean_ci"``: the t-interval of a mean comes out with at most ``half_width``;
    - ``"locked_share"``: Clopper and Pearson's lower bound reaches ``wanted_share`` when ``share`` of the
      population's runs lock;
    - ``"median_onset"``: an interval for the median exists (1 or 0), whatever its width.

    The first three rest on the seed standard deviation. Estimated from a pilot it is itself uncertain: two
    seeds leave it open by a factor of 71, and the power is told at both ends. Powers are exact for normal
    runs of equal variance and number. It is not the probability that a finding already made is true: power
    at the effect that was found says nothing that its p-value did not.

    Parameters
    ----------
    procedure : {"compare", "equivalence", "mean_ci", "locked_share", "median_onset"}
        What is planned.
    seed_sd : float, xarray.DataArray or xarray.Dataset
        Standard deviation of runs that differ by the seed, in the metric's units; or the runs of a
        pilot, from which it is estimated within recipes. For ratios pass the logarithm of the data.
    effect, margin, half_width : float
        In the metric's units.
    share, wanted_share : float
        True share of runs that lock, and the lower bound that is to be shown.
    design : {"welch", "pooled", "paired"}
        Of comparison and equivalence.
    correlation : float
        Between the two runs of one seed, when paired; in [0, 1).
    n_runs : sequence of int
        Numbers of runs a recipe to look at.
    target : float
        Power wanted, in (0, 1).
    level : float
        Confidence level of the procedure, and of the interval of a pilot's standard deviation.
    dim, sample_dim, weighting
        Of a pilot, as in `mean_ci`.

    Returns
    -------
    PowerResult
        ``power`` by runs, ``needed``; NaN with a reason for a pilot of one run a recipe.

    Raises
    ------
    SampleError
        If the procedure lacks an argument, or one is out of range.

    References
    ----------
    :cite:t:`phillips1990` for equivalence, :cite:t:`clopper1934` for the share.

    Examples
    --------
    >>> found = power("compare", seed_sd=1.0, effect=3.0)
    >>> int(found.needed), bool(found.power.sel(runs=3) < 0.8 < found.power.sel(runs=4))
    (4, True)
    >>> int(power("median_onset").needed)
    6
    """
    check_level(level)
    grid = _grid(n_runs)
    check_probability("target", target)
    asked = {"effect": effect, "margin": margin, "half_width": half_width, "wanted_share": wanted_share}
    question = question_of(procedure, asked, share, design, correlation, level)
    sd = _seed_sd(seed_sd, procedure, question, dim, sample_dim, weighting, level)
    cells = {name: _cells(found, question, grid, target, sd.origin) for name, found in sd.cells.items()}
    source = {"assumed": "seed SD assumed", "pilot": "seed SD from a pilot", "none": ""}[sd.origin]
    return PowerResult(
        **sd.common,
        cells=cells,
        question=question.words,
        target=float(target),
        origin=sd.origin,
        title=f"Power of {procedure}",
        estimand=f"Probability {question.words}, by number of runs a recipe.",
        method=question.method,
        scope="model-dependent",
        level=level,
        assumptions=question.assumptions + ((source,) if source else ()),
        warnings=give(dict.fromkeys(sd.notices)),
        settings={
            "procedure": procedure,
            "seed_sd": sd.origin
            if seed_sd is None or sd.origin != "assumed"
            else as_number("seed_sd", seed_sd),
            **asked,
            "share": share,
            "design": design,
            "correlation": correlation,
            "n_runs": grid.tolist(),
            "target": target,
            "dim": dim,
            "sample_dim": sample_dim,
        },
    )


def _grid(n_runs: Sequence[int]) -> npt.NDArray[np.int64]:
    numbers = (
        n_runs if isinstance(n_runs, Sequence | np.ndarray) and not isinstance(n_runs, str) else [n_runs]
    )
    grid = np.unique(np.asarray(numbers))
    if grid.size == 0 or grid.dtype.kind not in "iu" or grid[0] < 1:
        raise SampleError(f"n_runs={n_runs!r}: pass whole numbers of runs a recipe, 1 or more.")
    return grid.astype(np.int64)


def _seed_sd(
    seed_sd: float | xr.DataArray | xr.Dataset | None,
    procedure: str,
    question: Question,
    dim: str | None,
    sample_dim: str,
    weighting: Weighting | None,
    level: float,
) -> SeedSD:
    if not question.needs_sd:
        return without()
    if seed_sd is None:
        raise SampleError(
            f"power({procedure!r}) needs seed_sd=: the standard deviation from seed to seed, as a number or "
            "as the runs of a pilot."
        )
    if isinstance(seed_sd, xr.DataArray | xr.Dataset):
        return from_pilot(seed_sd, dim=dim, sample_dim=sample_dim, weighting=weighting, level=level)
    return assumed(seed_sd)


def _cells(
    found: xr.Dataset, question: Question, grid: npt.NDArray[np.int64], target: float, origin: str
) -> xr.Dataset:
    at = {"power": found["sd"], "power_low": found["sd_high"], "power_high": found["sd_low"]}
    curves = {name: _curve(sd, question, grid) for name, sd in at.items()}
    if origin != "pilot":
        curves |= {name: xr.full_like(curves["power"], math.nan) for name in ("power_low", "power_high")}
    whole = curves | {"seed_sd": found["sd"]} | {name: found[name] for name in ("sd_low", "sd_high", "sd_df")}
    whole["needed"] = _smallest(curves["power"], target)
    whole["needed_safe"] = _smallest(curves["power_low"], target)
    return xr.Dataset(whole | {"reason": found["reason"]}, {"runs": grid} | dict(found.coords))


def _curve(sd: xr.DataArray, question: Question, grid: npt.NDArray[np.int64]) -> xr.DataArray:
    flat = sd.values.ravel()
    known = np.isfinite(flat) if question.needs_sd else np.ones(flat.shape, dtype=np.bool_)
    columns = np.full((flat.size, grid.size), math.nan)
    for place, n in enumerate(grid.tolist()):
        columns[known, place] = question.curve(flat[known], n) if n >= question.fewest else 0.0
    bare = {name: coord.variable for name, coord in sd.coords.items()}
    return xr.DataArray(columns.reshape(*sd.shape, grid.size), bare | {"runs": grid}, [*sd.dims, "runs"])


def _smallest(curves: xr.DataArray, target: float) -> xr.DataArray:
    # A power may fall again (a share's bound moves in jumps): the number must be enough from there on.
    enough = curves.values[..., ::-1] >= target
    lasting = np.logical_and.accumulate(enough, axis=-1)[..., ::-1]
    place = lasting.argmax(axis=-1)
    runs = np.where(lasting.any(axis=-1), curves["runs"].values[place].astype(np.float64), math.nan)
    return curves.isel(runs=0, drop=True).copy(data=runs)
