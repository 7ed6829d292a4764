"""Drift or diffusion: how a run's distance from its start grows."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import SampleError
from geostat.nulls.walks.diffusion_matching import channel_size
from geostat.nulls.walks.drift_result import DriftDiffusionResult
from geostat.nulls.walks.path import linearity, path_geometry, straightness
from geostat.results import Variable
from geostat.statistics import mean_ci
from geostat.statistics.runs.aggregation import aggregate
from geostat.statistics.runs.arguments import Weighting, as_number, check_level, gather
from geostat.statistics.runs.groups import group_by_recipe

__all__ = ["DriftDiffusionResult", "drift_diffusion"]

Floats = npt.NDArray[np.float64]
Rate = Literal["constant", "cosine"] | Callable[[Floats], npt.ArrayLike]
"""Learning rate over training, of which scale plays no role; a function of the share of training done."""

_MOMENTS = 20001
"""Moments at which a learning rate is integrated."""

ASSUMPTIONS = (
    "the learning rate is the declared one, and training ends at the last checkpoint: a decaying rate bends both "
    "exponents down, a warm-up bends them up",
    "runs are independent draws of one recipe (only the seed differs)",
    "on 16-bit files norms grow faster while most entries are still in the dead zone of rounding",
    "the exponent is read from norms alone: a walk whose steps grow, or a drift whose steps shrink, is taken for what "
    "its norm looks like, so read the similarity of increments beside it",
)

_TOLD = {
    "growth_exponent": Variable(
        "growth_exponent",
        "Growth exponent of the update's norm",
        "1",
        r"\gamma",
        "geostat, drift or diffusion",
    ),
    "increment_similarity_left": Variable("increment_similarity_left", "Similarity of increments, left", "1"),
    "increment_similarity_right": Variable(
        "increment_similarity_right", "Similarity of increments, right", "1"
    ),
    "straightness": Variable("straightness", "Distance over length of path", "1"),
    "linearity": Variable("linearity", "Share of variance on a straight line in time", "1"),
}


def drift_diffusion(
    data: Any,
    checkpoints: Any = None,
    *,
    margin: float = 0.1,
    rate: Rate = "constant",
    level: float = 0.95,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    weighting: Weighting | None = None,
    K: int = 16,
    matrices: Any = None,
) -> DriftDiffusionResult:
    r"""Drift or diffusion, by the growth exponent of the update's norm.

    .. math:: \|\Delta W_t\|_F \propto t^{\gamma}, \qquad \gamma = \tfrac12 \text{ diffusion}, \quad
        \gamma = 1 \text{ drift}

    Each run's norms are averaged over its matrices as in `mean_ci`; the exponent of a run is the least-squares slope
    of log norm on log step, and its interval the t-interval over runs. The verdict is one of equivalence: ``diffusion``
    where the whole interval lies in 1/2 +- margin, ``drift`` where it lies in 1 +- margin, otherwise, and for a single
    run always, ``undetermined``. That is at a constant learning rate: others are declared by ``rate``, because a drift
    under a cosine rate has the exponent .6 over five checkpoints.

    Beside it, where the data hold them: the similarity of disjoint increments on both sides (random channels have K/m
    and K/n), straightness, linearity, and what a walk with the run's norms, and a straight line, would give.

    Parameters
    ----------
    data : xarray.Dataset, or weights
        A measurement with ``update_norm``, into which `geostat.nulls.path_geometry` may have been merged; or the base
        of one run, with ``checkpoints``.
    checkpoints : path, glob, list or mapping, optional
        As in `geostat.measure`.
    margin : float
        Half-width of the bands: less than half their distance, 1/4 at a constant rate.
    rate : {"constant", "cosine"} or callable
        Learning rate over training, as a function of the share of training done at the last checkpoint. Under a rate
        eta the norm of a drift grows as the integral of eta, that of a walk as the root of the integral of its square:
        the bands then lie around the slopes that these have at the run's checkpoints (cosine, 16 checkpoints: .75 and
        .31), not around 1 and 1/2.
    level : float
        Confidence level in (0, 1).
    dim, sample_dim, weighting
        As in `mean_ci`.
    K : int
        Size of channels, where weights are given.
    matrices : str, sequence of str or callable, optional
        Which weights, where weights are given.

    Returns
    -------
    DriftDiffusionResult
        One row per recipe and figure.

    Raises
    ------
    SampleError
        If there is no ``update_norm``, fewer than three steps have one above 0, or an argument does not fit.

    References
    ----------
    Defined by geostat.

    Examples
    --------
    >>> step = np.array([10, 20, 40, 80])
    >>> noise = 1 + 0.01 * np.random.default_rng(0).standard_normal((3, 4))
    >>> norms = xr.Dataset(
    ...     {"update_norm": (("run", "step"), np.sqrt(step) * noise, {"units": "weight"})}, {"step": step}
    ... )
    >>> str(drift_diffusion(norms, dim=None).verdict.item())
    'diffusion'
    """
    check_level(level)
    measured = data if checkpoints is None else path_geometry(data, checkpoints, matrices=matrices, K=K)
    if not isinstance(measured, xr.Dataset) or "update_norm" not in measured:
        raise SampleError(
            "drift_diffusion reads `update_norm` of a measurement, which the data do not hold. Pass a Dataset that "
            "does, or the base and the checkpoints of a run."
        )
    norms = _per_run(measured["update_norm"], dim, sample_dim, weighting)
    references = _references(measured, rate)
    margin = _margin(margin, references["growth_exponent"])
    curves = {"growth_exponent": _exponents(norms), **_beside(measured, dim, sample_dim, weighting)}
    found = {name: _cells(curve, name, references, sample_dim, level) for name, curve in curves.items()}
    found["growth_exponent"] = _judged(found["growth_exponent"], references["growth_exponent"], margin)
    n_runs = norms.sizes[sample_dim]
    return DriftDiffusionResult(
        cells=found,
        variables={name: _TOLD[name] for name in found},
        single=False,
        title="Drift or diffusion",
        estimand=(
            "Mean over runs of the least-squares slope of log norm of the update on log step, the norm of a run "
            "being its mean over matrices; beside it means over runs of figures of its path."
        ),
        method=f"t-interval over {sample_dim}s",
        scope="population of runs" if n_runs > 1 else "within-run",
        level=level,
        n_runs=n_runs,
        n_matrices=measured.sizes.get(dim, 0) if dim else 0,
        n_steps=norms.sizes["step"],
        assumptions=ASSUMPTIONS,
        settings={
            "margin": margin,
            "rate": rate if isinstance(rate, str) else repr(rate),
            "dim": dim,
            "sample_dim": sample_dim,
            "weighting": weighting,
        },
        protocol=str(measured.attrs.get("protocol", "")),
        protocol_hash=str(measured.attrs.get("protocol_hash", "")),
        margin=margin,
    )


def _margin(margin: object, centres: tuple[float, float]) -> float:
    value, most = as_number("margin", margin), abs(centres[1] - centres[0]) / 2
    if not 0 < value < most:
        raise SampleError(
            f"margin={value:g} makes no two bands: those around {centres[0]:.3g} and {centres[1]:.3g} are apart for "
            f"margins between 0 and {most:.3g}."
        )
    return value


def _per_run(
    array: xr.DataArray, dim: str | None, sample_dim: str, weighting: Weighting | None
) -> xr.DataArray:
    """One value per run and cell; a dimension over matrices that the array lacks is no dimension of it."""
    own = dim if dim in array.dims else None
    (sample,) = gather(array, dim=own, sample_dim=sample_dim, weighting=weighting).samples
    recipes = [aggregate(sample, group.positions).values for group in group_by_recipe(sample)]
    return recipes[0] if len(recipes) == 1 else xr.concat(recipes, dim=sample_dim, join="exact")


def _exponents(norms: xr.DataArray) -> xr.DataArray:
    if "step" not in norms.dims or len(norms.dims) != 2:
        raise SampleError(
            f"update_norm has dims {list(norms.dims)} after averaging. The exponent needs one norm per run and step."
        )
    (run_dim,) = (str(dim) for dim in norms.dims if dim != "step")
    ordered = norms.transpose(run_dim, "step")
    steps = np.asarray(norms["step"].values, dtype=np.float64)
    slopes = [_slope(steps, row) for row in ordered.values]
    coords = {name: c for name, c in norms.coords.items() if c.dims == (run_dim,)}
    return xr.DataArray(slopes, dims=run_dim, coords=coords)


def _slope(steps: Floats, norms: Floats) -> float:
    """Least-squares slope of log norm on log step, over checkpoints that have moved."""
    known = np.isfinite(norms) & (norms > 0) & (steps > 0)
    if known.sum() < 3:
        raise SampleError(
            f"a run has {int(known.sum())} checkpoints whose update is not zero. An exponent takes three or more: "
            "save more checkpoints, or leave the run out."
        )
    return float(np.polyfit(np.log(steps[known]), np.log(norms[known]), 1)[0])


def _beside(
    data: xr.Dataset, dim: str | None, sample_dim: str, weighting: Weighting | None
) -> dict[str, xr.DataArray]:
    found = {}
    similarity = data.get("increment_similarity", data.get("past_next_similarity"))
    if similarity is not None and "side" in similarity.dims:
        for side in ("left", "right"):
            if side in similarity["side"].values:
                over_steps = similarity.sel(side=side, drop=True).mean("step", keep_attrs=True)
                found[f"increment_similarity_{side}"] = _per_run(over_steps, dim, sample_dim, weighting)
    for name in ("straightness", "linearity"):
        if name in data:
            found[name] = _per_run(data[name], dim, sample_dim, weighting)
    return found


def _references(data: xr.Dataset, rate: Rate) -> dict[str, tuple[float, float]]:
    """What a walk, and a straight line, would give under the learning rate: by figure, in this order."""
    steps = np.asarray(data["step"].values, dtype=np.float64)
    moved, walked = (_integrated(rate, steps / steps[-1], power) for power in (1, 2))
    line, walk = np.multiply.outer(moved, moved), np.minimum.outer(walked, walked)  # products of updates
    exponents = tuple(_slope(steps, np.sqrt(np.diag(products))) for products in (walk, line))
    known = {
        "growth_exponent": (exponents[0], exponents[1]),
        "straightness": (straightness(walk), 1.0),
        "linearity": (linearity(walk, steps), linearity(line, steps)),
    }
    K = data.attrs.get("path_K") if "increment_similarity" in data else channel_size(data, None)
    for side, size in (("left", "rows"), ("right", "cols")):
        if K is not None and size in data.coords:
            sizes = np.asarray(data[size].values, dtype=np.float64)
            known[f"increment_similarity_{side}"] = (float(np.minimum(1.0, K / sizes).mean()), 1.0)
    return known


def _integrated(rate: Rate, until: Floats, power: int) -> Floats:
    """Integral of a power of the learning rate, from the start to shares of training."""
    moments = np.linspace(0.0, 1.0, _MOMENTS)
    if callable(rate):
        rates = np.broadcast_to(np.asarray(rate(moments), dtype=np.float64), moments.shape)
    elif rate in ("constant", "cosine"):
        rates = np.ones(_MOMENTS) if rate == "constant" else (1 + np.cos(np.pi * moments)) / 2
    else:
        raise SampleError(
            f"rate={rate!r} is not known. Pass 'constant', 'cosine', or a function of progress."
        )
    if not np.isfinite(rates).all() or (rates < 0).any() or not rates.any():
        raise SampleError("rate gives numbers below 0, or none above it. Pass a learning rate over [0, 1].")
    powers = rates**power
    total = np.concatenate([[0.0], np.cumsum((powers[1:] + powers[:-1]) / 2)]) / (_MOMENTS - 1)
    return np.interp(until, moments, total)


def _cells(
    curve: xr.DataArray,
    name: str,
    references: dict[str, tuple[float, float]],
    sample_dim: str,
    level: float,
) -> xr.Dataset:
    told = curve.rename(name).assign_attrs(units="1")
    mean = mean_ci(told, dim=None, sample_dim=sample_dim, level=level, scale="identity").cells[name]
    diffusion, drift = references.get(name, (np.nan, np.nan))
    kept = mean[["estimate", "low", "high"]].assign(
        diffusion=xr.full_like(mean["estimate"], diffusion),
        drift=xr.full_like(mean["estimate"], drift),
        verdict=_texts(mean["estimate"], [""] * mean["estimate"].size),
        n_runs=mean["n_runs"],
        reason=mean["reason"],
    )
    return kept


def _judged(cells: xr.Dataset, centres: tuple[float, float], margin: float) -> xr.Dataset:
    low, high = cells["low"].values.ravel(), cells["high"].values.ravel()
    words = [_verdict(a, b, centres, margin) for a, b in zip(low, high, strict=True)]
    return cells.assign(verdict=_texts(cells["estimate"], words))


def _verdict(low: float, high: float, centres: tuple[float, float], margin: float) -> str:
    for centre, word in zip(centres, ("diffusion", "drift"), strict=True):
        if centre - margin <= low and high <= centre + margin:
            return word
    return "undetermined"


def _texts(like: xr.DataArray, words: list[str]) -> xr.DataArray:
    array = np.array(words, dtype=np.dtypes.StringDType()).reshape(like.shape)
    return like.copy(data=array)
