"""What the nulls of a whole run are asked, and which variables the answers become."""

from dataclasses import dataclass
from typing import Any, get_args

from geostat.errors import ProtocolError
from geostat.nulls.gates.request import GateMethod, gate_request
from geostat.protocols import Protocol

__all__ = ["FLOORED", "GATED", "LATENT_UPDATE", "REASONS", "Request", "request"]

GATED = ("update_sparsity", "low_magnitude_mask_overlap", "principal_mask_overlap")
"""Statistics of the gate null that are computed when none are named."""

FLOORED = (
    "max_principal_angle",
    "mean_principal_angle",
    "normalized_spectral_shift",
    "relative_update_norm",
    "stable_rank",
    "effective_rank",
)
"""Diagnostics whose noise floor is computed when none are named: those whose floor has one end."""

LATENT_UPDATE = "latent_update"
"""Name under which reasons of latent figures are kept."""

REASONS = (
    "defined",
    "no entry changed: nothing visible can be compared",
    "every entry changed: rounding has hidden none",
    "too few binades of W_0 hold enough entries",
    "the null refuses this matrix",
    "the model of the latent update is refused, or too little is known: only bounds hold",
)
"""Why a cell has no value, by the number that the dataset holds."""


@dataclass(frozen=True)
class Request:
    """Nulls that are asked for, the same for every matrix.

    Attributes
    ----------
    statistics : tuple of str
        Of the gate null.
    method : str
        Of the gate null.
    protocol : Protocol
        Convention of the figures.
    n : int
        Draws behind a p-value.
    level : float
        Of what the null keeps between its ends.
    seed : int
        From which every matrix and step gets its own random numbers.
    floors : tuple of str
        Diagnostics whose noise floor is computed.
    dtype : str
        Type in which checkpoints are stored.
    latent : bool
        Whether to estimate figures of the latent update.
    """

    statistics: tuple[str, ...]
    method: GateMethod
    protocol: Protocol
    n: int
    level: float
    seed: int
    floors: tuple[str, ...]
    dtype: str
    latent: bool

    @property
    def reasoned(self) -> tuple[str, ...]:
        """Nulls whose gaps have reasons."""
        return (*self.statistics, *((LATENT_UPDATE,) if self.latent else ()))

    def settings(self) -> dict[str, Any]:
        """Everything on which the answers depend, but the weights.

        Returns
        -------
        dict
            Serialisable.
        """
        named = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "protocol"}
        return {
            **named,
            "statistics": list(self.statistics),
            "floors": list(self.floors),
            "protocol": self.protocol.hash,
        }


def request(
    statistics: Any,
    method: GateMethod,
    protocol: Protocol,
    *,
    n: int,
    level: float,
    seed: int,
    floors: Any,
    latent: bool,
    storage: str,
) -> Request:
    """Check what is asked, before any entry is read.

    Parameters
    ----------
    statistics, method, protocol, n, level, seed, floors, latent
        As in `run_nulls`.
    storage : str
        Of the checkpoints.

    Returns
    -------
    Request
        The question.

    Raises
    ------
    ProtocolError
        If the method cannot answer for a statistic, a diagnostic has no floor of one end, or nothing is asked.
    """
    if method not in get_args(GateMethod):
        known = ", ".join(map(repr, get_args(GateMethod)))
        raise ProtocolError(f"method={method!r} is not known. Methods: {known}.")
    usual = ("principal_mask_overlap", "row_dispersion", "column_dispersion") if method == "strata" else GATED
    names = _names(usual if statistics is None else statistics)
    for name in names:
        gate_request(name, method, protocol=protocol, alpha=None, r=None, n=n, level=level)
    floored = _floors(floors, storage)
    if not names and not floored and not latent:
        raise ProtocolError("run_nulls was asked for nothing. Name statistics, or pass floors=True.")
    return Request(names, method, protocol, n, level, seed, floored, storage, latent)


def _names(given: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys([given] if isinstance(given, str) else given))


def _floors(given: Any, storage: str) -> tuple[str, ...]:
    if given is None:
        given = storage in ("bf16", "fp16")
    if isinstance(given, bool):
        given = FLOORED if given else ()
    names = _names(given)
    unknown = [name for name in names if name not in FLOORED]
    if unknown:
        raise ProtocolError(f"{unknown[0]} has no noise floor of one end. Known: {', '.join(FLOORED)}.")
    if names and storage not in ("bf16", "fp16"):
        raise ProtocolError(
            f"noise floors were asked for of a run that is stored in {storage}: they are those of bf16 or fp16. Pass "
            "the 16-bit checkpoints, or floors=False."
        )
    return names
