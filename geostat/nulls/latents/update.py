"""The update before storage rounded it, from the cells in which its entries must lie."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import xarray as xr

from geostat.errors import ProtocolError
from geostat.linalg import MatrixLike
from geostat.nulls.building import variable_of
from geostat.nulls.latents.bounds import Bounds, bounds
from geostat.nulls.latents.figures import SIDES, Channels, figures
from geostat.nulls.latents.fit import CERTAINTY, Effort, Fit, fit, intervals
from geostat.nulls.latents.interval import Interval
from geostat.nulls.latents.pair import StoredPair
from geostat.nulls.latents.reproduction import misfit
from geostat.nulls.latents.result import LatentUpdate
from geostat.protocols import check_setting
from geostat.results import Variable
from geostat.statistics.runs.arguments import check_level
from geostat.statistics.runs.randomness import Randomness, seeded

__all__ = ["LatentUpdate", "latent_update"]

WHOLE = ("stable_rank", "update_norm", "top_k_energy")
ENOUGH = 2.0
"""Known entries for each parameter of a channel from which its figures are given (measured, see the tests)."""
LITTLE = 0.05
"""Share of the energy that is no direction which stands out, below which more directions cannot matter."""
LOST = 0.02
"""Share of the energy from which noise that cannot be told from none blurs the channel."""
NOTICED = 0.1
"""Share by which a direction that may be there lowers the stable rank, from which the result says so."""
METHOD = "interval from draws of the update in its rounding cells, corrected by rehearsals"
ASSUMPTIONS = (
    "the start is exactly the stored one",
    "the update is a sum of directions with independent normal entries and of independent normal noise, whose "
    "size may vary by row and by column",
)
CONDITIONS = (
    "the stored pair, and a model: a few directions plus independent normal noise, whose size may vary by row and "
    "by column."
)
BLIND = (
    "what the stored weights do not tell apart: noise of another law that rounds alike, such as a handful of equal "
    "steps by signs, and directions that do not stand out of the rounding, which widen the interval only as far as "
    "K of them can."
)
LONG_NAMES = {
    "stored_similarity": "similarity of the stored channel with the latent one",
    "other_similarity": "similarity of the latent channel with the given one",
    CERTAINTY: "similarity of the estimated channel with the latent one",
}


def latent_update(
    initial: MatrixLike,
    updated: MatrixLike,
    *,
    K: int = 16,
    other: MatrixLike | None = None,
    max_rank: int = 64,
    n_draws: int = 40,
    n_rehearsals: int = 2,
    level: float = 0.95,
    rng: Randomness = 0,
) -> LatentUpdate:
    r"""Update before storage rounded it.

    Stored 16-bit weights say of each entry of the update only in which cell it lies (see
    `geostat.linalg.rounding_cells`). With the model

    .. math:: \Delta W = A B^\top + E, \qquad \Delta W_{ij} \in [l_{ij}, h_{ij}],

    where entry (i, j) of E is normal with standard deviation :math:`s\, e^{p_i + q_j}`, the figures of
    :math:`\Delta W` itself, not of its low-rank part, are estimated from draws of A, B, the noise and
    :math:`\Delta W` given all cells. The rank is found from the data: directions are added while the largest
    singular value of the likelihood's derivative exceeds that of the same entries under random signs. A second
    chain has K directions more, which do not stand out, and the interval is the hull of both; that of the stable
    rank includes what the strongest direction would give that need not stand out. Then updates drawn from the fit
    are rounded onto the same start and estimated again: their errors correct the estimate, and where they do not
    resemble the stored update the model is refused and bounds are all there is.

    It is not the update: single entries stay as uncertain as their cells. It says nothing of other matrices
    or runs.

    Parameters
    ----------
    initial, updated : array or tensor
        Shape (m, n), both bfloat16 or both float16: the weights at the start, taken as exact, and now.
    K : int
        Size of the channel; capped at min(m, n).
    other : array, tensor or Factored, optional
        Shape (m, n): another update, whose channel the latent one is compared with.
    max_rank : int
        Most directions that are looked for.
    n_draws : int
        Draws of each chain, at least 10.
    n_rehearsals : int
        Updates drawn from the fit and estimated again. With 0 nothing corrects the estimate nor checks the model.
    level : float
        Of the intervals.
    rng : int, numpy.random.Generator or None
        Source of randomness.

    Returns
    -------
    LatentUpdate
        ``stable_rank``, ``update_norm``, ``top_k_energy``, and per side ``stored_similarity`` (of the stored
        channel with the latent one), ``other_similarity`` and ``channel_certainty`` (of the estimated channel
        with the latent one): ``stored``, ``estimate``, ``low``, ``high``, ``bound_low``, ``bound_high``.

    Raises
    ------
    ProtocolError
        If the weights are not stored in one 16-bit type, or a setting means nothing.
    ShapeError, NonFiniteError
        If the matrices do not belong together, or hold NaN.

    References
    ----------
    albert1993 (data augmentation); salakhutdinov2008 (the prior); hong2020 (random signs); benaych2012 (directions in
    noise).

    Examples
    --------
    >>> import torch
    >>> from geostat.linalg import round_to_bf16
    >>> draw = torch.Generator().manual_seed(0)
    >>> initial = torch.randn(96, 96, generator=draw, dtype=torch.float64).to(torch.bfloat16)
    >>> channel = 0.001 * torch.outer(*torch.randn(2, 96, generator=draw, dtype=torch.float64))
    >>> stored = round_to_bf16(initial.to(torch.float64) + channel)
    >>> found = latent_update(initial, stored, K=1, n_draws=10)
    >>> bool((initial == stored).to(torch.float64).mean() > 0.8)  # most entries are unchanged
    True
    >>> float(found["stable_rank"].stored) > 1.5, float(found["stable_rank"].estimate) < 1.01  # the truth is 1
    (True, True)
    """
    check_level(level)
    for name, value in (("K", K), ("max_rank", max_rank)):
        check_setting("K", value, shown=name)
    if n_draws < 10 or n_rehearsals < 0:
        raise ProtocolError(
            f"n_draws={n_draws} and n_rehearsals={n_rehearsals}: an interval needs 10 draws or more, and rehearsals "
            "are counted from 0."
        )
    generator, seed = seeded(rng)
    pair = StoredPair.of(initial, updated, K)
    compared = pair.compared(other)
    effort = Effort(max_rank, n_draws, n_rehearsals)
    found = None if pair.too_little else fit(pair, compared, effort, generator)
    return _result(pair, compared, found, level, seed, effort)


def _result(
    pair: StoredPair,
    compared: Mapping[str, Channels],
    found: Fit | None,
    level: float,
    seed: int,
    effort: Effort,
) -> LatentUpdate:
    reason = pair.too_little if found is None else misfit(pair.update, [r.stored for r in found.rehearsals])
    told = {} if found is None or reason else intervals(found, level)
    unclear = reason or _undetermined(pair, found)
    cells = _cells(pair, compared, told, Reasons(reason, unclear), _bounded(pair, found))
    notices = ([unclear] if unclear else []) + (
        [] if found is None or reason else _notices(pair, found, effort)
    )
    channels: Channels = {} if found is None else found.channels
    return LatentUpdate(
        cells=cells,
        variables={name: _variable(name) for name in cells},
        single=False,
        title=f"The update before storage rounded it: {', '.join(cells)}",
        estimand="Figures of this matrix's update before its weights were stored in 16 bits.",
        method=METHOD,
        scope="model-dependent",
        level=level,
        n_runs=1,
        n_matrices=1,
        n_steps=1,
        assumptions=ASSUMPTIONS,
        warnings=tuple(notices),
        settings={"K": pair.K, **asdict(effort)},
        seed=seed,
        rank=0 if found is None else found.rank,
        noise=math.nan if found is None else found.noise,
        conditions_on=CONDITIONS,
        cannot_see=BLIND,
        left=channels.get("left"),
        right=channels.get("right"),
    )


def _notices(pair: StoredPair, found: Fit, effort: Effort) -> list[str]:
    told = []
    if found.rank >= min(effort.max_rank, min(pair.update.shape) // 2):
        told.append(f"{found.rank} directions stand out, as many as were looked for; more may be there")
    lowest, usual = float(found.ranks_with_undetected.mean()), float(found.ranks.mean())
    if lowest < (1 - NOTICED) * usual:
        told.append(
            f"a direction too weak to stand out may lower the stable rank from {usual:.3g} to {lowest:.3g}: the "
            "interval holds both"
        )
    return told


@dataclass(frozen=True)
class Reasons:
    """Why there is no interval: for any figure, and for those of the channel."""

    all: str
    channel: str

    def of(self, name: str) -> str:
        """Reason for one figure; empty where it has an interval."""
        return self.all if name in ("stable_rank", "update_norm") else self.channel


def _undetermined(pair: StoredPair, found: Fit | None) -> str:
    """Say why the channel of K directions cannot be told, where that is so."""
    needed = pair.K * sum(pair.update.shape)
    if found is not None and found.unresolved and found.hidden > LOST:
        return (
            f"the size of the noise is lost in the uncertainty of the {found.rank} directions found: it may be 0 or "
            f"{100 * found.hidden:.2g}% of the energy"
        )
    if found is None or found.rank >= pair.K or found.hidden < LITTLE or found.information >= ENOUGH * needed:
        return ""
    return (
        f"{found.rank} directions stand out of {pair.K}, and for more the stored pair says too little: as much as "
        f"{found.information:.3g} exactly known entries, for {needed} parameters"
    )


def _bounded(pair: StoredPair, found: Fit | None) -> Bounds:
    directions = [figures(pair.update, {}, K=1).channels] if bool(pair.update.any()) else []
    if found is not None:
        directions.append(found.channels)
    return bounds(pair.cells, pair.K, *((each["left"][:, 0], each["right"][:, 0]) for each in directions))


def _cells(
    pair: StoredPair,
    compared: Mapping[str, Channels],
    told: Mapping[str, Interval],
    reasons: "Reasons",
    sure: Bounds,
) -> dict[str, xr.Dataset]:
    zero = not bool(pair.update.any())
    stored = {} if zero else _stored(pair, compared)
    cells = {name: _cell(told.get(name), stored.get(name), sure[name], reasons.of(name)) for name in WHOLE}
    for name in (*compared, CERTAINTY):
        sides = [
            _cell(told.get(f"{name} {side}"), stored.get(f"{name} {side}"), (0.0, 1.0), reasons.of(name))
            for side in SIDES
        ]
        along = xr.DataArray(np.array(SIDES, np.dtypes.StringDType()), dims="side", name="side")
        cells[name] = xr.concat(sides, dim=along)
    return cells


def _stored(pair: StoredPair, compared: Mapping[str, Channels]) -> dict[str, float]:
    other = {name: channels for name, channels in compared.items() if name != "stored_similarity"}
    found = figures(pair.update, other, K=pair.K)
    return dict(zip(found.names, found.values.tolist(), strict=True))


def _cell(found: Interval | None, stored: float | None, sure: tuple[float, float], reason: str) -> xr.Dataset:
    low, high = sure
    numbers = {"stored": math.nan if stored is None else stored}
    ends = (math.nan,) * 3 if found is None or reason else (found.estimate, found.low, found.high)
    numbers |= dict(zip(("estimate", "low", "high"), np.clip(ends, low, high), strict=True))
    numbers |= {"bound_low": low, "bound_high": high}
    return xr.Dataset(numbers | {"reason": xr.DataArray(np.array(reason, np.dtypes.StringDType()))})


def _variable(name: str) -> Variable:
    return variable_of(name, long_name=LONG_NAMES.get(name, ""))
