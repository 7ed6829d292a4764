"""How straight a run goes: figures that take more than one checkpoint of the weights themselves."""

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor

from geostat.checkpoints import Selection
from geostat.errors import UndefinedWarning
from geostat.linalg import Factored, subspace_similarity
from geostat.linalg.factored import Side
from geostat.nulls.walks.diffusion_weights import WeightsOfRun, open_run
from geostat.protocols import check_setting

__all__ = ["increment_norms", "linearity", "path_geometry", "straightness", "update_products"]

Floats = npt.NDArray[np.float64]

_ENTRIES = 2**22
"""Entries of one checkpoint that are in float64 at a time."""

SIDES: tuple[Side, ...] = ("left", "right")


def path_geometry(
    base: Any, checkpoints: Any, *, matrices: Selection | None = None, K: int = 16
) -> xr.Dataset:
    r"""Geometry of a run's path, beyond what a measurement of single checkpoints holds.

    With cumulative updates :math:`\Delta W_t` and increments :math:`D_t = \Delta W_t - \Delta W_{t-1}`:

    .. math:: \mathrm{straightness} = \frac{\|\Delta W_{t_{\mathrm{end}}}\|_F}{\sum_t \|D_t\|_F}, \qquad
        \mathrm{linearity} = 1 - \frac{\sum_{ijt} (\Delta W_t - a - b t)_{ij}^2}
        {\sum_{ijt} (\Delta W_t - \overline{\Delta W})_{ij}^2}

    where a and b are fitted to each entry and t is the step. A random walk of n equal increments has straightness
    near :math:`1/\sqrt n`, and linearity near .6 when its checkpoints are many and even: neither is near 0.

    Parameters
    ----------
    base, checkpoints
        As in `geostat.measure`.
    matrices : str, sequence of str or callable, optional
        Which weights; "attention" by default.
    K : int
        Size of the channels that are compared.

    Returns
    -------
    xarray.Dataset
        ``update_norm`` and ``increment_norm`` (step, matrix), in the weights' unit; ``increment_similarity`` (step,
        matrix, side): similarity of the channels of D_t and of the next increment, on 16-bit files of the one after
        that, because neighbours share the rounding error of the checkpoint between them; ``straightness`` and
        ``linearity`` (matrix). It can be merged into the measurement of the same run.

    Raises
    ------
    CheckpointError
        If checkpoints are missing, unreadable, or do not fit together.

    Warns
    -----
    UndefinedWarning
        If a matrix did not change at all.

    Examples
    --------
    >>> import torch
    >>> start = torch.zeros(4, 4)
    >>> steps = {t: {"blocks.0.attention.query.weight": t * torch.eye(4)} for t in (10, 20, 30)}
    >>> path = path_geometry({"blocks.0.attention.query.weight": start}, steps, K=1)
    >>> round(path.straightness.item(), 6), round(path.linearity.item(), 6)
    (1.0, 1.0)
    """
    check_setting("K", K)
    run = open_run(base, checkpoints, matrices)
    parts = [_of_matrix(run, ref, K) for ref in run.refs]
    unchanged = [ref.name for ref, part in zip(run.refs, parts, strict=True) if not part["update_norm"].any()]
    if unchanged:
        warnings.warn(
            f"{len(unchanged)} matrices did not change at any checkpoint and have no path: {unchanged[:5]}.",
            UndefinedWarning,
            stacklevel=2,
        )
    joined = xr.concat(parts, dim="matrix").transpose("step", "matrix", "side", ...)
    return joined.assign_coords(
        matrix=np.array([ref.name for ref in run.refs], dtype=np.dtypes.StringDType()),
        n_params=("matrix", [ref.rows * ref.cols for ref in run.refs]),
        rows=("matrix", [ref.rows for ref in run.refs]),
        cols=("matrix", [ref.cols for ref in run.refs]),
    ).assign_attrs(storage=run.storage, path_K=K)


_TOLD = {
    "update_norm": "Frobenius norm of the update",
    "increment_norm": "Frobenius norm of the increment",
    "increment_similarity": "Similarity of disjoint increments",
    "straightness": "Distance over length of path",
    "linearity": "Share of variance on a straight line in time",
}


def _of_matrix(run: WeightsOfRun, ref: Any, K: int) -> xr.Dataset:
    weights = [run.read(place, ref) for place in range(len(run.steps) + 1)]
    products = update_products(weights[0], weights[1:])
    steps = np.asarray(run.steps, dtype=np.float64)
    found = {
        "update_norm": ("step", np.sqrt(np.diag(products))),
        "increment_norm": ("step", _increment_norms(products)),
        "increment_similarity": (("step", "side"), _increment_similarities(weights, K, 1 + run.sixteen_bit)),
        "straightness": ((), straightness(products)),
        "linearity": ((), linearity(products, steps)),
    }
    units = {"update_norm": "weight", "increment_norm": "weight"}
    return xr.Dataset(
        {
            name: (dims, values, {"units": units.get(name, "1"), "long_name": _TOLD[name]})
            for name, (dims, values) in found.items()
        },
        coords={"step": list(run.steps), "side": list(SIDES)},
    )


def update_products(initial: Tensor, checkpoints: Sequence[Tensor]) -> Floats:
    """Inner products of all pairs of cumulative updates.

    Parameters
    ----------
    initial : torch.Tensor
        Shape (m, n).
    checkpoints : sequence of torch.Tensor
        Each of that shape.

    Returns
    -------
    numpy.ndarray
        Shape (checkpoints, checkpoints), float64; accumulated over blocks of rows.
    """
    height = max(1, _ENTRIES // initial.shape[1])
    total = np.zeros((len(checkpoints), len(checkpoints)))
    for top in range(0, len(initial), height):
        rows = slice(top, top + height)
        start = initial[rows].to(torch.float64)
        block = torch.stack([(later[rows].to(torch.float64) - start).flatten() for later in checkpoints])
        total += (block @ block.mT).cpu().numpy()
    return total


def _increment_norms(products: Floats) -> Floats:
    squares, crossed = np.diag(products), np.diag(products, 1)
    later = squares[1:] + squares[:-1] - 2 * crossed
    return np.asarray(np.sqrt(np.concatenate([squares[:1], later]).clip(min=0.0)))


def increment_norms(base: Any, checkpoints: Any, *, matrices: Selection | None = None) -> xr.DataArray:
    """Frobenius norms of a run's increments.

    Parameters
    ----------
    base, checkpoints, matrices
        As in `path_geometry`.

    Returns
    -------
    xarray.DataArray
        Over step and matrix, in the weights' unit.
    """
    run = open_run(base, checkpoints, matrices)
    norms = []
    for ref in run.refs:
        before, own = run.read(0, ref).to(torch.float64), []
        for place in range(1, len(run.steps) + 1):
            now = run.read(place, ref).to(torch.float64)
            own.append(float(torch.linalg.vector_norm(now - before)))
            before = now
        norms.append(own)
    names = np.array([ref.name for ref in run.refs], dtype=np.dtypes.StringDType())
    coords = {"step": list(run.steps), "matrix": names}
    attrs = {"units": "weight", "long_name": _TOLD["increment_norm"]}
    return xr.DataArray(np.array(norms).T, coords, ("step", "matrix"), name="increment_norm", attrs=attrs)


def straightness(products: Floats) -> float:
    """Norm of the last update over the length of the path.

    Parameters
    ----------
    products : numpy.ndarray
        Shape (checkpoints, checkpoints), from `update_products`.

    Returns
    -------
    float
        In [0, 1]; NaN where nothing changed.
    """
    length = float(_increment_norms(products).sum())
    return float(np.sqrt(products[-1, -1])) / length if length > 0 else np.nan


def linearity(products: Floats, steps: Floats) -> float:
    """Share of the variance over checkpoints that a straight line in time explains, entries pooled.

    Parameters
    ----------
    products : numpy.ndarray
        Shape (checkpoints, checkpoints), inner products of cumulative updates.
    steps : numpy.ndarray
        Shape (checkpoints,).

    Returns
    -------
    float
        In [0, 1]; NaN below three checkpoints, where a line always fits, and where nothing moves between them.
    """
    if len(steps) < 3:
        return np.nan
    time = steps - steps.mean()
    total = float(np.trace(products) - products.mean() * len(steps))
    explained = float(time @ products @ time / (time @ time))
    return explained / total if total > 1e-12 * float(np.trace(products)) else np.nan


def _increment_similarities(weights: Sequence[Tensor], K: int, apart: int) -> Floats:
    increments = [Factored(b, less=a, wanted=K) for a, b in pairwise(weights)]
    found = np.full((len(increments), len(SIDES)), np.nan)
    for i, (first, second) in enumerate(zip(increments, increments[apart:], strict=False)):
        if not (first.is_zero or second.is_zero):
            found[i] = [subspace_similarity(first.channel(K, s), second.channel(K, s)) for s in SIDES]
    return found
