"""How the figures of a random walk move over training: the band behind every curve of alignment."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor

from geostat.errors import ProtocolError, SampleError, ShapeError
from geostat.nulls.building import null_result
from geostat.nulls.null_result import NullResult
from geostat.nulls.walks.covariance import CovarianceLike, input_covariance
from geostat.nulls.walks.diffusion import CANNOT_SEE, diffusion_null
from geostat.nulls.walks.diffusion_cells import check_draws, null_cells
from geostat.nulls.walks.diffusion_matching import Storage
from geostat.nulls.walks.leading import quick_statistics
from geostat.nulls.walks.matching import latent_variances, one_horizon_later, walked_variances
from geostat.nulls.walks.pairs import draws_of, pair_law
from geostat.nulls.walks.paths import SIDES, STATISTICS, WalkShape, path_draws
from geostat.protocols import check_setting
from geostat.statistics.runs.randomness import Randomness, seeded

__all__ = ["bf16_start", "norms_and_steps", "random_walk_envelope"]


def random_walk_envelope(
    norms: xr.Dataset | xr.DataArray | npt.ArrayLike,
    *,
    statistic: str = "similarity_to_end",
    rows: int | None = None,
    cols: int | None = None,
    K: int | None = None,
    covariance: CovarianceLike = None,
    steps: Sequence[int] | None = None,
    observed: xr.DataArray | npt.ArrayLike | None = None,
    storage: Storage | None = None,
    initial: Any = None,
    level: float = 0.95,
    n: int = 199,
    rng: Randomness = 0,
) -> NullResult:
    r"""Random-walk envelope of a figure over training.

    Of one matrix that walks without direction, :math:`\Delta W_t = \sum_{s \le t} D_s`, with independent increments
    :math:`D_s \propto G_s \Lambda^{1/2}` of the given norms: the mean of the figure at each checkpoint, and between
    which values it stays. It needs no run: norms can be those of a learning-rate schedule, of which scale plays no
    role without rounding. Of a measured run it is the `diffusion_null` of one figure.

    Parameters
    ----------
    norms : array of shape (checkpoints,), DataArray over step, or xarray.Dataset
        Frobenius norms of the increments; or a measurement, see `diffusion_null`.
    statistic : str
        ``similarity_to_end``, ``lagged_similarity``, ``stable_rank``, ``forward_capture`` or
        ``past_next_similarity``; the last two of the increment that follows.
    rows, cols : int
        Shape of the matrix; a measurement brings its own.
    K : int
        Size of a channel; 16, or that of the measurement.
    covariance : None, float, array or tensor
        Of the inputs: isotropic, eigenvalues k^-a, eigenvalues, or the matrix.
    steps : sequence of int, optional
        Of the checkpoints; 1, 2, ... by default, or the coordinate of ``norms``.
    observed : array or DataArray, optional
        Figures of a run, over (side, step) or step, that are judged.
    storage : {"fp32", "bf16"}, optional
        "bf16": weights are rounded at each checkpoint, and the stored norms are the given ones. By default where an
        initial weight is given; a measurement says its own.
    initial : tensor or array, optional
        Shape (rows, cols): W_0 in bf16; of a measurement, weights by name.
    level : float
        Share of walks between ``low`` and ``high``, at one checkpoint.
    n : int
        Walks.
    rng : int or numpy.random.Generator
        Source of randomness.

    Returns
    -------
    NullResult
        Over (side, step); of the stable rank over step.

    Raises
    ------
    SampleError
        If norms or the statistic mean nothing, or n is too small for the level.
    ShapeError
        If shapes do not fit.
    ProtocolError
        If rounding is asked for without an initial weight.

    References
    ----------
    shen2026, eq. 9, defines the similarity; walks are geostat's.

    Examples
    --------
    Half-way through 8 equal increments an isotropic walk is far above the 1/8 of two random channels:

    >>> envelope = random_walk_envelope(np.ones(8), rows=32, cols=32, K=4, n=99)
    >>> round(float(envelope.null_mean.sel(side="right", step=4)), 1)
    0.4
    >>> float(envelope.null_mean.sel(side="right", step=8))
    1.0
    """
    if statistic not in STATISTICS:
        raise SampleError(f"statistic={statistic!r} is none of a walk. Pass one of {', '.join(STATISTICS)}.")
    if isinstance(norms, xr.Dataset):
        return diffusion_null(
            norms,
            statistics=[statistic],
            covariance=covariance,
            initial=initial,
            storage=storage,
            K=K,
            level=level,
            n=n,
            rng=rng,
        )
    check_draws(n, level)
    generator, seed = seeded(rng)
    lengths, at = norms_and_steps(norms, steps)
    K = 16 if K is None else K
    check_setting("K", K)
    start = _start(initial, storage, rows, cols)
    rows, cols = (rows, cols) if start is None else tuple(start.shape)
    if not (isinstance(rows, int) and isinstance(cols, int) and rows > 0 and cols > 0):
        raise ShapeError(f"rows={rows!r} and cols={cols!r} are no shape. Pass the shape of the matrix.")
    inputs = input_covariance(covariance, cols)
    variances = (
        walked_variances(lengths, "increments")
        if start is None
        else latent_variances(start, lengths, "increments", inputs, generator)
    )
    shape = WalkShape(rows, cols, variances, one_horizon_later(at), inputs, K)
    if start is None:
        draws = draws_of(pair_law([shape], [statistic], n, generator), shape, [statistic])[statistic]
    else:
        draws = path_draws(shape, [statistic], n, generator, initial=start, measured_by=quick_statistics)[
            statistic
        ]
    cells = null_cells(*_aligned(observed, draws, at, statistic), level)
    through = ", the initial weight, and rounding to bf16 at each checkpoint" if start is not None else ""
    return null_result(
        {statistic: cells},
        title=f"Random-walk envelope: {statistic}",
        estimand=f"{statistic} of one matrix that walks without direction.",
        method=f"{n} random walks with {inputs.words}",
        conditions_on=f"the shape, the norms of the increments{through}, and {inputs.words}.",
        cannot_see=f"{CANNOT_SEE}.",
        level=level,
        n_steps=len(at),
        assumptions=("increments are independent and Gaussian", "intervals hold for one step at a time"),
        settings={
            "rows": rows,
            "cols": cols,
            "K": K,
            "covariance": inputs.words,
            "storage": "fp32" if start is None else "bf16",
            "n": n,
            "norms": lengths.tolist(),
        },
        seed=seed,
    )


def norms_and_steps(
    norms: xr.DataArray | npt.ArrayLike, steps: Sequence[int] | None
) -> tuple[npt.NDArray[np.float64], list[int]]:
    """Norms with their steps.

    Parameters
    ----------
    norms : DataArray over step, or array
        One for each checkpoint.
    steps : sequence of int, optional
        Where the norms bring none; 1, 2, ... by default.

    Returns
    -------
    tuple of ndarray and list of int
        Of one length.

    Raises
    ------
    SampleError
        If they do not fit each other.
    """
    if isinstance(norms, xr.DataArray):
        if norms.dims != ("step",):
            raise SampleError(
                f"norms have dims {list(norms.dims)}. Pass one norm for each step, of one matrix of one run."
            )
        if steps is None and "step" in norms.coords:
            steps = norms["step"].values.tolist()
    lengths = np.asarray(norms, dtype=np.float64)
    at = list(range(1, lengths.size + 1)) if steps is None else [int(step) for step in steps]
    if lengths.ndim != 1 or len(at) != lengths.size or sorted(set(at)) != at:
        raise SampleError(
            f"norms of shape {lengths.shape} were given with {len(at)} steps. Pass one norm for each of the steps, "
            "which rise."
        )
    return lengths, at


def _start(initial: Any, storage: Storage | None, rows: int | None, cols: int | None) -> Tensor | None:
    if storage not in ("fp32", "bf16", None):
        raise ProtocolError(f"storage={storage!r} is not known. Pass 'fp32' or 'bf16'.")
    if storage == "fp32" or (storage is None and initial is None):
        return None
    if initial is None:
        raise ProtocolError(
            "storage='bf16' was asked for, but where the walk starts is not known. Pass initial=, the weight before "
            "training."
        )
    weight = bf16_start(initial)
    if (rows, cols) not in ((None, None), tuple(weight.shape)):
        raise ShapeError(f"initial is {tuple(weight.shape)}, but rows={rows} and cols={cols} were given.")
    return weight


def bf16_start(initial: Tensor | npt.ArrayLike) -> Tensor:
    """Weight from which a stored run started.

    Parameters
    ----------
    initial : tensor or array
        Shape (rows, cols), every entry a bf16 number.

    Returns
    -------
    torch.Tensor
        In bf16.

    Raises
    ------
    ShapeError
        If it is no matrix.
    ProtocolError
        If an entry is none of bf16.
    """
    weight = initial if isinstance(initial, Tensor) else torch.from_numpy(np.asarray(initial))
    if weight.ndim != 2:
        raise ShapeError(f"initial is {tuple(weight.shape)}. Pass one matrix.")
    rounded = weight.to(torch.bfloat16)
    if not bool((rounded.to(weight.dtype) == weight).all()):
        raise ProtocolError(
            "initial holds numbers that bf16 has not (or NaN). A stored run starts from the bf16 weight: pass "
            "initial.to(torch.bfloat16)."
        )
    return rounded


def _aligned(
    observed: xr.DataArray | npt.ArrayLike | None,
    draws: npt.NDArray[np.float64],
    steps: list[int],
    statistic: str,
) -> tuple[xr.DataArray, npt.NDArray[np.float64]]:
    """Observed figures, NaN where none were given, and the draws of their sides."""
    coords: dict[str, Any] = {"step": steps}
    dims: tuple[str, ...] = ("step",)
    if statistic == "stable_rank":
        draws = draws[:, 0]
    else:
        dims, coords = ("side", "step"), {"side": list(SIDES), **coords}
    empty = xr.DataArray(np.full(draws.shape[1:], np.nan), coords, dims)
    if observed is None:
        return empty, draws
    if isinstance(observed, xr.DataArray):
        found = observed.reindex({dim: empty[dim] for dim in observed.dims if dim in dims})
        if "side" in dims and "side" not in observed.dims:
            empty = empty.sel(side=[str(observed["side"].item()) if "side" in observed.coords else "right"])
            draws = draws[:, [SIDES.index(side) for side in empty["side"].values]]
        if not set(found.dims) <= set(dims):
            raise SampleError(
                f"observed has dims {list(observed.dims)}. Pass one run and one matrix: {dims}."
            )
        bare = found.drop_vars([c for c in found.coords if c not in found.dims])
        return bare.broadcast_like(empty).transpose(*dims), draws
    values = np.asarray(observed, dtype=np.float64)
    if values.shape != empty.shape:
        raise SampleError(f"observed has shape {values.shape}, but {dims} have {empty.shape}.")
    return empty.copy(data=values), draws
