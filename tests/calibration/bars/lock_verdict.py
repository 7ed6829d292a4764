"""Verdicts of `locking_onset` on simulated matrices: no lock where there is none, the right one where there is."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from bars.bar import Bar, Number, Share
from bars.walks import haar_overlaps, simulated_measurement
from geostat.errors import UndefinedWarning
from geostat.statistics.locking.locking_onset import locking_onset

LOCK_AT = 0.4
NULLS = ("isotropic walk", "walk, inputs k^-.5", "walk, inputs k^-1", "rotating channel")


def verdicts(data: xr.Dataset | xr.DataArray) -> xr.Dataset:
    """Verdict and bracket of every replicate, without the procedures beside them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedWarning)
        return locking_onset(data, beside=()).cells["forward_capture"]


def is_locked(found: xr.Dataset) -> np.ndarray:
    return np.isin(found["verdict"].values, ("locked", "left-censored"))


def false_locks(*, n_rep: int, rng: np.random.Generator, scenario: str, runs: int = 1, **cell: Any) -> Share:
    data = simulated_measurement(scenario, n_rep=n_rep, runs=runs, rng=rng, **cell)
    return Share(int(is_locked(verdicts(data)).sum()), n_rep)


def unguarded_locks(*, n_rep: int, rng: np.random.Generator, scenario: str, **cell: Any) -> Share:
    """The capture by itself, of which the measurement's unchanged fraction is not told."""
    data = simulated_measurement(scenario, n_rep=n_rep, runs=1, rng=rng, **cell)
    return Share(int(is_locked(verdicts(data["forward_capture"])).sum()), n_rep)


def right_side_locks(*, n_rep: int, rng: np.random.Generator, scenario: str, **cell: Any) -> Share:
    """The right side alone, taken for a lock: what anisotropic inputs do to it."""
    data = simulated_measurement(scenario, n_rep=n_rep, runs=1, rng=rng, **cell)
    right = data["forward_capture"].sel(side="right")
    found = locking_onset(right, diffusion_capture=0.5, beside=()).cells["forward_capture"]
    return Share(int(is_locked(found).sum()), n_rep)


def detected(
    *,
    n_rep: int,
    rng: np.random.Generator,
    checkpoints: int = 16,
    runs: int = 1,
    until: float = 1.0,
    **cell: Any,
) -> Share:
    """Verdicts "locked" whose bracket contains 40% of training or follows it within one horizon."""
    data = simulated_measurement(
        "lock at 40%", n_rep=n_rep, runs=runs, rng=rng, checkpoints=checkpoints, **cell
    )
    end = float(data["step"][-1])
    found = verdicts(data.sel(step=slice(None, until * end)))
    low, high = found["last_out"].values / end, found["first_in"].values / end
    right = is_locked(found) & (high >= LOCK_AT) & (low <= LOCK_AT + 1 / checkpoints + 1e-9)
    return Share(int(right.sum()), n_rep)


def denied(*, n_rep: int, rng: np.random.Generator, **cell: Any) -> Share:
    """Verdicts "no-lock" where there is a lock."""
    found = verdicts(simulated_measurement("lock at 40%", n_rep=n_rep, runs=1, rng=rng, **cell))
    return Share(int((found["verdict"].values == "no-lock").sum()), n_rep)


def haar_mean(*, n_rep: int, rng: np.random.Generator, n: int, K: int) -> Number:
    """Mean of the overlap less K/n, in standard errors."""
    found = haar_overlaps(n_rep, n, K, rng)
    return Number(float((found.mean() - K / n) / (found.std(ddof=1) / np.sqrt(n_rep))))


def haar_variance(*, n_rep: int, rng: np.random.Generator, n: int, K: int) -> Number:
    """Variance of the overlap less 2 (n-K)^2 / (n^2 (n-1) (n+2)), in standard errors."""
    squares = (haar_overlaps(n_rep, n, K, rng) - K / n) ** 2
    expected = 2 * (n - K) ** 2 / (n**2 * (n - 1) * (n + 2))
    return Number(float((squares.mean() - expected) / (squares.std(ddof=1) / np.sqrt(n_rep))))


_HAAR: list[tuple[str, Callable[..., Number]]] = [("mean", haar_mean), ("variance", haar_variance)]


def _nulls() -> list[dict[str, Any]]:
    exact = [
        {"scenario": scenario, "rate": rate, "K": K}
        for scenario in NULLS
        for rate in ("constant", "cosine")
        for K in (8, 16)
    ]
    rounded = [
        {"scenario": scenario, "rate": rate, "storage": "bf16", "size": size}
        for scenario in NULLS
        for rate in ("constant", "cosine")
        for size in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    ]
    several = [{"scenario": scenario, "runs": 3} for scenario in NULLS]
    return [*exact, *rounded, *several, {"scenario": "isotropic walk", "checkpoints": 24}]


_LOCKS: list[dict[str, Any]] = [
    *({"rate": rate, "checkpoints": T} for rate in ("constant", "cosine") for T in (12, 16, 20)),
    *(
        {"rate": rate, "storage": "bf16", "size": size}
        for rate in ("constant", "cosine")
        for size in (0.03, 0.01)
    ),
    {"storage": "bf16", "size": 0.003, "rows": 64, "cols": 96},
    {"runs": 3},
]
# Under a rate that decays to 0 the last increments of bf16 files are rounding.
_FADING: list[dict[str, Any]] = [
    {"rate": "cosine", "storage": "bf16", "size": size, "until": until}
    for size in (0.03, 0.01)
    for until in (0.9, 0.8, 0.75)
]

BARS = [
    Bar(
        "verdict: false locks",
        "locking of simulated matrices",
        false_locks,
        _nulls(),
        [
            {
                "scenario": "walk, inputs k^-1",
                "rate": "cosine",
                "storage": "bf16",
                "size": 1e-3,
                "checkpoints": 8,
            },
            {"scenario": "rotating channel", "rate": "constant", "checkpoints": 8},
        ],
        200,
        at_most=0.05,
        quantity="share of replicates called locked",
    ),
    Bar(
        "verdict: a lock at 40% of training is found there",
        "locking of simulated matrices",
        detected,
        _LOCKS,
        [{"rate": "constant", "checkpoints": 10, "storage": "bf16", "size": 0.01}],
        200,
        at_least=0.95,
        quantity="power",
    ),
    Bar(
        "verdict: a lock in bf16 files under a cosine rate, by the share of training that is looked at",
        "locking of simulated matrices",
        detected,
        _FADING,
        [],
        200,
        quantity="power",
    ),
    Bar(
        "verdict: a lock in bf16 files under a cosine rate, denied",
        "locking of simulated matrices",
        denied,
        [{"rate": "cosine", "storage": "bf16", "size": size} for size in (0.03, 0.01)],
        [],
        200,
        quantity="share of locks called no-lock",
    ),
    Bar(
        "verdict: a lock through coarse rounding, by size of the matrix",
        "locking of simulated matrices",
        detected,
        [
            {"storage": "bf16", "size": 0.003, "rows": 128, "cols": 192},
            {"storage": "bf16", "size": 0.003, "checkpoints": 8, "rows": 128, "cols": 192},
        ],
        [],
        100,
        quantity="power",
    ),
    Bar(
        "verdict: the right side alone takes anisotropic diffusion for a lock",
        "locking of simulated matrices",
        right_side_locks,
        [{"scenario": "walk, inputs k^-1", "rate": rate} for rate in ("constant", "cosine")],
        [{"scenario": "walk, inputs k^-1", "rate": "constant", "checkpoints": 8}],
        200,
        at_least=0.5,
        control=True,
        quantity="share of replicates called locked",
    ),
    Bar(
        "verdict: captures of a handful of changed entries, not left out",
        "locking of simulated matrices",
        unguarded_locks,
        [
            {"scenario": scenario, "storage": "bf16", "size": 1e-6}
            for scenario in ("isotropic walk", "rotating channel")
        ],
        [],
        200,
        at_least=0.05,
        control=True,
        quantity="share of replicates called locked",
    ),
    *(
        Bar(
            f"overlap of random channels: {name} (standard errors from theory)",
            "locking of simulated matrices",
            measure,
            [{"n": n, "K": K} for n, K in ((64, 16), (96, 8), (32, 4))],
            [{"n": 32, "K": 4}],
            2000,
            at_least=-3.0,
            at_most=3.0,
            quantity="z",
        )
        for name, measure in _HAAR
    ),
]
