"""Means over doses: monotone fit, trend, and the dose at which equivalence with the reference ends."""

import math
from collections.abc import Mapping

import numpy as np
import xarray as xr

from geostat.errors import SampleError
from geostat.statistics.doses.dose_arguments import Doses
from geostat.statistics.doses.dose_cells import dose_cells
from geostat.statistics.doses.dose_contrasts import Variance
from geostat.statistics.doses.dose_response_result import DoseResponseResult
from geostat.statistics.doses.isotonic import Direction
from geostat.statistics.means.scales import SCALES, Scale, ScaleName, on_scales
from geostat.statistics.runs.arguments import Samples, Weighting, as_number, check_level, gather
from geostat.statistics.runs.randomness import Randomness, seeded
from geostat.statistics.runs.repeats import Repeats, repeats_notices
from geostat.statistics.words.notices import give

__all__ = ["DoseResponseResult", "dose_response"]

ASSUMPTIONS = (
    "runs are independent draws (only the seed and the dose differ)",
    "run averages are about normal on the chosen scale at every dose",
    "the threshold is that of the doses tested: between two of them nothing is known beyond monotony",
)


def dose_response(
    data: xr.DataArray | xr.Dataset,
    doses: str,
    *,
    reference: float,
    margin: float | Mapping[str, float],
    direction: Direction = "both",
    variance: Variance = "separate",
    n_resamples: int = 9999,
    rng: Randomness = None,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    level: float = 0.95,
    weighting: Weighting | None = None,
    scale: ScaleName = "identity",
) -> DoseResponseResult:
    r"""Metric over doses, and the threshold at which equivalence with the reference dose ends.

    Every run has a dose, such as the share alpha of one objective in a mixture; the reference (the
    unmixed runs) is the smallest or the largest dose. From it outwards each dose is tested for equivalence,

    .. math:: H_d: |\mu_d - \mu_0| \ge \mathrm{margin}

    by two one-sided t-tests at 1 - level each, and the first failure stops the sequence, so the
    probability that any dose is called equivalent that is not stays at most 1 - level. The threshold is
    the dose nearest to the reference at which equivalence truly fails. Its interval inverts tests at
    (1 - level) / 2: it ends before the last dose shown equivalent, and, inwards from the far end, at the
    last dose whose difference is shown to exceed the margin.

    It is not a test of no difference: that a dose is not shown equivalent does not say that it differs.
    The monotone fit describes and has no interval. Matrices are averaged: the run is the unit.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        One metric or several.
    doses : str
        Coordinate along the runs with each run's dose, a number.
    reference : float
        Dose that the others are set against; the smallest or the largest.
    margin : float or mapping of str to float
        Largest difference that counts as none, in the metric's units, declared before; per metric when
        there are several. On the log and logit scales a ratio above 1.
    direction : {"both", "increasing", "decreasing"}
        Of the metric with the dose, for the fit and the trend. With ``"both"`` the better fit is shown and
        the smaller of the two one-sided p-values is doubled.
    variance : {"separate", "pooled"}
        ``"separate"`` (Welch) needs two runs at the dose and at the reference. ``"pooled"`` declares that
        seeds scatter alike at every dose, and then few seeds a dose are enough.
    n_resamples : int
        Permutations of doses over runs for the trend.
    rng : int, numpy.random.Generator or None
        Source of random numbers; the result names the seed.
    dim, sample_dim, level, weighting, scale
        As in `mean_ci`.

    Returns
    -------
    DoseResponseResult
        Per dose means, differences with pointwise intervals, p-values and verdicts; per curve the fit,
        the trend and the threshold.

    Raises
    ------
    SampleError
        If doses, reference or margin do not fit the data, or runs of several recipes share a dose.

    Warns
    -----
    GeostatWarning
        If a dose differs from the reference in its base, storage or length of training.
    SmallSampleWarning
        If runs of one dose look like identical seeds.

    References
    ----------
    :cite:t:`schuirmann1987` for the two one-sided tests, :cite:t:`maurer1995` for the fixed sequence,
    :cite:t:`jonckheere1954` for the trend, :cite:t:`barlow1972` for the fit.

    Examples
    --------
    >>> import xarray as xr
    >>> srank = xr.DataArray(
    ...     [20.1, 19.9, 20.0, 20.2, 20.3, 20.1, 26.0, 26.2],
    ...     dims="run",
    ...     coords={"alpha": ("run", [1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.01, 0.01])},
    ...     attrs={"units": "1"},
    ...     name="stable_rank",
    ... )
    >>> found = dose_response(
    ...     srank, "alpha", reference=1.0, margin=1.0, variance="pooled", dim=None, rng=0
    ... )
    >>> float(found.last_equivalent), float(found.threshold_low), float(found.threshold_high)
    (0.25, 0.01, 0.25)
    """
    check_level(level)
    _check_options(direction, variance, n_resamples, scale)
    asked = Doses(
        doses, as_number("reference", reference), direction, variance, level, int(n_resamples), seeded(rng)[1]
    )
    gathered = gather(data, dim=dim, sample_dim=sample_dim, weighting=weighting)
    margins = _margins(margin, gathered, scale)
    notices = list(gathered.notices)
    repeats: dict[str, list[Repeats]] = {}
    found = {s.name: dose_cells(s, asked, margins[s.name], scale, notices, repeats) for s in gathered.samples}
    told = give(dict.fromkeys([*notices, *repeats_notices(repeats)]))
    return _result(gathered, asked, margins, found, told, dim, sample_dim)


def _result(
    gathered: Samples,
    asked: Doses,
    margins: dict[str, float],
    found: Mapping[str, tuple[xr.Dataset, Scale]],
    told: tuple[str, ...],
    dim: str | None,
    sample_dim: str,
) -> DoseResponseResult:
    scales = {name: used for name, (_, used) in found.items()}
    welch = "Welch" if asked.variance == "separate" else "pooled-variance"
    tested = any(bool(cells["low"].notnull().any()) for cells, _ in found.values())
    return DoseResponseResult(
        **gathered.common(),
        cells={name: cells for name, (cells, _) in found.items()},
        doses=asked.name,
        reference=asked.reference,
        margins=margins,
        title=f"Response to {asked.name}: {', '.join(found)}",
        estimand=_estimand(gathered, scales, asked),
        method=on_scales(f"{welch} two one-sided t-tests over {sample_dim}s in fixed sequence", scales),
        scope="population of runs" if tested else "descriptive",
        level=asked.level,
        assumptions=ASSUMPTIONS
        + (("seeds scatter alike at every dose",) if asked.variance == "pooled" else ()),
        warnings=told,
        settings={
            "doses": asked.name,
            "reference": asked.reference,
            "margin": margins,
            "direction": asked.direction,
            "variance": asked.variance,
            "n_resamples": asked.n_resamples,
            "dim": dim,
            "sample_dim": sample_dim,
            "weighting": {sample.name: sample.weighting for sample in gathered.samples},
            "scale": {name: used.name for name, used in scales.items()},
            "left_out": list(gathered.left_out),
        },
        seed=asked.seed,
    )


def _check_options(direction: str, variance: str, n_resamples: int, scale: str) -> None:
    if direction not in ("both", "increasing", "decreasing"):
        raise SampleError(f"direction={direction!r} is not known. Pass 'both', 'increasing' or 'decreasing'.")
    if variance not in ("separate", "pooled"):
        raise SampleError(f"variance={variance!r} is not known. Pass 'separate' (Welch) or 'pooled'.")
    if scale not in SCALES:
        raise SampleError(
            f"scale={scale!r} is not known, or not for a declared margin. Pass one of {', '.join(SCALES)}."
        )
    whole = isinstance(n_resamples, int | np.integer) and not isinstance(n_resamples, bool)
    if not whole or n_resamples < 99:
        raise SampleError(f"n_resamples={n_resamples!r}: pass a whole number of permutations, 99 or more.")


def _margins(margin: float | Mapping[str, float], gathered: Samples, scale: str) -> dict[str, float]:
    names = [sample.name for sample in gathered.samples]
    if not isinstance(margin, Mapping):
        if len(names) > 1:
            raise SampleError(
                f"margin={margin!r} for {len(names)} metrics in different units. Declare one for each: "
                f"margin={{{names[0]!r}: ..., {names[1]!r}: ...}}."
            )
        margin = {names[0]: margin}
    missing = [name for name in names if name not in margin]
    if missing:
        raise SampleError(
            f"margin declares {list(margin)}, but not {missing}. Declare it, or leave the metric out."
        )
    for name in names:
        _check_margin(name, margin[name], scale)
    return {name: float(margin[name]) for name in names}


def _check_margin(name: str, margin: float, scale: str) -> None:
    identity = scale == "identity"
    smallest, what = (0, "one number above 0, in the metric's units") if identity else (1, "a ratio above 1")
    number = isinstance(margin, int | float | np.integer | np.floating) and not isinstance(margin, bool)
    if not number or not (math.isfinite(margin) and margin > smallest):
        raise SampleError(f"{name}: margin={margin!r} is no margin on the {scale} scale. Pass {what}.")


def _estimand(gathered: Samples, scales: Mapping[str, Scale], asked: Doses) -> str:
    meant: dict[str, list[str]] = {}
    for sample in gathered.samples:
        what = f"{scales[sample.name].contrast}, every {asked.name} against {asked.name} = {asked.reference:g}, over "
        meant.setdefault(what + f"runs, each run giving {sample.average}", []).append(sample.name)
    text = "; ".join(f"{what} ({', '.join(names)})" for what, names in meant.items())
    threshold = f"the {asked.name} nearest to {asked.reference:g} at which it reaches the margin"
    return f"{text[0].upper()}{text[1:]}, and {threshold}."
