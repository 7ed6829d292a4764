"""The standard deviation from seed to seed that a power rests on: assumed, or from a pilot with its uncertainty."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import SampleError
from geostat.results import Variable
from geostat.statistics.runs.aggregation import RunValues, aggregate, cell_array
from geostat.statistics.runs.arguments import Sample, Weighting, gather
from geostat.statistics.runs.confounding import mixed
from geostat.statistics.runs.groups import Group, group_by_recipe, left_out_of, with_progress
from geostat.statistics.runs.moments import Moments, moments
from geostat.statistics.runs.repeats import Repeats, repeated_runs, repeats_notices
from geostat.statistics.words.notices import Notice
from geostat.statistics.words.reasons import IDENTICAL, INFINITE, NO_VALUE, text_array

__all__ = ["SeedSD", "assumed", "from_pilot", "without"]

ONE_RUN = (
    "the pilot has one run a recipe, which says nothing about variation from seed to seed: pass an assumed "
    "seed_sd= as a number, or add a second seed"
)


@dataclass(frozen=True)
class SeedSD:
    """Per metric the standard deviation of runs of one recipe.

    Attributes
    ----------
    cells : mapping of str to xarray.Dataset
        ``sd``, ``sd_low``, ``sd_high`` (its interval), ``sd_df``, ``reason`` per cell of the pilot.
    common : mapping
        Fields that every result carries.
    origin : {"assumed", "pilot", "none"}
        Where it comes from.
    notices : tuple of Notice
        What was noticed about the pilot.
    """

    cells: Mapping[str, xr.Dataset]
    common: Mapping[str, Any]
    origin: str
    notices: tuple[Notice, ...] = ()


def without() -> SeedSD:
    """No standard deviation: procedures that count runs need none.

    Returns
    -------
    SeedSD
        NaN.
    """
    return SeedSD(*_single(math.nan), "none")


def assumed(seed_sd: float) -> SeedSD:
    """A standard deviation that is taken as known.

    Parameters
    ----------
    seed_sd : float
        Positive.

    Returns
    -------
    SeedSD
        Without interval.

    Raises
    ------
    SampleError
        If it is no positive number.
    """
    number = isinstance(seed_sd, int | float | np.integer | np.floating) and not isinstance(seed_sd, bool)
    if not number or not 0 < seed_sd < math.inf:
        raise SampleError(
            f"seed_sd={seed_sd!r} is no standard deviation. Pass a positive number in the metric's units, or "
            "the measured runs of a pilot (DataArray or Dataset)."
        )
    return SeedSD(*_single(float(seed_sd)), "assumed")


def _single(sd: float) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    cell = xr.DataArray(sd)
    arrays = {name: cell.copy() for name in ("sd", "sd_low", "sd_high")} | {"sd_df": xr.DataArray(math.nan)}
    common = {"variables": {"metric": Variable("metric")}, "n_runs": 0, "n_matrices": 0, "n_steps": 0}
    return {"metric": xr.Dataset(arrays | {"reason": text_array(cell, [])})}, common | {"single": True}


def from_pilot(
    data: xr.DataArray | xr.Dataset,
    *,
    dim: str | None,
    sample_dim: str,
    weighting: Weighting | None,
    level: float,
) -> SeedSD:
    r"""Standard deviation within recipes of a pilot, pooled over its recipes, with its interval.

    .. math:: s^2 = \sum_r (n_r - 1) s_r^2 / \nu, \qquad \nu = \sum_r (n_r - 1), \qquad
        s \sqrt{\nu / \chi^2_{\nu, (1 \pm \mathrm{level}) / 2}}

    Two seeds leave it open by a factor of 71 at 95%: the interval is [.45 s, 32 s].

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Measured runs.
    dim, sample_dim, weighting
        As in `mean_ci`.
    level : float
        Of the interval.

    Returns
    -------
    SeedSD
        NaN with a reason where no recipe has two runs.
    """
    gathered = gather(data, dim=dim, sample_dim=sample_dim, weighting=weighting)
    notices = list(gathered.notices)
    repeats: dict[str, list[Repeats]] = {}
    cells = {sample.name: _cells(sample, level, notices, repeats) for sample in gathered.samples}
    notices += repeats_notices(repeats)
    return SeedSD(cells, gathered.common(), "pilot", tuple(notices))


def _cells(
    sample: Sample, level: float, notices: list[Notice], repeats: dict[str, list[Repeats]]
) -> xr.Dataset:
    from scipy import stats

    groups = group_by_recipe(sample)
    notices.extend(mixed(sample, groups))
    runs = [aggregate(sample, group.positions) for group in groups]
    for group, run in zip(groups, runs, strict=True):
        notices.extend(left_out_of(sample, group, run))
        whose = f"recipe {group.recipe!r}: " if group.recipe else ""
        repeats.setdefault(whose, []).append(repeated_runs(run.values, sample.sample_dim))
    found = [_moments(sample, run) for run in runs]
    spread = [(m.n > 1) & ~m.identical for m in found]
    squares = [((m.n - 1) * m.variance).where(own, 0.0) for m, own in zip(found, spread, strict=True)]
    df = _over_groups([(m.n - 1).where(m.n > 1, 0) for m in found]).sum("_group")
    square = _over_groups(squares).sum("_group", skipna=False)
    infinite = _over_groups([m.infinite for m in found]).any("_group")
    usable = (df > 0) & (square > 0) & ~infinite
    sd = (square.where(usable) / df.where(usable)) ** 0.5
    tails = [(1 + level) / 2, (1 - level) / 2]
    ends = [sd * (df / df.copy(data=stats.chi2.ppf(tail, df.where(usable).values))) ** 0.5 for tail in tails]
    some = _over_groups([m.n > 0 for m in found]).any("_group")
    reasons = [(~some, NO_VALUE), (infinite, INFINITE), (df == 0, ONE_RUN), (square == 0, IDENTICAL)]
    arrays = {"sd": sd, "sd_low": ends[0], "sd_high": ends[1], "sd_df": df.where(usable)}
    whole = {name: cell_array(array, sd) for name, array in arrays.items()}
    cells = xr.Dataset(whole | {"reason": text_array(sd, reasons)}).drop_vars(
        ["recipe", "seed", sample.sample_dim], errors="ignore"
    )
    return with_progress(cells, sample, [Group(None, tuple(range(sample.values.sizes[sample.sample_dim])))])


def _over_groups(arrays: list[xr.DataArray]) -> xr.DataArray:
    return xr.concat(arrays, dim="_group", coords="minimal", compat="override", join="exact")


def _moments(sample: Sample, run: RunValues) -> Moments:
    return moments(run.values.drop_vars(["recipe", "seed", "progress"], errors="ignore"), sample.sample_dim)
