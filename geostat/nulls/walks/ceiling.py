"""How much of a formed channel rounding lets through, and captures read on the scale from diffusion to that."""

from functools import partial

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor

from geostat.errors import SampleError, ShapeError
from geostat.nulls.null_result import NullResult
from geostat.nulls.walks.envelope import bf16_start, norms_and_steps
from geostat.nulls.walks.leading import quick_statistics
from geostat.nulls.walks.matching import one_horizon_later, scaled_through_rounding
from geostat.nulls.walks.paths import SIDES
from geostat.protocols import check_setting
from geostat.statistics.runs.arguments import as_number
from geostat.statistics.runs.randomness import Randomness, seeded

__all__ = ["capture_above_diffusion", "capture_ceiling"]

Floats = npt.NDArray[np.float64]


def capture_ceiling(
    norms: xr.DataArray | npt.ArrayLike,
    *,
    initial: Tensor | npt.ArrayLike,
    K: int = 16,
    channel: Tensor | npt.ArrayLike | None = None,
    n: int = 8,
    rng: Randomness = 0,
) -> xr.DataArray:
    r"""Ceiling of forward capture: what a channel that is formed from the start shows through bf16 rounding.

    Every increment lies in one fixed channel, :math:`D_t = r_t C`, so that its true capture is 1. Weights are rounded
    to bf16 at each checkpoint, and r_t chosen so that the stored increments have the run's norms. Where the ceiling
    is low the increment is mostly rounding: a low capture there says nothing about the channel, and a rate that
    decays to 0 ends every run so.

    Parameters
    ----------
    norms : array of shape (checkpoints,) or DataArray over step
        Frobenius norms of the stored increments.
    initial : tensor or array
        Shape (rows, cols): W_0 in bf16.
    K : int
        Size of the channel.
    channel : tensor or array, optional
        Shape (rows, cols): directions of the increments, cut to their leading K. By default K random directions of
        equal strength, the channel that is hardest to see: uneven ones have higher ceilings.
    n : int
        Random channels to average; a given channel is taken once.
    rng : int or numpy.random.Generator
        Source of random channels.

    Returns
    -------
    xarray.DataArray
        Over (side, step); NaN at the last checkpoint. Attribute ``seed``.

    Raises
    ------
    SampleError
        If the norms mean nothing.
    ShapeError
        If the channel does not fit.
    ProtocolError
        If the initial weight holds what bf16 has not.

    References
    ----------
    Defined by geostat.

    Examples
    --------
    Steps that shrink to nothing hide even a perfect channel:

    >>> start = torch.randn(32, 48, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    >>> ceiling = capture_ceiling([1.0, 1.0, 0.02, 0.02], initial=start, K=2).sel(side="right")
    >>> bool(ceiling.sel(step=1) > 0.9), bool(ceiling.sel(step=3) < 0.5)
    (True, True)
    """
    check_setting("K", K)
    check_setting("K", n, shown="n")
    generator, seed = seeded(rng)
    lengths, steps = norms_and_steps(norms, None)
    start = bf16_start(initial)
    later = one_horizon_later(steps)
    found = []
    for _ in range(n if channel is None else 1):
        direction = _channel(channel, tuple(start.shape), K, generator)
        _, reached = scaled_through_rounding(start, lengths, "increments", partial(_same, direction))
        updates = reached - start.to(torch.float64)
        found.append(quick_statistics(updates, later, K, ["forward_capture"])["forward_capture"])
    stacked = np.stack(found)
    known = np.isfinite(stacked).sum(axis=0)
    mean = np.where(known > 0, np.nansum(stacked, axis=0) / np.maximum(known, 1), np.nan)
    return xr.DataArray(
        mean,
        {"side": list(SIDES), "step": steps},
        ("side", "step"),
        name="capture_ceiling",
        attrs={"units": "1", "long_name": "Capture of a formed channel through rounding", "seed": seed},
    )


def _same(direction: Tensor) -> Tensor:
    return direction


def _channel(
    given: Tensor | npt.ArrayLike | None, shape: tuple[int, ...], K: int, rng: np.random.Generator
) -> Tensor:
    """Matrix of rank K and Frobenius norm 1."""
    k = min(K, *shape)
    if given is None:
        left, right = (np.linalg.qr(rng.standard_normal((size, k)))[0] for size in shape)
        return torch.from_numpy(left @ right.T) / float(np.sqrt(k))
    matrix = (
        given.to(torch.float64)
        if isinstance(given, Tensor)
        else torch.from_numpy(np.asarray(given, np.float64))
    )
    if tuple(matrix.shape) != shape or not bool(torch.isfinite(matrix).all()) or not bool(matrix.any()):
        raise ShapeError(
            f"channel is {tuple(matrix.shape)}, the weight {shape}; or it is zero, or not finite. Pass an update of "
            "that weight, for example the last one."
        )
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    cut = (left[:, :k] * values[:k]) @ right[:k]
    scaled: Tensor = cut / torch.linalg.vector_norm(cut)
    return scaled


def capture_above_diffusion(
    capture: xr.DataArray, null: NullResult, ceiling: xr.DataArray, *, least: float = 0.1
) -> xr.DataArray:
    r"""Forward capture on the scale from matched diffusion (0) to a formed channel (1), both through rounding.

    .. math:: \frac{C - \bar C_{\mathrm{null}}}{C_{\mathrm{ceiling}} - \bar C_{\mathrm{null}}}

    On each side by itself. NaN, as if there were no checkpoint, where the ceiling lies less than ``least`` above what
    diffusion gives at most: there stored increments cannot tell the two apart. `geostat.locking_onset` reads it as
    it reads a capture. It takes the channel for one that is as even as the ceiling's: of a more uneven channel, which
    rounding hides less, it gives too much.

    Parameters
    ----------
    capture : xarray.DataArray
        ``forward_capture`` with dims side and step, and others.
    null : NullResult
        Of forward capture over (side, step), such as `random_walk_envelope` gives through rounding.
    ceiling : xarray.DataArray
        From `capture_ceiling`, with the same norms and initial weight.
    least : float
        Smallest room between the null's upper end and the ceiling, in (0, 1).

    Returns
    -------
    xarray.DataArray
        Dims of ``capture``, with its attributes.

    Raises
    ------
    SampleError
        If the null is not one of forward capture, or steps or sides are missing.

    References
    ----------
    Defined by geostat.
    """
    room = as_number("least", least)
    if not 0 < room < 1:
        raise SampleError(f"least={least!r} is no room between two captures: it lies between 0 and 1.")
    if "forward_capture" not in null.cells or set(null.cells["forward_capture"]["high"].dims) != {
        "side",
        "step",
    }:
        raise SampleError(
            f"the null holds {list(null.cells)}. Pass one of forward_capture over side and step, of one run and matrix."
        )
    cells = null.cells["forward_capture"]
    missing = [dim for dim in ("side", "step") if dim not in capture.dims]
    absent = (
        [] if missing else sorted(set(capture["step"].values.tolist()) - set(cells["step"].values.tolist()))
    )
    if missing or absent:
        raise SampleError(
            f"the capture has dims {list(capture.dims)} and steps {absent[:5]} that the null lacks. Make null and "
            "ceiling from norms at the capture's own steps."
        )
    at = {"side": capture["side"], "step": capture["step"]}
    low, high, top = (array.reindex(at) for array in (cells["null_mean"], cells["high"], ceiling))
    told = ((capture - low) / (top - low)).where(top - high >= room)
    return told.transpose(*capture.dims).rename(capture.name).assign_attrs(capture.attrs)
