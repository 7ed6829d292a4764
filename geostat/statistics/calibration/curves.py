"""Simulated curves over training whose onset is known."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import xarray as xr

from geostat.errors import SampleError
from geostat.statistics.calibration.noise import Array, checkpoints, evenly_spread, ornstein_uhlenbeck
from geostat.statistics.calibration.scenario import Simulated, Truth
from geostat.statistics.calibration.seeds import check_sizes, check_spread

__all__ = ["SHAPES", "curves", "margin_boundary", "random_walk"]

PERSISTENCE = 0.25
"""Share of training for which a curve has to stay in the band."""
LAST = 0.1
"""Share of training whose mean is the reference of the band."""
FINE = np.linspace(0, 1, 4001)
"""Shares of training at which a true curve is followed."""

SHAPES: Mapping[str, Callable[[Array, Array], Array]] = MappingProxyType(
    {
        "hinge": lambda u, tau: np.maximum(0, 1 - u / tau),
        "exponential": lambda u, tau: np.exp(-math.log(10) * u / tau),
        "step": lambda u, tau: np.where(u < tau, 1.0, 0.0),
        "sigmoid": lambda u, tau: 1 / (1 + np.exp(math.log(9) * (2 * u / tau - 1))),
        "creep": lambda u, tau: 1 / (1 + 9 * u / tau),
        "linear": lambda u, tau: 1 - u + 0 * tau,
        "flat": lambda u, tau: 0 * u * tau,
    }
)
"""Remaining change at share u of training: about 1 at the start, .1 or less from the onset tau on."""


@dataclass(frozen=True)
class _Study:
    """Checkpoints, curves of every run, and the true curve of the average run at the shares `FINE`."""

    steps: Array
    values: Array
    average: Array


def curves(
    shape: str,
    rng: np.random.Generator,
    n_rep: int,
    *,
    S: int = 3,
    T: int = 12,
    L: int = 1,
    rho: float = 0.5,
    sd: float = 0.025,
    tau: float = 0.3,
    spread: float = 0.2,
    margin: float = 0.1,
    reference: float | Literal["final"] = "final",
    steps: tuple[float, ...] | None = None,
) -> Simulated:
    """Runs that follow one shape, with onsets that vary over seeds and correlated noise.

    Parameters
    ----------
    shape : str
        One of `SHAPES`; changes from 1 at the start to about 0 at the end.
    rng : numpy.random.Generator
        Randomness.
    n_rep : int
        Replicates.
    S, T, L : int
        Runs, checkpoints, matrices; what a curve is averaged over changes nothing but the data's form.
    rho : float
        Autocorrelation of the noise at the mean gap.
    sd : float
        Standard deviation of the noise, where the whole change is 1.
    tau : float
        Onset of the middle run as a share of training.
    spread : float
        Standard deviation of the logarithm of the onset over runs.
    margin : float
        Half-width of the band, where the whole change is 1.
    reference : float or "final"
        Centre of the band: a number (the curve ends at about 0), or each run's own end.
    steps : tuple of float, optional
        Checkpoints; replaces T.

    Returns
    -------
    Simulated
        Truths in steps: ``mean_onset`` (the average curve enters the band and stays), ``typical_onset`` (90% of
        the middle run's change between the first checkpoint and the end is done), and with a jump
        ``last_before`` (each run's last checkpoint before it).
    """
    at = checkpoints(T, steps)
    check_sizes(S=S, L=L)
    check_spread(sd)
    if not (0 < tau <= 1 and spread >= 0 and sd >= 0 and margin > 0):
        raise SampleError(
            f"tau={tau!r}, spread={spread!r}, sd={sd!r}, margin={margin!r}: the onset is a share of training in "
            "(0, 1], spread and noise are 0 or more, and the margin is above 0."
        )
    follow = SHAPES[shape]
    taus = tau * np.exp(spread * rng.standard_normal((n_rep, S, 1)))
    values = follow(at / at[-1], taus) + sd * ornstein_uhlenbeck(rng, (n_rep, S), at, rho)
    many = tau * np.exp(spread * evenly_spread(401))[:, None]
    study = _Study(at, values, follow(FINE, many).mean(axis=0))
    truth: dict[str, Truth] = {"typical_onset": _typical_onset(follow(FINE, np.array(tau)), at)}
    if shape == "step":
        truth["last_before"] = _last_before(at, taus)
    return _simulated(study, L, (reference, margin), truth, {"change": shape == "flat"})


def random_walk(
    rng: np.random.Generator,
    n_rep: int,
    *,
    S: int = 3,
    T: int = 12,
    L: int = 1,
    sd: float = 1.0,
    margin: float = 0.1,
    reference: float | Literal["final"] = "final",
    steps: tuple[float, ...] | None = None,
) -> Simulated:
    """Runs that wander without aim: nothing settles.

    Parameters
    ----------
    rng : numpy.random.Generator
        Randomness.
    n_rep : int
        Replicates.
    S, T, L : int
        Runs, checkpoints, matrices.
    sd : float
        Standard deviation of a run's way from the start to the end.
    margin : float
        Half-width of the band.
    reference : float or "final"
        Centre of the band: a number (the start is at 0), or each run's own end.
    steps : tuple of float, optional
        Checkpoints; replaces T.

    Returns
    -------
    Simulated
        Without a truth: whatever is declared of the runs is an error.
    """
    at = checkpoints(T, steps)
    check_sizes(S=S, L=L)
    check_spread(sd)
    gaps = np.diff(at, prepend=0.0 if at[0] > 0 else at[0])
    walked = np.cumsum(np.sqrt(gaps / at[-1]) * rng.standard_normal((n_rep, S, at.size)), axis=-1)
    study = _Study(at, sd * walked, np.full(FINE.shape, np.nan))
    return _simulated(study, L, (reference, margin), {}, {"change": True, "onset": True})


def margin_boundary(
    rng: np.random.Generator,
    n_rep: int,
    *,
    S: int = 3,
    T: int = 12,
    L: int = 1,
    rho: float = 0.5,
    sd: float = 0.025,
    margin: float = 0.1,
    reference: float | Literal["final"] = "final",
    steps: tuple[float, ...] | None = None,
) -> Simulated:
    """Runs that stay one margin away from their end until its last tenth: the hardest case without a lock.

    Parameters
    ----------
    rng : numpy.random.Generator
        Randomness.
    n_rep : int
        Replicates.
    S, T, L : int
        Runs, checkpoints, matrices.
    rho, sd : float
        Autocorrelation of the noise at the mean gap, and its standard deviation.
    margin : float
        Half-width of the band.
    reference : float or "final"
        Centre of the band: a number (the start is at 0), or each run's own end.
    steps : tuple of float, optional
        Checkpoints; replaces T.

    Returns
    -------
    Simulated
        Without a truth: a declared lock of the average run is an error.
    """
    at = checkpoints(T, steps)
    check_sizes(S=S, L=L)
    check_spread(sd)
    away = np.where(at <= (1 - LAST) * at[-1], margin, 0.0)
    values = away + sd * ornstein_uhlenbeck(rng, (n_rep, S), at, rho)
    study = _Study(at, values, np.full(FINE.shape, np.nan))
    return _simulated(study, L, (reference, margin), {}, {"change": False, "onset": True})


def _simulated(
    study: _Study, L: int, band: tuple[float | str, float], truth: dict[str, Truth], null: dict[str, bool]
) -> Simulated:
    reference, margin = band
    onset = _mean_onset(study.average, reference, margin) * study.steps[-1]
    data = xr.DataArray(
        study.values[..., None] + evenly_spread(L),
        dims=("replicate", "run", "step", "matrix"),
        coords={"step": study.steps, "progress": ("step", study.steps / study.steps[-1])},
        attrs={"units": "1"},
        name="metric",
    )
    return Simulated(
        data.squeeze("matrix", drop=True) if L == 1 else data,
        {"mean_onset": onset} | truth,
        {"onset": math.isnan(onset)} | null,
        settings={
            "reference": reference,
            "margin": margin,
            "persistence": PERSISTENCE,
            "training_steps": float(study.steps[-1]),
        },
    )


def _mean_onset(average: Array, reference: float | str, margin: float) -> float:
    """Share of training from which the average curve stays in the band; NaN where it does not for long."""
    centre = average[(1 - LAST) <= FINE].mean() if isinstance(reference, str) else reference
    outside = ~(np.abs(average - centre) <= margin)
    entry = FINE[outside.nonzero()[0].max(initial=-1) + 1] if not outside[-1] else math.nan
    return float(entry) if 1 - entry >= PERSISTENCE else math.nan


def _typical_onset(curve: Array, steps: Array) -> float:
    """Step at which 90% of the change between the first checkpoint and the end is done."""
    share = FINE * steps[-1]
    start, end = float(np.interp(steps[0], share, curve)), float(curve[-1])
    if math.isclose(start, end, abs_tol=1e-12):
        return math.nan
    done = ((start - curve) / (start - end) >= 0.9) & (share >= steps[0])
    return float(share[done.argmax()])


def _last_before(steps: Array, taus: Array) -> xr.DataArray:
    """Last checkpoint before each run's jump; NaN where the jump lies outside the checkpoints."""
    before = (steps / steps[-1] < taus).sum(axis=-1)
    inside = (before > 0) & (before < steps.size)
    return xr.DataArray(np.where(inside, steps[before - 1], np.nan), dims=("replicate", "run"))
