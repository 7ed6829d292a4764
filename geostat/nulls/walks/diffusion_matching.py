"""What a diffusion null takes from a measurement: norms, shapes, horizon, storage, covariance, initial weights."""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor

from geostat.checkpoints import list_matrices, open_checkpoint, read_matrix
from geostat.errors import GeostatWarning, MissingTensorError, ProtocolError, SampleError
from geostat.nulls.walks.covariance import CovarianceLike, InputCovariance, input_covariance
from geostat.nulls.walks.matching import (
    Matched,
    latent_variances,
    one_horizon_later,
    walked_variances,
)
from geostat.nulls.walks.paths import WalkShape

__all__ = [
    "CovarianceOf",
    "MatrixWalk",
    "Storage",
    "channel_size",
    "initial_weights",
    "matched_walks",
    "rounded_storage",
]

Storage = Literal["fp32", "bf16"]
CovarianceOf = CovarianceLike | Mapping[str, CovarianceLike]
"""One covariance for all matrices, or one by name."""


@dataclass(frozen=True, eq=False)
class MatrixWalk:
    """The walk that is matched to one matrix of one run.

    Attributes
    ----------
    run, matrix : int
        Positions in the measurement.
    places : numpy.ndarray
        Positions of the checkpoints that the run has.
    shape : WalkShape
        Of the walk before rounding.
    initial : torch.Tensor or None
        The bf16 weight that it starts from, where it is seen through rounding.
    """

    run: int
    matrix: int
    places: npt.NDArray[np.int64]
    shape: WalkShape
    initial: Tensor | None


def matched_walks(
    data: xr.Dataset,
    *,
    covariance: CovarianceOf,
    initial: Mapping[str, Tensor],
    K: int,
    rng: np.random.Generator,
) -> list[MatrixWalk]:
    """Match a walk to every matrix of every run.

    Parameters
    ----------
    data : xarray.Dataset
        With dims run, step, matrix: ``increment_norm``, or else ``update_norm``; coordinates rows and cols.
    covariance : CovarianceOf
        Of the inputs.
    initial : mapping of str to torch.Tensor
        bf16 weights by name, empty where rounding is left out.
    K : int
        Size of a channel.
    rng : numpy.random.Generator
        For walks whose stored norms are matched.

    Returns
    -------
    list of MatrixWalk
        Without matrices that never changed in a run.

    Raises
    ------
    SampleError
        If norms or shapes are missing, or nothing changed.
    """
    norms, matched = _norms(data)
    names = [str(name) for name in data["matrix"].values] if "matrix" in data.coords else []
    covariances = _covariances(covariance, names, _sizes(data, "cols"))
    rows = _sizes(data, "rows")
    found = []
    for run in range(norms.sizes["run"]):
        horizon = _horizon(data, run)
        for position in range(norms.sizes["matrix"]):
            own = norms.isel(run=run, matrix=position).values
            places = np.flatnonzero(np.isfinite(own))
            if not np.nan_to_num(own).any():
                continue
            steps = data["step"].values[places]
            later = (-1,) * len(places) if horizon == 0 else one_horizon_later(steps.tolist(), horizon)
            start = initial.get(names[position]) if names else None
            inputs = covariances[position]
            variances = (
                walked_variances(own[places], matched)
                if start is None
                else latent_variances(start, own[places], matched, inputs, rng)
            )
            shape = WalkShape(rows[position], len(inputs.eigenvalues), variances, later, inputs, K)
            found.append(MatrixWalk(run, position, places, shape, start))
    if not found:
        raise SampleError("every update is zero: nothing changed, so there is no walk to compare with.")
    return found


def _norms(data: xr.Dataset) -> tuple[xr.DataArray, Matched]:
    for name, matched in (("increment_norm", "increments"), ("update_norm", "updates")):
        if name in data:
            array = data[name].transpose("run", "step", "matrix").astype(np.float64).compute()
            return array, "increments" if matched == "increments" else "updates"
    raise SampleError(
        "a walk is matched to the run's norms, but the data hold neither increment_norm nor update_norm. Measure "
        "diagnostics=[..., 'update_norm'], or merge geostat.nulls.path_geometry(base, checkpoints)."
    )


def _sizes(data: xr.Dataset, name: str) -> list[int]:
    if name not in data.coords or data[name].dims != ("matrix",):
        raise SampleError(
            f"a walk needs the shape of each matrix, but the data have no coordinate {name!r} along matrix. Attach it "
            f"with data.assign_coords({name}=('matrix', sizes))."
        )
    return [int(size) for size in data[name].values]


def _horizon(data: xr.Dataset, run: int) -> int | None:
    """Steps that figures look ahead; None for the next checkpoint, 0 where the measurement has no horizon."""
    told = data.coords["horizon"].values.ravel() if "horizon" in data.coords else [data.attrs.get("horizon")]
    value = told[run if len(told) > 1 else 0]
    if value is None:
        return None
    try:
        return 0 if np.isnan(float(value)) else int(value)
    except ValueError:
        return 0


def _covariances(given: CovarianceOf, names: Sequence[str], cols: Sequence[int]) -> list[InputCovariance]:
    if isinstance(given, Mapping):
        missing = [name for name in names if name not in given]
        if missing or not names:
            raise SampleError(
                f"covariance names {len(given)} matrices and lacks {missing[:5]}. Pass one for every matrix, or None "
                "for isotropic inputs."
            )
        return [input_covariance(given[name], size) for name, size in zip(names, cols, strict=True)]
    made = {size: input_covariance(given, size) for size in dict.fromkeys(cols)}
    return [made[size] for size in cols]


def rounded_storage(data: xr.Dataset, asked: Storage | None, initial: object) -> bool:
    """Whether walks are seen through bf16 rounding.

    Parameters
    ----------
    data : xarray.Dataset
        The measurement, which may say its storage.
    asked : {"fp32", "bf16"} or None
        What the caller says; None follows the data.
    initial : object
        Initial weights, or None where they are not at hand.

    Returns
    -------
    bool
        True for bf16.

    Raises
    ------
    ProtocolError
        If storage differs between runs, or rounding is asked for without initial weights.

    Warns
    -----
    GeostatWarning
        If the runs are stored in bf16 and the walks are not.
    """
    if asked not in (None, "fp32", "bf16"):
        raise ProtocolError(
            f"storage={asked!r} is not known. Pass 'bf16', 'fp32', or None to follow the data."
        )
    if asked == "bf16" and initial is None:
        raise ProtocolError(
            "a walk through bf16 rounding was asked for, but where it starts is not known. Pass initial=, the weights "
            "before training."
        )
    if asked is not None:
        return asked == "bf16"
    told = data.coords["storage"].values.ravel() if "storage" in data.coords else [data.attrs.get("storage")]
    kinds = {str(kind) for kind in told if kind}
    if len(kinds) > 1 or kinds & {"mixed", "fp16"}:
        raise ProtocolError(
            f"the runs are stored as {sorted(kinds)}. Rounding is simulated for bf16 alone: select runs of one "
            "storage, or pass storage='fp32' for walks without rounding."
        )
    if kinds == {"bf16"} and initial is None:
        warnings.warn(
            "the runs are stored in bf16, but the walks are not rounded, because initial= was not given. What stored "
            "increments share by rounding counts as excess here. Pass initial=, or storage='fp32' if this is meant.",
            GeostatWarning,
            stacklevel=3,
        )
    return kinds == {"bf16"} and initial is not None


def initial_weights(initial: Any, names: Sequence[str]) -> dict[str, Tensor]:
    """Read initial weights as bf16.

    Parameters
    ----------
    initial : path, mapping or Checkpoint
        What `geostat.open_checkpoint` takes.
    names : sequence of str
        Matrices.

    Returns
    -------
    dict
        By name, shape (rows, cols).

    Raises
    ------
    MissingTensorError
        If a matrix is not there.
    ProtocolError
        If the weights are not bf16 numbers: a stored run cannot have started from them.
    """
    checkpoint, wanted = open_checkpoint(initial), set(names)
    refs = {ref.name: ref for ref in list_matrices(checkpoint, "all", strict=False) if ref.name in wanted}
    missing = [name for name in names if name not in refs]
    if missing:
        raise MissingTensorError(f"initial= holds no {len(missing)} of the measured matrices: {missing[:5]}.")
    found = {name: read_matrix(checkpoint, refs[name]) for name in names}
    finer = [name for name, weight in found.items() if not _in_bf16(weight)]
    if finer:
        raise ProtocolError(
            f"initial= holds numbers that bf16 has not, in {finer[:5]}. A walk through rounding starts from the stored "
            "bf16 weights: pass those, or storage='fp32'."
        )
    return {name: weight.to(torch.bfloat16) for name, weight in found.items()}


def _in_bf16(weight: Tensor) -> bool:
    return weight.dtype is torch.bfloat16 or bool(
        (weight.to(torch.bfloat16).to(weight.dtype) == weight).all()
    )


def channel_size(data: xr.Dataset, K: int | None) -> int:
    """Size of the channels that the measurement's figures compare.

    Parameters
    ----------
    data : xarray.Dataset
        With attribute ``protocol_settings``, or without.
    K : int or None
        What the caller says.

    Returns
    -------
    int
        16 where nobody says.
    """
    if K is not None:
        return K
    return int(json.loads(data.attrs.get("protocol_settings", "{}")).get("K", 16))
