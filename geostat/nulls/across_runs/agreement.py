"""Whether two runs' updates lie in the same directions more than rounding onto one W_0 makes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from torch import Tensor

from geostat.checkpoints import Selection
from geostat.errors import SampleError
from geostat.linalg import own_arithmetic, subspace_similarity
from geostat.linalg.factored import Side
from geostat.nulls.across_runs.agreement_haar import haar_similarity
from geostat.nulls.across_runs.agreement_rounding import (
    Channels,
    draw_channels,
    latent_spectrum,
    similarities,
)
from geostat.nulls.across_runs.agreement_runs import Runs, SharedStart, Weights, shared_starts, unchanged_runs
from geostat.nulls.building import null_result
from geostat.nulls.null_result import NullResult
from geostat.protocols import check_setting
from geostat.results.base import Variable
from geostat.statistics.runs.arguments import check_level
from geostat.statistics.runs.randomness import Randomness, seeded

__all__ = ["subspace_agreement"]

HAAR, ROUNDED = "Haar", "Haar through rounding"
_FEWEST = 8
_VARIABLE = Variable(
    "subspace_agreement",
    long_name="Similarity of two runs' update channels",
    units="1",
    symbol=r"\|V_K^{(1)\top} V_K^{(2)}\|_F^2 / K",
    reference="shen2026, eq. 9, across runs",
    valid_min=0.0,
    valid_max=1.0,
)
_QUANTITIES = ("observed", "null_mean", "null_sd", "low", "high", "p_value")


@dataclass(frozen=True)
class _Request:
    """What was asked for."""

    K: int
    sides: tuple[Side, ...]
    n: int
    level: float


@dataclass(frozen=True)
class _Cell:
    """One row of the result."""

    observed: float
    null_mean: float = np.nan
    null_sd: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p_value: float = np.nan
    reason: str = ""


def subspace_agreement(
    runs: Runs,
    *,
    initial: Weights | None = None,
    matrices: Selection = "attention",
    K: int = 16,
    side: Side | Literal["both"] = "right",
    n: int = 20,
    level: float = 0.95,
    rng: Randomness = None,
) -> NullResult:
    r"""Similarity of two runs' update channels, against Haar and against Haar through rounding.

    .. math:: \|V_K^{(1)\top} V_K^{(2)}\|_F^2 / K

    V_K^{(r)} the leading K right singular vectors of run r's stored update (U_K on the left). *Haar*: independent
    uniform subspaces have mean K/n and variance :math:`2 (n - K)^2 / (n^2 (n - 1)(n + 2))`. That baseline is wrong
    for stored weights: runs that share W_0 share its dead zones, so their stored updates are zero in the same
    places, and agree by rounding alone. *Haar through rounding*: random updates with each run's singular values
    (before rounding, found by matching those after it) and independent uniform singular vectors, rounded onto the
    same W_0; n of them for each run, each compared with each.

    Parameters
    ----------
    runs : mapping or sequence
        Two or more runs, by name or in order: what each ended with (array, tensor, path, checkpoint), or a pair
        (initial, updated) for each.
    initial : array, tensor, path or checkpoint, optional
        W_0 of all runs; left out where `runs` holds pairs.
    matrices : str, sequence of str or callable
        Which matrices of checkpoints, as in `geostat.measure`; ignored for arrays.
    K : int
        Size of the channels; at most each update's numerical rank, the smaller divides.
    side : {"right", "left", "both"}
        V, U, or both.
    n : int
        Random updates for each run, 8 or more; each costs a decomposition. The p-value is at least 1/(n + 1).
    level : float
        Share of the null between `low` and `high`.
    rng : int, numpy.random.Generator or None
        Source of randomness.

    Returns
    -------
    NullResult
        Dims pair, side, baseline and, for checkpoints, matrix. p-values are one-sided: as similar or more. Of fp32
        weights the second baseline is NaN with its reason: nothing was rounded.

    Raises
    ------
    SampleError
        If there are fewer than two runs, they start from different weights, a run changed nothing, or n is
        too small.
    ProtocolError
        If the weights are stored in several types.
    ShapeError
        If shapes differ.

    References
    ----------
    :cite:t:`shen2026`, eq. 9, for the similarity, there between checkpoints of one run.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> rng = np.random.default_rng(0)
    >>> columns = np.exp(2 * rng.standard_normal(48))  # the weights of some inputs are small
    >>> start = torch.from_numpy(rng.standard_normal((64, 48)) * columns).to(torch.bfloat16)
    >>> def run():
    ...     step = torch.from_numpy(1e-4 * rng.standard_normal((64, 48)))
    ...     return (start.double() + step).to(torch.bfloat16)
    >>> found = subspace_agreement({"a": run(), "b": run()}, initial=start, K=4, n=20, rng=0)
    >>> [bool(p > 0.05) for p in found.p_value.squeeze()]  # independent updates, judged by either baseline
    [False, True]
    """
    check_setting("K", K)
    check_level(level)
    sides: tuple[Side, ...] = ("left", "right") if side == "both" else (side,)
    for each in sides:
        check_setting("side", each)
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < _FEWEST:
        raise SampleError(
            f"n={n!r} random updates for each run are too few for a null. Pass {_FEWEST} or more."
        )
    request = _Request(K, sides, int(n), level)
    generator, seed = seeded(rng)
    found: dict[str, dict[tuple[str, Side, str], _Cell]] = {}
    told: list[str] = []
    names: list[str] = []
    with own_arithmetic():
        for start in shared_starts(runs, initial=initial, matrices=matrices, asked="subspace_agreement"):
            found[start.matrix] = _compared(start, request, generator, told)
            names = list(start.updated)
    return null_result(
        {_VARIABLE.name: _cells(found)},
        variables={_VARIABLE.name: _VARIABLE},
        title="Similarity of two runs' update channels, against Haar and against Haar through rounding",
        estimand=f"Similarity of the leading {K} directions of two runs' stored updates.",
        method=f"{n} random updates for each run, rounded onto the shared W_0, each compared with each",
        conditions_on="W_0, the storage type, and the singular values of each run's stored update.",
        cannot_see=(
            "where agreement beyond rounding comes from: shared inputs, shared data and a shared W_0 all turn "
            "independent runs towards each other; nor rows or columns of unequal size, which a uniform update lacks."
        ),
        level=level,
        n_runs=len(names),
        n_matrices=len(found),
        assumptions=(
            "Training started from the stored W_0 exactly.",
            "Under the null the singular vectors of the update, before rounding, are uniformly distributed.",
        ),
        warnings=tuple(told),
        settings={"K": K, "side": side, "n": request.n, "matrices": str(matrices), "runs": names},
        seed=seed,
    )


def _compared(
    start: SharedStart, request: _Request, rng: np.random.Generator, told: list[str]
) -> dict[tuple[str, Side, str], _Cell]:
    """Every pair of runs, on every side, against both baselines."""
    where = f" of matrix {start.matrix!r}" if start.matrix else ""
    for name in unchanged_runs(start):
        raise SampleError(
            f"subspace_agreement: run {name!r} changed nothing{where}: a zero update has no directions. Leave the "
            "run out, or take a checkpoint at another step."
        )
    updates = {n: end.minus(start.initial, wanted=request.K) for n, end in start.updated.items()}
    simulated: dict[str, Channels] = {}
    if start.rounded:
        weights = start.stored()
        for name, update in updates.items():
            latent = latent_spectrum(weights, update, rng)
            density = float((update.values != 0).double().mean())
            if abs(latent.density - density) > 0.05:
                told.append(_unlike(name, where, density, latent.density))
            simulated[name] = draw_channels(
                weights, latent.values, K=request.K, sides=request.sides, n=request.n, rng=rng
            )
    found: dict[tuple[str, Side, str], _Cell] = {}
    for a, b in start.pairs:
        for side in request.sides:
            first, second = (updates[name].channel(request.K, side) for name in (a, b))
            seen = min(1.0, subspace_similarity(first, second))
            size = start.initial.size(side)
            pair = f"{a} & {b}"
            found[pair, side, HAAR] = _against_haar(
                seen, size, first.shape[1], second.shape[1], request.level
            )
            found[pair, side, ROUNDED] = (
                _against_draws(seen, simulated[a][side], simulated[b][side], request)
                if start.rounded
                else _Cell(
                    seen, reason=f"the weights are stored in {start.told_storage}: nothing was rounded"
                )
            )
    return found


def _unlike(name: str, where: str, density: float, simulated: float) -> str:
    return (
        f"Random updates with the singular values of run {name!r}{where} change {simulated:.1%} of the entries, the "
        f"run {density:.1%}: its entries are not those of a uniform update, and the rounding null is approximate."
    )


def _against_haar(seen: float, size: int, j: int, k: int, level: float) -> _Cell:
    if max(j, k) >= size:
        return _Cell(seen, reason="the channel is the whole space")
    law = haar_similarity(size, j, k)
    return _Cell(seen, law.mean, law.sd, *law.interval(level), law.beyond(seen))


def _against_draws(
    seen: float, first: Sequence[Tensor], second: Sequence[Tensor], request: _Request
) -> _Cell:
    if min(len(first), len(second)) < request.n:
        return _Cell(seen, reason="random updates of that size do not survive rounding")
    draws = similarities(first, second)
    low, high = np.quantile(draws, [(1 - request.level) / 2, (1 + request.level) / 2])
    share = float((draws >= seen).mean())
    p_value = (1 + request.n * share) / (request.n + 1)
    return _Cell(seen, float(draws.mean()), float(draws.std(ddof=1)), float(low), float(high), p_value)


def _cells(found: Mapping[str, Mapping[tuple[str, Side, str], _Cell]]) -> xr.Dataset:
    keys = list(next(iter(found.values())))
    names = [list(found), *(list(dict.fromkeys(each)) for each in zip(*keys, strict=True))]
    coords = {dim: _text(own) for dim, own in zip(("matrix", "pair", "side", "baseline"), names, strict=True)}
    shape = [len(own) for own in names]
    told = [cell for own in found.values() for cell in own.values()]  # in the order of the coordinates

    def array(values: npt.NDArray[Any]) -> xr.DataArray:
        return xr.DataArray(values.reshape(shape), dims=tuple(coords), coords=coords)

    arrays = {name: array(np.array([getattr(cell, name) for cell in told])) for name in _QUANTITIES}
    cells = xr.Dataset(arrays | {"reason": array(_text([cell.reason for cell in told]))})
    return cells if any(found) else cells.isel(matrix=0, drop=True)


def _text(values: Sequence[str]) -> npt.NDArray[Any]:
    return np.array(values, dtype=np.dtypes.StringDType())
