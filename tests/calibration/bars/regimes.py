"""`classify_regime`: how often a regime is established wrongly, and how often the set holds the right one.

Standard deviations over seeds are assumptions, since no paper prints any: 2 points for shares, .15 for the
logarithm of the spectral shift, .08 for the stable-rank trend, with correlation .5 between metrics (seeds that move
farther differ in all of them). The middle of the published values stands for each regime; the trend's is taken .35
beyond its cuts.
"""

import warnings
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from bars.bar import Bar, Share
from geostat.protocols import PROTOCOLS
from geostat.statistics.regimes.boundaries import load_boundaries
from geostat.statistics.regimes.classification import classify_regime

FILE = load_boundaries()
REGIMES = FILE.regimes
METRICS = FILE.default_set
ARCHETYPES = {
    "update_sparsity": (0.081, 0.516, 0.772),
    "normalized_spectral_shift": (1e-3, 1e-4, 1e-5),
    "low_magnitude_mask_overlap": (0.3188, 0.5359, 0.7348),
    "stable_rank_trend": (0.70, 0.06, -0.57),
}
SEED_SD = {
    "update_sparsity": 0.02,
    "normalized_spectral_shift": 0.15,
    "low_magnitude_mask_overlap": 0.02,
    "stable_rank_trend": 0.08,
}
CORRELATION = 0.5
LEVEL = 0.95
ATTRS = {"protocol": "shen2026", "protocol_hash": PROTOCOLS["shen2026"].hash, "storage": "bf16"}


def noise(rng: np.random.Generator, shape: tuple[int, ...], tails: str) -> np.ndarray:
    """Standardised effects of seeds, normal or Student with 5 degrees of freedom."""
    if tails == "t5":
        return rng.standard_t(5, shape) / np.sqrt(5 / 3)
    return rng.normal(size=shape)


def seeds(rng: np.random.Generator, shape: tuple[int, ...], tails: str) -> dict[str, np.ndarray]:
    shared = noise(rng, shape, tails)
    own = np.sqrt(1 - CORRELATION)
    return {name: np.sqrt(CORRELATION) * shared + own * noise(rng, shape, tails) for name in METRICS}


def around(name: str, mean: float, effects: np.ndarray, factor: float = 1.0) -> np.ndarray:
    """Values whose mean lies at `mean` on the metric's own scale: shares and logarithms vary additively."""
    sd = factor * SEED_SD[name]
    if name == "normalized_spectral_shift":
        return mean * np.exp(sd * effects)
    values = mean + sd * effects
    return values if name == "stable_rank_trend" else values.clip(1e-3, 1 - 1e-3)


def runs(means: dict[str, float], effects: dict[str, np.ndarray], factors: dict[str, float]) -> xr.Dataset:
    arrays = {
        name: (
            ("replicate", "run"),
            around(name, mean, effects[name], factors.get(name, 1.0)),
            {"units": "1"},
        )
        for name, mean in means.items()
    }
    return xr.Dataset(arrays, coords={"alpha": 0.3}, attrs=ATTRS)


def classified(data: xr.Dataset, **arguments: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return classify_regime(data, dim=None, level=LEVEL, leave_one_out=False, **arguments)


def archetype(regime: str) -> dict[str, float]:
    place = REGIMES.index(regime)
    return {name: ARCHETYPES[name][place] for name in METRICS}


def wrong_end(metric: str, cut: int, regime: str) -> float:
    """Value of a metric at which a regime must not be established more often than the level allows."""
    facts = FILE.metrics[metric]
    outward = 1 if REGIMES.index(regime) > cut else -1
    return float(facts.cuts[cut]) + outward * facts.direction * facts.tolerance


def boundary_cells() -> list[dict[str, Any]]:
    return [
        {"metric": metric, "cut": cut, "regime": REGIMES[cut + side]}
        for metric in METRICS
        for cut in range(len(REGIMES) - 1)
        for side in (0, 1)
    ]


def established(result: Any) -> np.ndarray:
    return np.asarray(result.established.values.ravel(), dtype=object)


def wrongly_at_archetype(n_rep: int, rng: np.random.Generator, regime: str, S: int, tails: str) -> Share:
    result = classified(runs(archetype(regime), seeds(rng, (n_rep, S), tails), {}), boundaries="published")
    found = established(result)
    return Share(int(((found != "") & (found != regime)).sum()), n_rep)


def correctly_at_archetype(n_rep: int, rng: np.random.Generator, regime: str, S: int, tails: str) -> Share:
    result = classified(runs(archetype(regime), seeds(rng, (n_rep, S), tails), {}), boundaries="published")
    return Share(int((established(result) == regime).sum()), n_rep)


def wrongly_at_boundary(
    n_rep: int, rng: np.random.Generator, metric: str, cut: int, regime: str, S: int, tails: str
) -> Share:
    """One metric exactly where the regime ends, all others far inside it: the least favourable case."""
    means = archetype(regime) | {metric: wrong_end(metric, cut, regime)}
    factors = {name: 1.0 if name == metric else 0.05 for name in METRICS}
    result = classified(runs(means, seeds(rng, (n_rep, S), tails), factors), boundaries="published")
    return Share(int((established(result) == regime).sum()), n_rep)


def set_at_corner(n_rep: int, rng: np.random.Generator, regime: str, cut: int, S: int, tails: str) -> Share:
    """All metrics at one end of the regime at once: what Bonferroni has to bear."""
    means = {name: float(FILE.metrics[name].cuts[cut]) for name in METRICS}
    result = classified(runs(means, seeds(rng, (n_rep, S), tails), {}), boundaries="published")
    return Share(sum(regime in kept.split(", ") for kept in result.not_excluded.values.ravel()), n_rep)


def conflict(
    n_rep: int, rng: np.random.Generator, dissenter: str, regime: str, other: str, S: int, tails: str
) -> Share:
    """One metric in another regime than all the others."""
    means = archetype(regime) | {dissenter: archetype(other)[dissenter]}
    result = classified(runs(means, seeds(rng, (n_rep, S), tails), {}), boundaries="published")
    return Share(int((established(result) != "").sum()), n_rep)


REFERENCES = {"full-space": "sft", "relaxed": "opd", "sparse": "rlvr"}
STEPS = np.array([20, 40, 80, 160, 320])


def middle(name: str, cut: int) -> float:
    """Half-way between two archetypes on the metric's scale."""
    a, b = ARCHETYPES[name][cut : cut + 2]
    if name == "normalized_spectral_shift":
        return float(np.sqrt(a * b))
    return (a + b) / 2


def inverse(name: str, latent: np.ndarray) -> np.ndarray:
    return np.exp(latent) if name == "normalized_spectral_shift" else latent


def curves(
    name: str, mean: float, effects: np.ndarray, log_distance: np.ndarray, factor: float
) -> np.ndarray:
    """A run's level on the scale, plus a common slope in the logarithm of displacement."""
    slope = {"normalized_spectral_shift": 0.5, "stable_rank_trend": 0.1}.get(name, 0.0)
    start = np.log(mean) if name == "normalized_spectral_shift" else mean
    return inverse(name, start + factor * SEED_SD[name] * effects[..., None] + slope * log_distance)


LATENT = ("normalized_spectral_shift", "stable_rank_trend")
"""Metrics whose scale is linear in the simulated effects, so that a boundary of the references is known exactly."""


def with_references(
    rng: np.random.Generator,
    n_rep: int,
    S: int,
    S_ref: int,
    means: dict[str, float],
    factors: dict[str, float],
    tails: str,
    ratio: float,
) -> xr.Dataset:
    """Runs of three references and of one recipe; seeds differ in how far they move, all at one slope."""
    recipes = [(name, S_ref, ratio) for name in REFERENCES.values()] + [("mine", S, 1.0)]
    targets = [archetype(regime) for regime in REFERENCES] + [means]
    parts: dict[str, list[np.ndarray]] = {name: [] for name in (*LATENT, "relative_update_norm")}
    for (_, count, spread), target in zip(recipes, targets, strict=True):
        effects = seeds(rng, (n_rep, count), tails)
        log_distance = np.log(STEPS / 160) + 0.2 * rng.normal(size=(n_rep, count, 1))
        parts["relative_update_norm"].append(1e-3 * np.exp(log_distance))
        for name in LATENT:
            factor = factors.get(name, 1.0) * spread
            parts[name].append(curves(name, target[name], effects[name], log_distance, factor))
    labels = [name for name, count, _ in recipes for _ in range(count)]
    dims = ("replicate", "run", "step")
    arrays = {name: (dims, np.concatenate(values, axis=1), {"units": "1"}) for name, values in parts.items()}
    return xr.Dataset(arrays, coords={"recipe": ("run", labels), "step": STEPS}, attrs=ATTRS)


def own_boundary(
    n_rep: int,
    rng: np.random.Generator,
    metric: str,
    cut: int,
    regime: str,
    S: int,
    S_ref: int,
    ratio: float,
    tails: str,
) -> Share:
    """One metric half-way between two references, the other far inside; references vary `ratio` times as much."""
    means = archetype(regime) | {metric: middle(metric, cut)}
    factors = {name: 1.0 if name == metric else 0.05 for name in LATENT}
    data = with_references(rng, n_rep, S, S_ref, means, factors, tails, ratio)
    result = classified(data, references=REFERENCES, metrics=LATENT)
    found = np.asarray(result.established.sel(recipe="mine").values.ravel(), dtype=object)
    return Share(int((found == regime).sum()), n_rep)


def own_archetype(n_rep: int, rng: np.random.Generator, regime: str, S: int, S_ref: int, tails: str) -> Share:
    data = with_references(rng, n_rep, S, S_ref, archetype(regime), {}, tails, 1.0)
    result = classified(data, references=REFERENCES, metrics=LATENT)
    found = np.asarray(result.established.sel(recipe="mine").values.ravel(), dtype=object)
    return Share(int((found == regime).sum()), n_rep)


def own_set(
    n_rep: int, rng: np.random.Generator, regime: str, cut: int, S: int, S_ref: int, ratio: float, tails: str
) -> Share:
    """Every metric half-way between two references: the set must hold the regimes on both sides."""
    means = {name: middle(name, cut) for name in METRICS}
    data = with_references(rng, n_rep, S, S_ref, means, {}, tails, ratio)
    result = classified(data, references=REFERENCES, metrics=LATENT)
    kept = result.not_excluded.sel(recipe="mine").values.ravel()
    return Share(sum(regime in text.split(", ") for text in kept), n_rep)


def own_one_seed(n_rep: int, rng: np.random.Generator, regime: str) -> Share:
    data = with_references(rng, n_rep, 1, 3, archetype(regime), {}, "normal", 1.0)
    result = classified(data, references=REFERENCES, metrics=LATENT)
    found = result.established.sel(recipe="mine").values.ravel()
    return Share(int((found != "").sum()), n_rep)


def published_one_seed(n_rep: int, rng: np.random.Generator, regime: str) -> Share:
    result = classified(runs(archetype(regime), seeds(rng, (n_rep, 1), "normal"), {}), boundaries="published")
    return Share(int((established(result) != "").sum()), n_rep)


def welch_satterthwaite(n_rep: int, rng: np.random.Generator, S: int, S_ref: int) -> Share:
    """The usual approximation at the boundary half-way between two references: it rejects too often."""
    own, low, high = (rng.normal(size=(n_rep, count)) for count in (S, S_ref, S_ref))
    parts = [x.var(axis=1, ddof=1) / x.shape[1] * share for x, share in ((own, 1), (low, 0.25), (high, 0.25))]
    total = np.sum(parts, axis=0)
    df = total**2 / np.sum([v**2 / (n - 1) for v, n in zip(parts, (S, S_ref, S_ref), strict=True)], axis=0)
    t = (own.mean(axis=1) - (low.mean(axis=1) + high.mean(axis=1)) / 2) / np.sqrt(total)
    return Share(int((stats.t.sf(t, df) <= 1 - LEVEL).sum()), n_rep)


SIZES = (2, 3, 5, 10)
TAILS = ("normal", "t5")
ENDS = [("full-space", 0), ("relaxed", 0), ("relaxed", 1), ("sparse", 1)]
OWN = [
    {
        "metric": metric,
        "cut": cut,
        "regime": REGIMES[cut + side],
        "S": S,
        "S_ref": S_ref,
        "ratio": ratio,
        "tails": tails,
    }
    for metric in LATENT
    for cut in (0, 1)
    for side in (0, 1)
    for S, S_ref in ((2, 2), (2, 5), (3, 3), (5, 2), (5, 5))
    for ratio in (0.3, 1.0)
    for tails in TAILS
    if metric == LATENT[0] or (S, S_ref) == (3, 3)
]
N_REP = 4000

BARS = [
    Bar(
        name="regime wrongly established at an archetype",
        section="regimes",
        measure=wrongly_at_archetype,
        cells=[{"regime": r, "S": S, "tails": t} for r in REGIMES for S in SIZES for t in TAILS],
        smoke=[{"regime": "relaxed", "S": 3, "tails": "t5"}],
        n_rep=N_REP,
        at_most=0.05,
        quantity="wrongly established",
    ),
    Bar(
        name="regime wrongly established where one metric lies on its boundary",
        section="regimes",
        measure=wrongly_at_boundary,
        cells=[{**cell, "S": S, "tails": t} for cell in boundary_cells() for S in SIZES for t in TAILS],
        smoke=[
            {"metric": "normalized_spectral_shift", "cut": 1, "regime": "sparse", "S": 2, "tails": "normal"},
            {"metric": "update_sparsity", "cut": 0, "regime": "relaxed", "S": 3, "tails": "normal"},
            {"metric": "low_magnitude_mask_overlap", "cut": 1, "regime": "relaxed", "S": 5, "tails": "t5"},
        ],
        n_rep=N_REP,
        at_most=0.05,
        quantity="wrongly established",
    ),
    Bar(
        name="set of regimes holds the true one, all metrics on its boundary",
        section="regimes",
        measure=set_at_corner,
        cells=[{"regime": r, "cut": c, "S": S, "tails": t} for r, c in ENDS for S in SIZES for t in TAILS],
        smoke=[{"regime": "relaxed", "cut": 1, "S": 3, "tails": "normal"}],
        n_rep=N_REP,
        at_least=0.95,
    ),
    Bar(
        name="conflicting metrics never establish a regime",
        section="regimes",
        measure=conflict,
        cells=[
            {"dissenter": name, "regime": r, "other": other, "S": S, "tails": t}
            for name in METRICS
            for r, other in (("sparse", "full-space"), ("full-space", "sparse"))
            for S in SIZES
            for t in TAILS
        ],
        smoke=[
            {
                "dissenter": "normalized_spectral_shift",
                "regime": "sparse",
                "other": "full-space",
                "S": 5,
                "tails": "t5",
            }
        ],
        n_rep=N_REP,
        at_most=0.0,
        quantity="established",
    ),
    Bar(
        name="one seed never establishes a regime against published boundaries",
        section="regimes",
        measure=published_one_seed,
        cells=[{"regime": r} for r in REGIMES],
        smoke=[{"regime": "full-space"}],
        n_rep=N_REP,
        at_most=0.0,
        quantity="established",
    ),
    Bar(
        name="one seed never establishes a regime against own references",
        section="regimes",
        measure=own_one_seed,
        cells=[{"regime": r} for r in REGIMES],
        smoke=[{"regime": "sparse"}],
        n_rep=N_REP,
        at_most=0.0,
        quantity="established",
    ),
    Bar(
        name="regime wrongly established half-way between own references",
        section="regimes",
        measure=own_boundary,
        cells=OWN,
        smoke=[
            {
                "metric": "normalized_spectral_shift",
                "cut": 0,
                "regime": "relaxed",
                "S": 2,
                "S_ref": 5,
                "ratio": 1.0,
                "tails": "normal",
            },
            {
                "metric": "stable_rank_trend",
                "cut": 1,
                "regime": "sparse",
                "S": 3,
                "S_ref": 3,
                "ratio": 0.3,
                "tails": "t5",
            },
        ],
        n_rep=N_REP,
        at_most=0.05,
        quantity="wrongly established",
    ),
    Bar(
        name="set of regimes holds both neighbours half-way between own references",
        section="regimes",
        measure=own_set,
        cells=[
            {"regime": r, "cut": c, "S": S, "S_ref": n, "ratio": q, "tails": t}
            for r, c in ENDS
            for S, n in ((2, 2), (2, 5), (3, 3), (5, 2), (5, 5))
            for q in (0.3, 1.0)
            for t in TAILS
        ],
        smoke=[{"regime": "relaxed", "cut": 0, "S": 2, "S_ref": 5, "ratio": 0.3, "tails": "normal"}],
        n_rep=N_REP,
        at_least=0.95,
    ),
    Bar(
        name="regime found at an archetype, published boundaries (power)",
        section="regimes",
        measure=correctly_at_archetype,
        cells=[{"regime": r, "S": S, "tails": "normal"} for r in REGIMES for S in SIZES],
        smoke=[{"regime": "relaxed", "S": 3, "tails": "normal"}],
        n_rep=N_REP,
        quantity="correctly established",
    ),
    Bar(
        name="regime found at an archetype, own references (power)",
        section="regimes",
        measure=own_archetype,
        cells=[
            {"regime": r, "S": S, "S_ref": n, "tails": "normal"}
            for r in REGIMES
            for S in (2, 3, 5)
            for n in (2, 3, 5)
        ],
        smoke=[{"regime": "relaxed", "S": 3, "S_ref": 3, "tails": "normal"}],
        n_rep=N_REP,
        quantity="correctly established",
    ),
    Bar(
        name="Welch-Satterthwaite between own references rejects too often",
        section="regimes",
        measure=welch_satterthwaite,
        cells=[{"S": 2, "S_ref": 5}, {"S": 2, "S_ref": 10}],
        smoke=[{"S": 2, "S_ref": 10}],
        n_rep=N_REP,
        at_least=0.06,
        control=True,
        quantity="rejected at .05",
    ),
]
