"""What is asked of the gate null, which methods can answer it, and why others cannot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from geostat.errors import ProtocolError, SampleError
from geostat.protocols import Protocol, check_setting, protocol as named_protocol

__all__ = ["OVERLAPS", "GateMethod", "GateRequest", "GateStatistic", "gate_request"]

GateMethod = Literal["law-free", "law", "permutation", "strata"]
GateStatistic = Literal[
    "update_sparsity",
    "update_density",
    "low_magnitude_mask_overlap",
    "principal_mask_overlap",
    "row_dispersion",
    "column_dispersion",
]
OVERLAPS = ("low_magnitude_mask_overlap", "principal_mask_overlap")
_SHARES = ("update_sparsity", "update_density")
_DISPERSIONS = ("row_dispersion", "column_dispersion")

_ANSWERS: dict[str, tuple[str, ...]] = {
    "law-free": (*_SHARES, *OVERLAPS),
    "law": (*_SHARES, *OVERLAPS),
    "permutation": (*_SHARES, *OVERLAPS, *_DISPERSIONS),
    "strata": ("principal_mask_overlap", *_DISPERSIONS),
}
_WHY_NOT = {
    "law-free": "the survival curve says how many entries of a magnitude change, not in which rows or columns",
    "law": "a law of single entries says how many of a magnitude change, not in which rows or columns",
    "strata": "it depends on W_0 through magnitudes alone, so permuting within magnitudes leaves it as it is: "
    "the excess would be 0 whatever the update did",
}


@dataclass(frozen=True)
class GateRequest:
    """A question to the gate null.

    Attributes
    ----------
    statistic, method : str
        As `gate_null` takes them.
    alphas : tuple of float
        Sizes of masks; one NaN where the statistic has none.
    r : int or float
        Rank of W_0's reconstruction.
    n : int
        Draws.
    level : float
        Of the interval.
    """

    statistic: str
    method: str
    alphas: tuple[float, ...]
    r: int | float
    n: int
    level: float


def gate_request(
    statistic: str,
    method: str,
    *,
    protocol: str | Protocol,
    alpha: float | Sequence[float] | None,
    r: int | float | None,
    n: int,
    level: float,
) -> GateRequest:
    """Check a question.

    Parameters
    ----------
    statistic, method, protocol, alpha, r, n, level
        As `gate_null` takes them.

    Returns
    -------
    GateRequest
        With the protocol's settings where none are given.

    Raises
    ------
    ProtocolError
        If there is no such method or statistic, the method cannot answer it, or a setting means nothing.
    SampleError
        If there are too few draws, or the level is none.
    """
    _check_answerable(statistic, method)
    convention = named_protocol(protocol)
    _check_tolerance(convention)
    given = convention.alpha if alpha is None else alpha
    alphas = tuple(given) if isinstance(given, Sequence) else (given,)
    for each in alphas:
        check_setting("alpha", each)
    rank = convention.r if r is None else r
    check_setting("r", rank)
    if n < 19:
        raise SampleError(f"n={n} draws cannot give a p-value of .05. Ask for 19 or more; 999 is usual.")
    if not 0 < level < 1:
        raise SampleError(f"level={level!r} is no level. Pass a share in (0, 1), such as 0.95.")
    masked = statistic in OVERLAPS
    return GateRequest(
        statistic, method, tuple(map(float, alphas)) if masked else (float("nan"),), rank, n, level
    )


def _check_answerable(statistic: str, method: str) -> None:
    if method not in _ANSWERS:
        raise ProtocolError(f"method={method!r} is not known. Methods: {', '.join(map(repr, _ANSWERS))}.")
    known = _ANSWERS["permutation"]
    if statistic not in known:
        raise ProtocolError(f"statistic={statistic!r} has no gate null. It exists for {', '.join(known)}.")
    if statistic not in _ANSWERS[method]:
        others = ", ".join(repr(name) for name, answers in _ANSWERS.items() if statistic in answers)
        raise ProtocolError(
            f"method={method!r} cannot answer for {statistic}: {_WHY_NOT[method]}. Methods that can: {others}."
        )


def _check_tolerance(convention: Protocol) -> None:
    """The gate is storage: an entry has changed where its stored number is another one."""
    etas = convention.eta if isinstance(convention.eta, tuple) else (convention.eta,)
    if not any(eta == 0 or (convention.rule == "relative" and eta < 1 / 256) for eta in etas):
        told = " and ".join(f"{eta:g}" for eta in etas)
        raise ProtocolError(
            f"protocol {convention.name!r} counts an entry as changed beyond a {convention.rule} tolerance of {told}, "
            "which hides steps that storage shows. The gate null speaks of storage: pass a protocol with "
            "eta=0, or a relative eta below 1/256."
        )
