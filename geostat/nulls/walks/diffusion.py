"""What directionless diffusion would give, matched to a run: the null behind every figure of alignment."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.checkpoints import Selection
from geostat.errors import SampleError
from geostat.nulls.building import null_result
from geostat.nulls.null_result import NullResult
from geostat.nulls.walks.diffusion_cells import check_draws, null_cells
from geostat.nulls.walks.diffusion_matching import (
    CovarianceOf,
    MatrixWalk,
    Storage,
    channel_size,
    initial_weights,
    matched_walks,
    rounded_storage,
)
from geostat.nulls.walks.diffusion_weights import open_run
from geostat.nulls.walks.leading import quick_statistics
from geostat.nulls.walks.pairs import PairLaw, draws_of, pair_law
from geostat.nulls.walks.paths import SIDES, STATISTICS, Draws, path_draws
from geostat.statistics.runs.randomness import Randomness, seeded

__all__ = ["diffusion_null"]

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

CANNOT_SEE = (
    "structure in the input covariance itself, where that is given, nor structure in when and how far the run moved; "
    "a run that keeps within it may still be no random walk"
)
CIRCULAR = (
    "The covariance is the Gram of the run's own increments, so the null is circular: a channel that persists is part "
    "of that covariance, and leaves no trace on the right side"
)


def diffusion_null(
    data: Any,
    checkpoints: Any = None,
    *,
    statistics: Sequence[str] | None = None,
    covariance: CovarianceOf | Literal["increments"] = None,
    initial: Any = None,
    storage: Storage | None = None,
    K: int | None = None,
    dim: str | None = "matrix",
    matrices: Selection | None = None,
    level: float = 0.95,
    n: int = 199,
    rng: Randomness = 0,
) -> NullResult:
    r"""Diffusion null: alignment and rank of a random walk matched to a run.

    Each matrix is compared with walks of independent increments :math:`r_s G_s \Lambda^{1/2}`, G Gaussian, of the
    same norms. Similarity to the end rises to 1 in such a walk, its stable rank is flat and, with anisotropic inputs
    :math:`\Lambda`, low, and on the right side it captures what comes next: none of these alone is structure.

    From weights the walks share the norms of the run's increments. A measurement holds norms of cumulative updates
    alone; then the walks share those, under the assumption, which a walk fulfils, that increments are orthogonal
    (a drifting run's increments are longer than such a walk's late in training). Merge
    `geostat.nulls.path_geometry` into it to have the increments' norms.

    Runs in bf16 are compared with walks that are rounded at each checkpoint, where initial weights are given:
    stored increments share the rounding error of the checkpoint between them. The walk's size is then chosen so
    that its stored norms are the run's.

    Parameters
    ----------
    data : xarray.Dataset, or weights
        A measurement, with dims among run, step, matrix; or the base of one run, with ``checkpoints``.
    checkpoints : path, glob, list or mapping, optional
        As in `geostat.measure`.
    statistics : sequence of str, optional
        Among ``similarity_to_end``, ``lagged_similarity``, ``stable_rank``, ``forward_capture`` and
        ``past_next_similarity``; by default all that the data hold.
    covariance : None, float, array, tensor, mapping or "increments"
        Of a layer's inputs: isotropic; eigenvalues k^-a; eigenvalues; the matrix; one of these by matrix name; or,
        from weights, the Gram of the run's increments, which is circular.
    initial : path or weights, optional
        W_0, for walks through rounding from a measurement; from weights it is the base.
    storage : {"fp32", "bf16"}, optional
        Whether walks are rounded; by default as the data are stored.
    K : int, optional
        Size of a channel; by default as measured.
    dim : "matrix" or None
        Average over matrices, whose walks are independent, or one null for each.
    matrices : str, sequence of str or callable, optional
        Which weights, as in `geostat.measure`.
    level : float
        Share of the null between ``low`` and ``high``, per step: not a band for whole trajectories.
    n : int
        Draws. Without rounding a draw takes a decomposition for each of up to 16 checkpoints, and serves all
        matrices of one shape: the null of their mean is wider by what n draws leave unknown, so more draws than
        matrices tell more. Through rounding it takes two for each checkpoint and matrix.
    rng : int or numpy.random.Generator
        Source of randomness.

    Returns
    -------
    NullResult
        Over run, side and step. ``result["forward_capture"].high`` on the right side is what
        ``diffusion_capture`` of `geostat.locking_onset` takes.

    Raises
    ------
    SampleError
        If norms, shapes or statistics are missing, nothing changed, or n is too small for the level.
    ProtocolError
        If storage is mixed, or rounding is asked for without bf16 initial weights.
    ShapeError
        If the covariance does not fit.

    Warns
    -----
    GeostatWarning
        If runs are stored in bf16 and the walks are not rounded.

    Examples
    --------
    Diffusion with inputs k^-1 captures what comes next on the right side, and on the left nothing:

    >>> import torch
    >>> import geostat as gs
    >>> noise = torch.randn(6, 16, 24, generator=torch.Generator().manual_seed(0))
    >>> walk = (noise * torch.arange(1, 25) ** -0.5).cumsum(0)
    >>> name = "blocks.0.attention.query.weight"
    >>> steps = {10 * (t + 1): {name: update} for t, update in enumerate(walk)}
    >>> null = diffusion_null({name: torch.zeros(16, 24)}, steps, covariance=1.0, K=2, n=99)
    >>> right = null["forward_capture"].high.sel(side="right")
    >>> bool(right.max() > 0.5)
    True
    >>> run = gs.measure({name: torch.zeros(16, 24)}, steps, diagnostics=["forward_capture"], progress=False,
    ...                  protocol=gs.PROTOCOLS["shen2026"].replace(K=2))
    >>> gs.locking_onset(run, diffusion_capture=right, beside=()).rows()[0]["verdict"]
    'no-lock'
    """
    check_draws(n, level)
    if dim not in ("matrix", None):
        raise SampleError(f"dim={dim!r} is not known. Pass 'matrix', or None for one null of each matrix.")
    generator, seed = seeded(rng)
    measured, covariances, start, circular = _inputs(
        data, checkpoints, statistics, covariance, initial, K, matrices
    )
    names = _statistics(measured, statistics)
    size = channel_size(measured, K)
    rounded = rounded_storage(measured, storage, start)
    runs = measured if "run" in measured.dims else measured.expand_dims("run")
    weights = initial_weights(start, [str(name) for name in runs["matrix"].values]) if rounded else {}
    walks = matched_walks(runs, covariance=covariances, initial=weights, K=size, rng=generator)
    found = {name: _Gathered(_observed(runs, name), n, dim) for name in names}
    for matched, draws in _drawn(walks, names, n, generator):
        for name, values in draws.items():
            found[name].add(matched, values)
    cells = {name: gathered.cells(level) for name, gathered in found.items()}
    if "run" not in measured.dims:
        cells = {name: each.isel(run=0, drop=True) for name, each in cells.items()}
    return _result(cells, measured, walks, rounded, circular, level, n, seed, dim, covariance)


def _inputs(
    data: Any,
    checkpoints: Any,
    statistics: Sequence[str] | None,
    covariance: CovarianceOf | Literal["increments"],
    initial: Any,
    K: int | None,
    matrices: Selection | None,
) -> tuple[xr.Dataset, CovarianceOf, Any, bool]:
    """Measurement, covariance, initial weights, and whether the covariance is the run's own."""
    circular = isinstance(covariance, str)
    if circular and covariance != "increments":
        raise SampleError(
            f"covariance={covariance!r} is not known. Pass None, numbers, a mapping, or 'increments'."
        )
    if checkpoints is None:
        if not isinstance(data, xr.Dataset):
            raise SampleError(
                f"data is a {type(data).__name__} and no checkpoints were given. Pass a measurement "
                "(geostat.open_trajectory), or the base and the checkpoints of one run."
            )
        if isinstance(covariance, str):
            raise SampleError(
                "covariance='increments' is made from weights, but a measurement was passed. Pass the base and the "
                "checkpoints, or the covariance itself."
            )
        return data, covariance, initial, False
    measured = _measured(data, checkpoints, statistics, K, matrices)
    if not isinstance(covariance, str):
        return measured, covariance, data if initial is None else initial, False
    run = open_run(data, checkpoints, matrices)
    grams = {ref.name: run.increment_gram(ref) for ref in run.refs}
    return measured, {name: gram if gram.any() else None for name, gram in grams.items()}, data, True


def _measured(
    base: Any,
    checkpoints: Any,
    statistics: Sequence[str] | None,
    K: int | None,
    matrices: Selection | None,
) -> xr.Dataset:
    from geostat.nulls.walks.path import increment_norms
    from geostat.protocols import PROTOCOLS
    from geostat.trajectories import measure

    protocol = PROTOCOLS["shen2026"] if K is None else PROTOCOLS["shen2026"].replace(K=K)
    wanted = [*(STATISTICS if statistics is None else statistics), "update_norm"]
    run = measure(base, checkpoints, matrices=matrices, diagnostics=wanted, protocol=protocol, progress=False)
    return run.assign(increment_norm=increment_norms(base, checkpoints, matrices=matrices))


def _statistics(data: xr.Dataset, asked: Sequence[str] | None) -> list[str]:
    names = [name for name in STATISTICS if name in data] if asked is None else list(asked)
    unknown = [name for name in names if name not in STATISTICS]
    missing = [name for name in names if name not in data]
    if unknown or missing or not names:
        raise SampleError(
            f"a walk was to be compared by {unknown or missing or 'nothing'}, but a walk has {', '.join(STATISTICS)}, "
            f"and the data hold {', '.join(name for name in STATISTICS if name in data) or 'none of these'}."
        )
    return names


def _observed(runs: xr.Dataset, name: str) -> xr.DataArray:
    array = runs[name].astype(np.float64).compute()
    if name == "stable_rank":
        return array.transpose("run", "matrix", "step")
    if "side" not in array.dims:
        own = array["side"].item() if "side" in array.coords else "right"
        array = array.drop_vars("side", errors="ignore").expand_dims(side=[own])
    return array.transpose("run", "matrix", "side", "step")


class _Gathered:
    """Draws of one statistic, averaged over matrices as they come, or kept apart."""

    def __init__(self, observed: xr.DataArray, n: int, dim: str | None) -> None:
        self.observed = observed
        self.mean = dim is not None
        sizes = observed.shape if dim is None else (observed.shape[0], *observed.shape[2:])
        self.total = np.zeros((n, *sizes))
        self.figures = np.zeros(sizes)
        self.count = np.zeros(sizes)

    def add(self, matched: MatrixWalk, draws: Floats) -> None:
        """Add the draws (n, sides, checkpoints) of one matrix where a figure was observed."""
        own = self.observed.isel(run=matched.run, matrix=matched.matrix)
        sided = "side" in own.dims
        rows = [SIDES.index(side) for side in own["side"].values] if sided else [0]
        full = np.full((len(draws), len(rows), own.sizes["step"]), np.nan)
        full[:, :, matched.places] = draws[:, rows]
        values, full = own.values, full if sided else full[:, 0]
        there = np.isfinite(values) & (2 * np.isfinite(full).sum(axis=0) >= len(full))
        place = (matched.run,) if self.mean else (matched.run, matched.matrix)
        self.total[(slice(None), *place)] += np.where(there, full, 0.0)
        self.figures[place] += np.where(there, values, 0.0)
        self.count[place] += there

    def cells(self, level: float) -> xr.Dataset:
        """Figures beside their null; of averages those matrices that have both."""
        with np.errstate(invalid="ignore", divide="ignore"):
            figures, draws = self.figures / self.count, self.total / self.count
        like = self.observed.isel(matrix=0, drop=True) if self.mean else self.observed
        kept = set(like.dims) | {"recipe", "progress"}
        bare = like.drop_vars([name for name in like.coords if name not in kept])
        return null_cells(bare.copy(data=figures), draws, level)


def _drawn(walks: Sequence[MatrixWalk], names: Sequence[str], n: int, rng: np.random.Generator) -> Any:
    """Draws of each matrix in turn; one law serves all matrices of one shape and covariance."""
    laws: dict[tuple[int, int, int], PairLaw] = {}
    taken: dict[tuple[int, int, int], list[Places]] = {}
    for walk in walks:
        if walk.initial is not None:
            yield (
                walk,
                path_draws(walk.shape, names, n, rng, initial=walk.initial, measured_by=quick_statistics),
            )
            continue
        key = _key(walk)
        if key not in laws:
            alike = [w.shape for w in walks if w.initial is None and _key(w) == key]
            laws[key] = pair_law(alike, names, n, rng)
        order = _taken_next(taken.setdefault(key, []), n, rng)
        drawn: Draws = draws_of(laws[key], walk.shape, names)
        yield walk, {name: values[order] for name, values in drawn.items()}


def _taken_next(before: list[Places], n: int, rng: np.random.Generator) -> Places:
    """Which draw of a law one more matrix takes, for each of n walks of all of them: Polya's urn.

    Matrices walk by themselves, but the law that they share is known from n draws alone, and its error does not
    average out over matrices. So a walk takes one of the n draws, or what it took for an earlier matrix, all equally
    likely: means over M matrices then vary by 1/M for the matrices, and by 1/n for the law.
    """
    if not before:
        before.append(rng.permutation(n))
        return before[0]
    place = rng.integers(n + len(before), size=n)
    for walk in np.flatnonzero(place >= n):
        place[walk] = before[place[walk] - n][walk]
    before.append(place)
    return place


def _key(walk: MatrixWalk) -> tuple[int, int, int]:
    return walk.shape.rows, walk.shape.cols, id(walk.shape.covariance)


def _result(
    cells: Mapping[str, xr.Dataset],
    measured: xr.Dataset,
    walks: Sequence[MatrixWalk],
    rounded: bool,
    circular: bool,
    level: float,
    n: int,
    seed: int,
    dim: str | None,
    covariance: Any,
) -> NullResult:
    increments = "increment_norm" in measured
    inputs = " and ".join(dict.fromkeys(walk.shape.covariance.words for walk in walks[:1]))
    inputs = "the Gram of the run's own increments as input covariance (circular)" if circular else inputs
    norms = "the norms of the run's increments" if increments else "the norms of the run's cumulative updates"
    start = ", the initial weights and rounding to bf16 at each checkpoint" if rounded else ""
    what = "means over matrices, whose walks are independent" if dim else "each matrix by itself"
    unseen = f"{CANNOT_SEE}{'' if rounded else '; rounding of the files counts as excess'}."
    return null_result(
        cells,
        title=f"Diffusion null: {', '.join(cells)}",
        estimand=f"Figures of a run beside those of random walks matched to it: {what}.",
        method=f"{n} random walks with {inputs}",
        conditions_on=f"the shapes, {norms}{start}, and {inputs}.",
        cannot_see=f"{CIRCULAR}. Nor can it see {unseen}" if circular else unseen,
        level=level,
        n_runs=measured.sizes.get("run", 1),
        n_matrices=len({walk.matrix for walk in walks}),
        n_steps=measured.sizes["step"],
        assumptions=(
            "increments are independent and Gaussian, their rows alike but for the input covariance",
            *(() if increments else ("increments are orthogonal, so that squared norms of updates add up",)),
            "intervals are pointwise: they hold for one step at a time",
        ),
        settings={
            "covariance": covariance if isinstance(covariance, str | int | float | None) else inputs,
            "storage": "bf16" if rounded else "fp32",
            "K": walks[0].shape.K,
            "n": n,
            "dim": dim,
        },
        seed=seed,
        protocol=str(measured.attrs.get("protocol", "")),
        protocol_hash=str(measured.attrs.get("protocol_hash", "")),
    )
