"""Verdicts of `locking_onset` given the diffusion null of the run, on simulated matrices read back from bf16 files."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr

from bars.bar import Bar, Number, Share
from bars.lock_verdict import LOCK_AT, NULLS, is_locked
from bars.walks import SCENARIOS, labelled
from geostat.errors import UndefinedWarning
from geostat.nulls.null_result import NullResult
from geostat.nulls.walks.ceiling import capture_above_diffusion, capture_ceiling
from geostat.nulls.walks.envelope import random_walk_envelope
from geostat.nulls.walks.leading import quick_statistics
from geostat.statistics.locking.locking_onset import locking_onset
from geostat.testing.synthetic import simulated_updates

K = 8
WALKS = 79
SCALED = "both, from diffusion to ceiling"
SIDES = ("both", "right", SCALED)


@dataclass(frozen=True, eq=False)
class Runs:
    """Replicates of one run: what is measured of them, and what a null of the first may know."""

    measured: xr.Dataset
    initial: torch.Tensor
    norms: xr.DataArray


def simulated_runs(
    scenario: str,
    *,
    n_rep: int,
    rng: np.random.Generator,
    size: float,
    rate: str,
    checkpoints: int = 16,
    rows: int = 64,
    cols: int = 96,
) -> Runs:
    """Captures and unchanged fractions of replicates that start from weights of one law, stored in bf16."""
    later = (*range(1, checkpoints), -1)
    found, unchanged, starts, norms = [], [], [], []
    for _ in range(n_rep):
        true = simulated_updates(
            **SCENARIOS[scenario], rows=rows, cols=cols, checkpoints=checkpoints, rate=rate, rng=rng
        )
        initial = torch.from_numpy(rng.standard_normal((rows, cols)) / np.sqrt(cols)).to(torch.bfloat16)
        scale = size * float(initial.double().norm()) / float(np.linalg.norm(true[-1]))
        reached = (initial.double() + scale * torch.from_numpy(true)).to(torch.bfloat16).double()
        updates = reached - initial.double()
        found.append(quick_statistics(updates, later, K, ["forward_capture"])["forward_capture"])
        unchanged.append((updates == 0).double().mean(dim=(1, 2)).numpy())
        starts.append(initial)
        norms.append(np.linalg.norm(np.diff(updates.numpy(), axis=0, prepend=0.0), axis=(1, 2)))
    steps = 100 * np.arange(1, checkpoints + 1)
    shape = (n_rep, 1)
    measured = labelled(
        np.stack(found).reshape(*shape, 2, checkpoints, 1),
        np.stack(unchanged).reshape(*shape, checkpoints, 1),
    )
    attrs = {"storage": "bf16", "protocol_settings": f'{{"K": {K}}}'}
    told = measured.assign_coords(n_params=("matrix", [rows * cols])).assign_attrs(attrs)
    return Runs(told, starts[0], xr.DataArray(norms[0], {"step": steps}, ("step",)))


def null_of(runs: Runs, scenario: str, rng: np.random.Generator) -> NullResult:
    """Forward capture under walks matched to the first replicate, through rounding, inputs known."""
    decay = SCENARIOS[scenario].get("input_decay", 0.0)
    inputs = np.diag(np.arange(1, runs.initial.shape[1] + 1) ** -decay)
    return random_walk_envelope(
        runs.norms,
        statistic="forward_capture",
        K=K,
        covariance=inputs,
        initial=runs.initial,
        n=WALKS,
        rng=rng,
    )


def right_end(null: NullResult) -> xr.DataArray:
    """Upper end of the right capture; where most walks stand still no capture is above theirs."""
    return null.high.sel(side="right", drop=True).fillna(1.0)


def judged(data: xr.Dataset, diffusion: Any = None) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedWarning)
        return locking_onset(data, diffusion_capture=diffusion, beside=()).cells["forward_capture"]


def verdicts(runs: Runs, scenario: str, sides: str, rng: np.random.Generator) -> xr.Dataset:
    """By both sides or the right one given the null, or by both sides on the scale from null to ceiling."""
    null, data = null_of(runs, scenario, rng), runs.measured
    if sides != SCALED:
        return judged(data if sides == "both" else data.sel(side="right"), right_end(null))
    ceiling = capture_ceiling(runs.norms, initial=runs.initial, K=K, rng=rng)
    return judged(
        data.assign(forward_capture=capture_above_diffusion(data["forward_capture"], null, ceiling))
    )


def false_locks(*, n_rep: int, rng: np.random.Generator, scenario: str, sides: str, **cell: Any) -> Share:
    """Runs called locked though nothing locks."""
    runs = simulated_runs(scenario, n_rep=n_rep, rng=rng, **cell)
    return Share(int(is_locked(verdicts(runs, scenario, sides, rng)).sum()), n_rep)


def without_null(*, n_rep: int, rng: np.random.Generator, scenario: str, **cell: Any) -> Share:
    """The right side alone against one half, as if diffusion gave no capture."""
    runs = simulated_runs(scenario, n_rep=n_rep, rng=rng, **cell)
    return Share(int(is_locked(judged(runs.measured.sel(side="right"), 0.5)).sum()), n_rep)


def detected(*, n_rep: int, rng: np.random.Generator, sides: str, **cell: Any) -> Share:
    """Verdicts "locked" whose bracket contains 40% of training or follows it within one horizon."""
    runs = simulated_runs("lock at 40%", n_rep=n_rep, rng=rng, **cell)
    found = verdicts(runs, "lock at 40%", sides, rng)
    end, count = float(runs.measured["step"][-1]), runs.measured.sizes["step"]
    low, high = found["last_out"].values / end, found["first_in"].values / end
    right = is_locked(found) & (high >= LOCK_AT) & (low <= LOCK_AT + 1 / count + 1e-9)
    return Share(int(right.sum()), n_rep)


def null_capture(*, n_rep: int, rng: np.random.Generator, scenario: str, **cell: Any) -> Number:
    """Largest upper quantile of the right capture that walks through rounding give."""
    runs = simulated_runs(scenario, n_rep=1, rng=rng, **cell)
    return Number(float(null_of(runs, scenario, rng).high.sel(side="right").max()))


def _cells(sizes: tuple[float, ...], **more: Any) -> list[Mapping[str, Any]]:
    return [{"rate": rate, "size": size, **more} for rate in ("constant", "cosine") for size in sizes]


_NULLS = [
    {"scenario": scenario, "sides": sides, **cell}
    for scenario in NULLS
    for sides in SIDES[1:]  # both sides agree less often than the right one alone
    for cell in _cells((3e-2, 1e-2, 1e-3, 1e-4))
]
_SECTION = "locking of simulated matrices"

BARS = [
    Bar(
        "verdict given the diffusion null through rounding: false locks",
        _SECTION,
        false_locks,
        _NULLS,
        [
            {
                "scenario": "walk, inputs k^-1",
                "sides": "right",
                "rate": "cosine",
                "size": 1e-3,
                "checkpoints": 8,
            }
        ],
        100,
        at_most=0.05,
        quantity="share of replicates called locked",
    ),
    Bar(
        "verdict given the diffusion null through rounding: a lock at 40% of training is found there",
        _SECTION,
        detected,
        [
            *({"sides": sides, "rate": "constant", "size": size} for sides in SIDES for size in (0.03, 0.01)),
            {"sides": SCALED, "rate": "constant", "size": 0.003},
            *({"sides": SCALED, "rate": "cosine", "size": size} for size in (0.03, 0.01)),
        ],
        [{"sides": SCALED, "rate": "cosine", "size": 0.01}],
        100,
        at_least=0.95,
        quantity="power",
    ),
    Bar(
        "verdict given the diffusion null through rounding: locks that rounding hides, by what is asked",
        _SECTION,
        detected,
        [
            *({"sides": sides, "rate": "constant", "size": 0.003} for sides in SIDES[:2]),
            *(
                {"sides": sides, "rate": "cosine", "size": size}
                for sides in SIDES[:2]
                for size in (0.03, 0.01)
            ),
            {"sides": SCALED, "rate": "cosine", "size": 0.003},
        ],
        [],
        100,
        quantity="power",
    ),
    Bar(
        "verdict through rounding, without the diffusion null: the right side alone takes diffusion for a lock",
        _SECTION,
        without_null,
        [
            {"scenario": "walk, inputs k^-1", "rate": rate, "size": size}
            for rate in ("constant",)
            for size in (1e-2, 3e-3)
        ],
        [{"scenario": "walk, inputs k^-1", "rate": "constant", "size": 1e-2, "checkpoints": 8}],
        100,
        at_least=0.5,
        control=True,
        quantity="share of replicates called locked",
    ),
    Bar(
        "diffusion null of one run through rounding: upper quantile of the right capture",
        _SECTION,
        null_capture,
        [{"scenario": scenario, **cell} for scenario in NULLS[:3] for cell in _cells((1e-2, 1e-4))],
        [],
        20,
        quantity="capture",
    ),
]
