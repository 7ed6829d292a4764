"""Angles, ranks, norms and energies that storage rounding alone gives."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor

from geostat.diagnostics import DIAGNOSTICS
from geostat.errors import ProtocolError, SampleError
from geostat.linalg import Factored, MatrixLike, factored, own_arithmetic
from geostat.linalg.factored import require_same_shape
from geostat.nulls.across_runs.agreement_density import rounded
from geostat.nulls.building import variable_of
from geostat.nulls.floors.closed import closed_form
from geostat.nulls.floors.errors import KINDS, THIS_DENSITY, VANISHING, draw_errors, error_variance
from geostat.nulls.floors.prediction import prediction
from geostat.nulls.floors.result import DIAGNOSTICS_WITH_FLOOR, NoiseFloor
from geostat.protocols import Protocol, protocol as look_up
from geostat.statistics.runs.arguments import check_level
from geostat.statistics.runs.randomness import Randomness, seeded
from geostat.trajectories.sweep import evaluate, swept_fields

__all__ = ["noise_floor"]

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

Floats = npt.NDArray[np.float64]


def noise_floor(
    initial: MatrixLike,
    dtype: Literal["bf16", "fp16"] = "bf16",
    *,
    updated: MatrixLike | None = None,
    diagnostics: Iterable[str] | None = None,
    rounding: Iterable[str] | None = None,
    protocol: str | Protocol = "shen2026",
    n: int = 8,
    level: float = 0.95,
    rng: Randomness = None,
) -> NoiseFloor:
    r"""Figures that storage rounding alone gives.

    W_0 against W_0 + E, E the errors of storage, through the same diagnostics as a run. What E is depends on what
    was stored exactly; dim ``rounding`` has a row for each case.

    ``"vanishing update"``
        Training started from the stored W_0, and every step was lost: the two are equal. Angles, shift and norm
        are exactly 0, ranks have no value. As long as entries do not change, bf16 alone adds nothing.
    ``"this density"`` (where `updated` is given)
        Training started from the stored W_0; E is the stored less the true update, of a Gaussian update that changes
        as many entries as the run did. Below half an ulp E undoes the update, elsewhere it is uniform in a cell.
    ``"one end"``
        Training started from the stored W_0 and moved every entry by an ulp or more: each entry of W_t is off by
        an error uniform in its rounding cell. The most that storage of W_t alone can add.
    ``"both ends"``
        Neither was exact: fp32 weights were stored in 16 bits at the start *and* at t, and training went on from the
        fp32 ones. Two independent errors.

    A figure that does not rise above the floor that applies may be storage alone; whether it *is*, the gate null
    and the latent update tell. One above it is not storage alone.

    Parameters
    ----------
    initial : array, tensor or Factored
        W_0, shape (m, n); rounded to `dtype` first.
    dtype : {"bf16", "fp16"}
        Type in which checkpoints are stored.
    updated : array, tensor or Factored, optional
        A run's weights, shape (m, n), whose density is matched.
    diagnostics : iterable of str, optional
        Which of max_principal_angle, mean_principal_angle, normalized_spectral_shift, update_norm,
        relative_update_norm, top_k_energy, stable_rank, effective_rank, principal_subspace_energy; all by
        default.
    rounding : iterable of str, optional
        Which of the cases above; all by default, and "this density" where `updated` is given.
    protocol : str or Protocol
        Sizes and sides of subspaces.
    n : int
        Draws, 2 or more; each costs a decomposition of W_0's size for each kind of error.
    level : float
        Of the interval for one more draw (Student, on the logarithms of the draws).
    rng : int, numpy.random.Generator or None
        Source of randomness.

    Returns
    -------
    NoiseFloor
        Mean, interval and, where there is one, the closed form, per diagnostic; `NoiseFloor.covers` judges figures.

    Raises
    ------
    SampleError
        If n is too small, W_0 is zero, `updated` changes nothing or everything, or a diagnostic has no
        floor.
    ProtocolError
        If `dtype` is neither bf16 nor fp16.
    ShapeError
        If shapes differ.
    NonFiniteError
        If an entry is NaN or infinite.

    References
    ----------
    :cite:t:`shen2026` for the diagnostics, which are published from bf16 checkpoints without a floor.

    Examples
    --------
    >>> import torch
    >>> weights = torch.randn(64, 48, generator=torch.Generator().manual_seed(0)).bfloat16()
    >>> floor = noise_floor(weights, diagnostics=["normalized_spectral_shift", "stable_rank"], n=4, rng=0)
    >>> shift = floor["normalized_spectral_shift"].estimate
    >>> f"{float(shift.sel(rounding='one end')):.1g}", float(shift.sel(rounding="vanishing update"))
    ('0.0002', 0.0)
    """
    check_level(level)
    names, kinds = _checked_names(diagnostics), _checked_kinds(rounding, updated)
    convention = look_up(protocol)
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 2:
        raise SampleError(f"n={n!r} draws have no spread. Pass 2 or more.")
    if dtype not in _DTYPES:
        raise ProtocolError(
            f"dtype={dtype!r} means nothing. Pass 'bf16' or 'fp16': fp32 storage has no such floor."
        )
    generator, seed = seeded(rng)
    with own_arithmetic():
        stored = rounded(factored(initial).values, _DTYPES[dtype])
        start = factored(stored)
        if start.is_zero:
            raise SampleError("noise_floor: initial is zero in every entry, so no figure is relative to it.")
        density = None if updated is None else _density(start, factored(updated), _DTYPES[dtype])
        errors = (each for _ in range(int(n)) for each in draw_errors(stored, density, generator))
        draws = _draws(start, errors, names, kinds, convention)
        variances = error_variance(stored)
        cells = {name: _cells(name, draws[name], start, variances, convention, level) for name in names}
    return NoiseFloor(
        cells=cells,
        variables={name: variable_of(name) for name in names},
        single=len(names) == 1,
        title=f"What storage in {dtype} alone gives",
        estimand="Each diagnostic of W_0 against W_0 plus storage errors.",
        method=f"mean of {n} simulated errors, Student prediction interval on logarithms",
        scope="descriptive",
        level=level,
        n_runs=1,
        n_matrices=1,
        n_steps=1,
        conditions_on="the stored W_0 and its type: errors are uniform in rounding cells and independent.",
        cannot_see="errors before storage, such as those of 16-bit training or of tensors stored twice.",
        settings={"dtype": dtype, "n": int(n), "density": density},
        protocol=convention.name,
        protocol_hash=convention.hash,
        seed=seed,
    )


def _checked_names(diagnostics: Iterable[str] | None) -> list[str]:
    given = (diagnostics,) if isinstance(diagnostics, str) else diagnostics
    names = list(DIAGNOSTICS_WITH_FLOOR) if given is None else list(given)
    unknown = [name for name in names if name not in DIAGNOSTICS_WITH_FLOOR]
    if unknown or not names:
        raise SampleError(
            f"noise_floor was asked for {', '.join(map(repr, unknown)) or 'no diagnostic'}. There is a floor for: "
            f"{', '.join(DIAGNOSTICS_WITH_FLOOR)}. Sparsity and masks have a null instead: gate_null."
        )
    return names


def _checked_kinds(rounding: Iterable[str] | None, updated: MatrixLike | None) -> list[str]:
    known = [kind for kind in KINDS if kind != THIS_DENSITY or updated is not None]
    chosen = set((rounding,) if isinstance(rounding, str) else known if rounding is None else rounding)
    if not chosen or not chosen <= set(known):
        raise SampleError(
            f"noise_floor was asked for rounding={sorted(chosen)}. Choose among {known}"
            f"{'' if updated is not None else f', or pass updated= for {THIS_DENSITY!r}'}."
        )
    return [kind for kind in known if kind in chosen]


def _density(start: Factored, updated: Factored, dtype: torch.dtype) -> float:
    require_same_shape(start, updated)
    changed = rounded(updated.values, dtype).to(torch.float64) != start.values
    density = float(changed.to(torch.float64).mean())
    if density in (0.0, 1.0):
        told = "changes nothing" if density == 0 else "changes every entry"
        raise SampleError(
            f"noise_floor: updated {told}, so there is no density to match. Leave updated= out: "
            f"{'the floor is that of a vanishing update' if density == 0 else 'one end is then the floor'}."
        )
    return density


def _draws(
    start: Factored,
    errors: Iterable[tuple[str, Tensor]],
    names: list[str],
    kinds: list[str],
    convention: Protocol,
) -> Mapping[str, dict[str, tuple[list[Floats], str]]]:
    """Per diagnostic and kind of error: figures of every draw, and why one is missing."""
    found: dict[str, dict[str, tuple[list[Floats], str]]] = {
        name: {kind: ([], "") for kind in kinds} for name in names
    }
    nothing = (VANISHING, torch.zeros_like(start.values))
    for kind, error in (each for each in chain([nothing], errors) if each[0] in kinds):
        operands = {"initial": start, "updated": factored(start.values + error), "update": factored(error)}
        for name in names:
            values, reason = evaluate(DIAGNOSTICS[name], operands, convention)
            figures, told = found[name][kind]
            found[name][kind] = (
                [*figures, values],
                told if figures else reason.sentence if reason.value else "",
            )
    return found


def _cells(
    name: str,
    draws: Mapping[str, tuple[list[Floats], str]],
    start: Factored,
    variances: Mapping[str, Tensor],
    convention: Protocol,
    level: float,
) -> xr.Dataset:
    fields = swept_fields(DIAGNOSTICS[name], convention)
    kinds = list(draws)
    text = np.dtypes.StringDType()
    coords: dict[str, Any] = {"rounding": np.array(kinds, dtype=text)}
    for field in fields:
        values = getattr(convention, field)
        coords[field] = np.array(values, dtype=text if isinstance(values[0], str) else None)
    numbers = [prediction(np.array(draws[kind][0]), DIAGNOSTICS[name].bounds, level) for kind in kinds]
    blank = np.full_like(numbers[0].mean, np.nan)
    formulas = [
        closed_form(name, start, variances[kind], convention) if kind in variances else None for kind in kinds
    ]
    stacked = dict(
        zip(("estimate", "sd", "low", "high"), map(np.array, zip(*numbers, strict=True)), strict=True)
    )
    stacked["closed_form"] = np.array([blank if formula is None else formula for formula in formulas])
    arrays = {key: (tuple(coords), values) for key, values in stacked.items()}
    reasons = ("rounding", np.array([draws[kind][1] for kind in kinds], dtype=text))
    return xr.Dataset(arrays, coords).assign(reason=reasons)
