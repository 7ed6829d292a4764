"""The nulls of one matrix at all steps, as plain numbers."""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import ProtocolError, SampleError
from geostat.linalg import Factored
from geostat.nulls.floors.errors import ONE_END
from geostat.nulls.floors.floor import noise_floor
from geostat.nulls.floors.result import DIAGNOSTICS_WITH_FLOOR
from geostat.nulls.gates.gate import gate_null
from geostat.nulls.gates.law import ANY_LAW
from geostat.nulls.gates.request import OVERLAPS
from geostat.nulls.whole_runs.request import LATENT_UPDATE, REASONS, Request

__all__ = ["LATENT", "LATENT_QUANTITIES", "QUANTITIES", "Numbers", "matrix_nulls"]

QUANTITIES = {
    "observed": "observed",
    "null": "null_mean",
    "null_sd": "null_sd",
    "excess": "excess",
    "p_value": "p_value",
}
"""Ending of a variable -> what a null calls it."""

LATENT = ("stable_rank", "update_norm", "top_k_energy")
"""Diagnostics that are estimated for the latent update."""
LATENT_QUANTITIES = {"latent": "estimate", "latent_low": "low", "latent_high": "high"}

FLOOR_DRAWS = 4
"""Draws behind a floor: figures of a whole matrix of errors hardly differ between draws."""

NOTHING, EVERYTHING, TOO_SMALL, REFUSED, ONLY_BOUNDS = range(1, len(REASONS))

Numbers = dict[str, npt.NDArray[Any]]
"""Variable -> values, steps first."""


def matrix_nulls(
    name: str, initial: Factored, updated: Sequence[Factored], steps: Sequence[int], asked: Request
) -> Numbers:
    """Ask all nulls of one matrix.

    Parameters
    ----------
    name : str
        Of the matrix: it and the step make the random numbers, whatever else is computed.
    initial : Factored
        W_0.
    updated : sequence of Factored
        W_t.
    steps : sequence of int
        Of the checkpoints.
    asked : Request
        What.

    Returns
    -------
    dict
        ``<metric>_null`` and its kin, ``<metric>_reason``, and ``<metric>_floor`` without steps.

    Raises
    ------
    ProtocolError
        If storage does not suit the method: names matrix and step.
    """
    found = _floors(name, initial, asked)
    if asked.latent:
        found |= _latent(name, initial, updated, steps, asked)
    for statistic in asked.statistics:
        shape = (len(steps), *_own_shape(statistic, asked))
        found |= {f"{statistic}_{ending}": np.full(shape, np.nan) for ending in QUANTITIES}
        found[f"{statistic}_reason"] = np.zeros(len(steps), dtype=np.int8)
    for place, (step, weight) in enumerate(zip(steps, updated, strict=True)):
        for statistic in asked.statistics:
            try:
                values = _gate(initial, weight, statistic, asked, _generator(asked, name, step))
            except SampleError:
                found[f"{statistic}_reason"][place] = _reason(initial, weight)
                continue
            except ProtocolError as error:
                raise ProtocolError(f"{name} at step {step}: {error}") from error
            for ending, quantity in QUANTITIES.items():
                found[f"{statistic}_{ending}"][place] = values[quantity].values
            if bool(values["null_mean"].isnull().any()):
                found[f"{statistic}_reason"][place] = TOO_SMALL
    return found


def _generator(asked: Request, *of: str | int) -> np.random.Generator:
    """Random numbers that depend on what they are for, and not on what else is computed.

    Statistics share them: law-free, their p-value is that of one hypothesis, and does not differ by chance alone.
    """
    marks = [mark if isinstance(mark, int) else zlib.crc32(mark.encode()) for mark in of]
    return np.random.default_rng([asked.seed, *marks])


def _floors(name: str, initial: Factored, asked: Request) -> Numbers:
    """Upper ends of what storage alone gives; of ranks, which storage raises, the lower ends."""
    if not asked.floors or initial.is_zero:
        return {f"{each}_floor": np.array(np.nan) for each in asked.floors}
    found = noise_floor(
        initial,
        asked.dtype,  # type: ignore[arg-type]
        diagnostics=asked.floors,
        rounding=[ONE_END],
        protocol=asked.protocol,
        n=FLOOR_DRAWS,
        level=asked.level,
        rng=_generator(asked, name, "noise floor"),
    )
    ends = {"at most": "high", "at least": "low"}
    return {
        f"{each}_floor": found.cells[each][ends[DIAGNOSTICS_WITH_FLOOR[each]]].sel(rounding=ONE_END).values
        for each in asked.floors
    }


def _latent(
    name: str, initial: Factored, updated: Sequence[Factored], steps: Sequence[int], asked: Request
) -> Numbers:
    """Figures of the update before rounding, with their intervals."""
    from geostat.nulls.latents.update import latent_update

    found = {
        f"{metric}_{ending}": np.full(len(steps), np.nan) for metric in LATENT for ending in LATENT_QUANTITIES
    }
    found[f"{LATENT_UPDATE}_reason"] = np.zeros(len(steps), dtype=np.int8)
    for place, (step, weight) in enumerate(zip(steps, updated, strict=True)):
        rng = _generator(asked, name, step, "latent")
        result = latent_update(initial.stored, weight.stored, K=asked.protocol.K, level=asked.level, rng=rng)
        for metric in LATENT:
            for ending, quantity in LATENT_QUANTITIES.items():
                found[f"{metric}_{ending}"][place] = float(result.cells[metric][quantity])
        unknown = any(np.isnan(found[f"{metric}_latent"][place]) for metric in LATENT)
        found[f"{LATENT_UPDATE}_reason"][place] = ONLY_BOUNDS if unknown else 0
    return found


def _own_shape(statistic: str, asked: Request) -> tuple[int, ...]:
    alpha = asked.protocol.alpha
    return (len(alpha),) if statistic in OVERLAPS and isinstance(alpha, tuple) else ()


def _gate(
    initial: Factored, updated: Factored, statistic: Any, asked: Request, rng: np.random.Generator
) -> xr.Dataset:
    result = gate_null(
        initial,
        updated,
        statistic=statistic,
        method=asked.method,
        protocol=asked.protocol,
        n=asked.n,
        level=asked.level,
        rng=rng,
    )
    cells = result.cells[statistic]
    if "law" in cells.dims:
        cells = cells.sel(law=ANY_LAW)
    shape = _own_shape(statistic, asked)
    return cells.expand_dims("alpha") if len(shape) > cells["observed"].ndim else cells


def _reason(initial: Factored, updated: Factored) -> int:
    """Number of what the null says in words."""
    same = initial.stored == updated.stored
    if bool(same.all()):
        return NOTHING
    return EVERYTHING if not bool(same.any()) else REFUSED
