"""The onset of settling under a model: families of curves in autocorrelated noise, averaged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import GeostatWarning, SampleError, SmallSampleWarning, UndefinedWarning
from geostat.statistics.locking.fit_onset_core import OnsetFits, fit_onsets
from geostat.statistics.locking.fit_onset_result import PROBABILITY, FitOnsetResult
from geostat.statistics.locking.model_families import Family, FamilyName, choose_families
from geostat.statistics.locking.model_sample import LEFT_OUT, Curves, curves_of_recipes, model_reasons
from geostat.statistics.locking.recipes import RecipeCurves, average_in_words, gathered_curves, joined
from geostat.statistics.locking.step_words import steps_text
from geostat.statistics.runs.arguments import Samples, Weighting, check_level, gather
from geostat.statistics.words.notices import Notice, give
from geostat.statistics.words.reasons import text_array

__all__ = ["FitOnsetResult", "fit_onset"]

SMOOTH: tuple[FamilyName, ...] = ("hinge", "exponential", "power", "stretched", "logarithmic")

WEAK = 3.0
"""t statistic of the change below which it may as well be noise, given that its time was searched for."""

ASSUMPTIONS = (
    "every run settles along one of the families of curves, from its first checkpoint to its end; a curve of "
    "another shape is not covered: a slow drift after a quick change above all, and an onset in the last tenth of "
    "training, which no smooth family has",
    "noise is Gaussian and stationary with correlation that decays exponentially in steps "
    "(Ornstein-Uhlenbeck); in noise that walks randomly intervals cover less often than they say",
    "runs are independent; each has its own level, amplitude, noise and time constant",
    "the onset is relative to the change between the first checkpoint and the end: what happened before the "
    "first checkpoint cannot be seen, and whether anything changed is a question for onset_exists",
)


def fit_onset(
    data: xr.DataArray | xr.Dataset,
    *,
    families: Sequence[FamilyName] = SMOOTH,
    target: float = 0.9,
    hierarchical: bool = True,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    level: float = 0.95,
    weighting: Weighting | None = None,
) -> FitOnsetResult:
    r"""Step by which a metric has made most of its change, under a model.

    Each run is a curve of some family, scaled to 1 at the first checkpoint and 0 at the end, in
    Ornstein-Uhlenbeck noise: :math:`y = X\beta + \varepsilon` with :math:`X = (1, m_f(t; \tau))` and
    correlation :math:`R_{uv} = \rho^{|u-v|}`, time in mean gaps between checkpoints. Level and amplitude
    (flat priors) and the scale (:math:`1/\sigma`) are integrated out exactly:

    .. math:: \log m_s(f, \tau, \rho) = -\tfrac12 \log|R| - \tfrac12 \log|X'R^{-1}X|
              - \tfrac{T-2}{2} \log \mathrm{RSS}

    and :math:`\rho` over a grid from 0 to correlation lengths of 30 runs. The time constants of a recipe's
    runs are lognormal around the recipe's, with a half-Cauchy(0.3) prior on the standard deviation of
    their logarithm. Families are equally likely, and within a family every onset is. The interval is
    the hull of the set of highest posterior density, ends rounded outward to checkpoints.

    It is not distribution-free, as `locked_share` and `median_onset` are: read it beside them. It supposes
    that there is a change; `onset_exists` asks whether there is. One run gives an interval for the onset of
    *that run*, which says nothing about other seeds.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        One metric or several, with dim ``step``; 5 checkpoints or more of a run.
    families : sequence of str
        Among ``hinge`` (a line that stops), ``exponential``, ``power`` (1/(1+x)), ``stretched``
        (exp(-sqrt x)), ``logarithmic`` (-log(1+x)) and ``step``. All but the last by default.
    target : float
        Share in (0, 1) of the change between the first checkpoint and the end that counts as the onset.
    hierarchical : bool
        False gives all runs of a recipe one time constant, scale and correlation: where runs differ, the
        interval then covers far too rarely.
    dim, sample_dim : str
        Matrices and runs, as in `mean_ci`; ``dim`` may be None.
    level : float
        Posterior probability of the set, in (0, 1).
    weighting : {"matrix", "parameters"}, optional
        As in `mean_ci`.

    Returns
    -------
    FitOnsetResult
        ``estimate`` (posterior median), ``low``, ``high`` in steps over recipe and what else is left,
        probabilities of the families, and the noise; NaN with a reason where the model cannot be fitted.

    Raises
    ------
    SampleError
        If an argument does not fit the data.

    Warns
    -----
    SmallSampleWarning
        If the change is no larger than the noise may produce.
    GeostatWarning
        If noise cannot be told from a random walk, under which the interval covers less often than it
        says; if runs are forced to share their onset; if runs of a recipe differ in storage or length of
        training.
    UndefinedWarning
        If runs are left out because they are constant or have fewer than 5 checkpoints.

    References
    ----------
    Harville (1974), Biometrika 61, 383-385 (the likelihood of error contrasts); Gelman (2006), Bayesian
    Analysis 1, 515-534 (half-Cauchy prior); Uhlenbeck and Ornstein (1930), Phys. Rev. 36, 823-841.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> steps = np.arange(0, 1001, 25)
    >>> noise = np.random.default_rng(0).normal(0, 0.05, (3, steps.size))
    >>> runs = xr.DataArray(
    ...     np.exp(-steps / 150) + noise,
    ...     dims=("run", "step"),
    ...     coords={"step": steps},
    ...     attrs={"units": "1"},
    ...     name="angle",
    ... )
    >>> row = fit_onset(runs, dim=None).rows()[0]
    >>> bool(row["low"] <= -150 * np.log(0.1) <= row["high"])
    True
    """
    check_level(level)
    chosen = choose_families(families)
    _check_target(target)
    gathered = gather(data, dim=dim, sample_dim=sample_dim, weighting=weighting)
    curves, notices = gathered_curves(gathered, None)
    asked = _Asked(chosen, target, level, hierarchical)
    cells = {name: _cells(found, asked, notices) for name, found in curves.items()}
    most = max(int(found["n_runs"].max()) for found in cells.values())
    return FitOnsetResult(
        **gathered.common(),
        cells=cells,
        title=f"Onset under a model: {', '.join(cells)}",
        estimand=_estimand(gathered, target, most),
        method=f"highest-posterior interval over {len(chosen)} families of curves in Ornstein-Uhlenbeck noise, "
        "ends rounded outward to checkpoints",
        scope="model-dependent" if most > 1 else "within-run",
        level=level,
        assumptions=ASSUMPTIONS,
        warnings=give(dict.fromkeys(notices)),
        settings=_settings(gathered, asked, dim, sample_dim),
    )


@dataclass(frozen=True)
class _Asked:
    """What the call asks of every recipe."""

    families: tuple[Family, ...]
    target: float
    level: float
    hierarchical: bool


def _check_target(target: float) -> None:
    if not (isinstance(target, float | int | np.floating) and 0 < target < 1):
        raise SampleError(
            f"target={target!r} is no share of the change: it lies strictly between 0 and 1, .9 by default."
        )


def _estimand(gathered: Samples, target: float, most: int) -> str:
    whose = "a recipe's typical (median) run" if most > 1 else "the one run at hand"
    return (
        f"Step by which {whose} has made {target:.0%} of its change between the first checkpoint and the end; "
        f"{average_in_words(gathered)}."
    )


def _settings(gathered: Samples, asked: _Asked, dim: str | None, sample_dim: str) -> dict[str, Any]:
    return {
        "families": [family.name for family in asked.families],
        "target": asked.target,
        "hierarchical": asked.hierarchical,
        "dim": dim,
        "sample_dim": sample_dim,
        "weighting": {sample.name: sample.weighting for sample in gathered.samples},
        "left_out": list(gathered.left_out),
    }


def _cells(found: RecipeCurves, asked: _Asked, notices: list[Notice]) -> xr.Dataset:
    parts = []
    for curves in curves_of_recipes(found):
        fits = fit_onsets(
            curves.finite,
            curves.steps,
            asked.families,
            target=asked.target,
            level=asked.level,
            hierarchical=asked.hierarchical,
        )
        notices.extend(_noticed(curves, fits, asked))
        parts.append(_labelled(curves, fits, asked.families))
    return joined(parts, found.groups)


def _labelled(curves: Curves, fits: OnsetFits, families: Sequence[Family]) -> xr.Dataset:
    numbers = {name: curves.labelled(getattr(fits, name)) for name in ("estimate", "low", "high")}
    texts = [steps_text(low, high).plain for low, high in zip(fits.low, fits.high, strict=True)]
    numbers["interval"] = curves.labelled(np.array(texts, dtype=np.dtypes.StringDType()))
    for family, probability in zip(families, fits.families.T, strict=True):
        numbers[PROBABILITY + family.name] = curves.labelled(probability)
    rest = {"log_spread": fits.log_spread, "rho": fits.rho, "amplitude_t": fits.signal}
    numbers |= {name: curves.labelled(values) for name, values in rest.items()}
    counts = {
        "n_runs": curves.labelled(fits.n_runs),
        "n_checkpoints": curves.labelled(curves.n_checkpoints),
        "n_matrices": curves.n_matrices,
    }
    reason = text_array(numbers["estimate"], model_reasons(curves, numbers["low"].isnull()))
    return xr.Dataset(numbers | counts | {"reason": reason})


def _noticed(curves: Curves, fits: OnsetFits, asked: _Asked) -> list[Notice]:
    found = [
        (fits.signal < WEAK, SmallSampleWarning, _WEAK_CHANGE),
        (fits.wandering > 0.5, GeostatWarning, _WANDERING),
        (np.full(fits.n_runs.shape, not asked.hierarchical) & (fits.n_runs > 1), GeostatWarning, _ONE_ONSET),
        ((fits.n_runs > 0) & (fits.n_runs < curves.n_with_value), UndefinedWarning, LEFT_OUT),
    ]
    return [Notice(category, curves.whose_in(cells) + text) for cells, category, text in found if cells.any()]


_WEAK_CHANGE = (
    "in no single run does the change stand out of the noise that the model fits (t below 3). The interval "
    "supposes a change: whether there is one, the runs together, onset_exists tests."
)
_WANDERING = (
    "the noise cannot be told from a random walk: it may well stay correlated for longer than the run. Such noise "
    "imitates slow settling, and the interval covers less often than it says. Read locked_share beside it."
)
_ONE_ONSET = (
    "hierarchical=False gives all runs one onset. Where runs differ the interval covers far less than it says: "
    "leave it at True unless the onset is fixed by design."
)
