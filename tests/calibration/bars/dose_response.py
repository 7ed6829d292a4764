"""Errors of a dose-response: false equivalence, the interval of the threshold, size of the trend."""

import numpy as np
import xarray as xr

from bars.bar import Bar, Share
from geostat.statistics.doses.dose_response import DoseResponseResult, dose_response

DOSES = (1.0, 0.75, 0.5, 0.25, 0.05, 0.01, 0.0)
"""Shares of the reference objective; 1 is the unmixed run."""
CURVES = {
    "none": (0, 0, 0, 0, 0, 0, 0),
    "at the margin": (0, 1, 1, 1, 1, 1, 1),
    "late at the margin": (0, 0, 0, 0, 1, 1, 1),
    "on both sides of the margin": (0, 0.999, 0.999, 1, 1, 1, 1),
    "step": (0, 0, 0, 0, 3, 3, 3),
    "linear": (0, 0.5, 1, 1.5, 1.9, 1.98, 2),
    "bend": (0, 0.1, 0.2, 0.6, 1.4, 3, 4),
}
"""True differences to the unmixed run, in margins."""


def responses(
    curve: str,
    S: int,
    sd: float,
    variance: str,
    scatter: str,
    n_rep: int,
    rng: np.random.Generator,
    n_resamples: int = 99,
) -> DoseResponseResult:
    """Replicates; the seeds' standard deviation is in margins, and grows with the dose where it is unequal."""
    doses = np.repeat(DOSES, S)
    spread = np.repeat(np.linspace(1, 3, len(DOSES)), S) if scatter == "unequal" else 1.0
    values = np.repeat(CURVES[curve], S) + sd * spread * rng.normal(size=(n_rep, doses.size))
    data = xr.DataArray(
        values,
        dims=("replicate", "run"),
        coords={"alpha": ("run", doses)},
        attrs={"units": "1"},
        name="metric",
    )
    return dose_response(
        data,
        "alpha",
        reference=1.0,
        margin=1.0,
        variance=variance,
        n_resamples=n_resamples,
        rng=rng,
        dim=None,
    )


def threshold_of(curve: str) -> float:
    """Dose nearest to the unmixed run at which the margin is reached; below all doses where none does."""
    failing = [dose for dose, shift in zip(DOSES, CURVES[curve], strict=True) if shift >= 1]
    return max(failing, default=-np.inf)


def false_equivalence(*, n_rep: int, rng: np.random.Generator, **cell) -> Share:
    result = responses(n_rep=n_rep, rng=rng, **cell)
    wrong = result.verdict.sel(alpha=[d for d in DOSES if d <= threshold_of(cell["curve"])]) == "equivalent"
    return Share(int(wrong.any("alpha").sum()), n_rep)


def threshold_coverage(*, n_rep: int, rng: np.random.Generator, **cell) -> Share:
    result = responses(n_rep=n_rep, rng=rng, **cell)
    true = threshold_of(cell["curve"])
    return Share(int(((result.threshold_low <= true) & (true < result.threshold_high)).sum()), n_rep)


def trend_size(*, S: int, n_rep: int, rng: np.random.Generator) -> Share:
    """In batches: replicates of one call share their permutations, whose chance would not average out."""
    found = [
        responses("none", S, 1.0, "pooled", "equal", n_rep // 20, rng, 1999).p_trend <= 0.05
        for _ in range(20)
    ]
    return Share(int(sum(batch.sum() for batch in found)), n_rep // 20 * 20)


def bracket_found(*, n_rep: int, rng: np.random.Generator, **cell) -> Share:
    """The threshold is bounded on both sides."""
    result = responses(n_rep=n_rep, rng=rng, **cell)
    return Share(int((np.isfinite(result.threshold_low) & (result.threshold_high < 1)).sum()), n_rep)


def grid(curves, seeds=(2, 3, 5), sds=(0.1, 0.25, 0.5), scatter="equal", variances=("separate", "pooled")):
    return [
        {"curve": curve, "S": S, "sd": sd, "variance": variance, "scatter": scatter}
        for curve in curves
        for S in seeds
        for sd in sds
        for variance in variances
    ]


SECTION = "comparisons and plans"
BARS = [
    Bar(
        "dose-response: false equivalence at the margin",
        SECTION,
        false_equivalence,
        grid(("at the margin", "late at the margin", "on both sides of the margin", "linear")),
        [
            *grid(("at the margin",), (2,), (0.25,)),
            *grid(("late at the margin",), (3,), (0.1,), variances=("pooled",)),
        ],
        4000,
        at_most=0.05,
        quantity="size",
    ),
    Bar(
        "dose-response: false equivalence with scatter that grows with the dose, Welch",
        SECTION,
        false_equivalence,
        grid(("at the margin", "late at the margin"), scatter="unequal", variances=("separate",)),
        [],
        4000,
        at_most=0.05,
        quantity="size",
    ),
    Bar(
        "dose-response: interval of the threshold",
        SECTION,
        threshold_coverage,
        grid(tuple(CURVES)),
        [
            *grid(("on both sides of the margin",), (3,), (0.1,), variances=("pooled",)),
            *grid(("bend",), (2,), (0.25,)),
        ],
        2000,
        at_least=0.95,
    ),
    Bar(
        "dose-response: size of the test of trend",
        SECTION,
        trend_size,
        [{"S": S} for S in (2, 3, 5)],
        [{"S": 2}],
        4000,
        at_most=0.05,
        quantity="size",
    ),
    Bar(
        "dose-response: threshold bounded on both sides, reported",
        SECTION,
        bracket_found,
        grid(("step", "bend"), variances=("separate", "pooled")),
        [],
        2000,
        quantity="power",
    ),
]
