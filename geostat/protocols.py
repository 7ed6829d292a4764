"""Conventions as data: the settings under which a pair of checkpoints is measured."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Self

from geostat.errors import ProtocolError

__all__ = ["PROTOCOLS", "Protocol", "check_setting", "protocol"]

Rank = int | float
"""A number of directions (int, capped) or a share of min(rows, cols) (float)."""


@dataclass(frozen=True)
class Protocol:
    """One convention for measuring checkpoints.

    A field that holds a tuple is swept: the store then has a dimension of that name. A scalar is not. Lists
    become tuples, and numbers plain ones: eta and alpha float, counts int.

    Attributes
    ----------
    name : str
        Label; not part of the hash.
    eta : float or tuple of float
        Tolerance under which an entry counts as unchanged.
    rule : {"relative", "absolute"}
        Whether eta is relative to the larger magnitude of the pair.
    space : {"bf16", "raw"}
        Whether entries are rounded to bf16 before they are compared (sparsity, density, masks only).
    k : int, float or tuple
        Size of the principal subspaces: a count, capped at half of min(rows, cols), or a share of it.
    side : tuple of {"left", "right"}
        Sides on which subspaces are compared.
    r : int or float
        Rank of the reconstruction behind the principal mask; capped like k.
    alpha : float or tuple of float
        Share of entries in a mask.
    K : int
        Size of an update's channel.
    energy_k : int or tuple of int
        Sizes of W_0's subspaces in `principal_subspace_energy`.
    hill_k : int or float
        Order statistics in the Hill estimator: a count or a share of min(rows, cols).
    horizon : int or None
        Steps between past and next; None means the one gap between checkpoints where it is even.
    matrices : str
        Which matrices are measured when the call does not say.
    sparsity_weighting : {"parameters", "matrix", "both"}
        How sparsity is averaged over matrices; "both" makes every average say which.

    Examples
    --------
    >>> Protocol(name="mine", k=128).k
    128
    >>> Protocol().hash == Protocol(name="renamed").hash
    True
    >>> Protocol(eta=0, alpha=[0.3, 0.5]) == Protocol(eta=0.0)
    True
    """

    name: str = "custom"
    eta: float | tuple[float, ...] = 1e-3
    rule: Literal["relative", "absolute"] = "relative"
    space: Literal["bf16", "raw"] = "bf16"
    k: Rank | tuple[Rank, ...] = 512
    side: tuple[Literal["left", "right"], ...] = ("left", "right")
    r: Rank = 64
    alpha: float | tuple[float, ...] = (0.3, 0.5)
    K: int = 16
    energy_k: int | tuple[int, ...] = (16, 64)
    hill_k: Rank = 0.1
    horizon: int | None = None
    matrices: str = "attention"
    sparsity_weighting: Literal["parameters", "matrix", "both"] = "parameters"

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing; write those that mean the same in the same way."""
        for name in _RULES:
            given = getattr(self, name)
            for value in _values(given):
                check_setting(name, value, shown=f"protocol {self.name!r}: {name}")
            object.__setattr__(self, name, _canonical(name, given))

    @property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 of all fields but the name."""
        fields = {key: value for key, value in dataclasses.asdict(self).items() if key != "name"}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]

    def replace(self, **changes: Any) -> Self:
        """Return a copy with other settings, named after what it came from.

        Parameters
        ----------
        **changes
            Fields and their new values.

        Returns
        -------
        Protocol
            The copy.
        """
        return dataclasses.replace(self, **{"name": f"{self.name} (changed)", **changes})

    def to_json(self) -> str:
        """Serialise all fields.

        Returns
        -------
        str
            JSON that `from_json` reads back.
        """
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read back what `to_json` wrote.

        Parameters
        ----------
        text : str
            JSON of the fields.

        Returns
        -------
        Protocol
            The same protocol, tuples restored.
        """
        return cls(**json.loads(text))


def _values(value: Any) -> tuple[Any, ...]:
    """Values of a field, one or several; an empty sequence counts as None, which no sweep allows."""
    if isinstance(value, tuple | list):
        return tuple(value) or (None,)
    return (value,)


def _canonical(name: str, value: Any) -> Any:
    """Write equal settings alike, so that their hashes are equal."""
    if isinstance(value, tuple | list):
        return tuple(_canonical(name, each) for each in value)
    if not isinstance(value, Real):
        return value
    if name in ("eta", "alpha") or not isinstance(value, Integral):
        return float(value) + 0.0  # -0.0 becomes 0.0
    return int(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def _is_rank(value: Any) -> bool:
    if isinstance(value, Integral):
        return _is_count(value)
    return isinstance(value, Real) and 0 < float(value) <= 1


def _is_share(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < 1


def _is_tolerance(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < math.inf


class _Rule(NamedTuple):
    """Which values a setting may have: as a test, and in words."""

    allows: Callable[[Any], bool]
    meaning: str


def _one_of(*choices: str) -> _Rule:
    *most, last = (repr(choice) for choice in choices)
    return _Rule(lambda v: isinstance(v, str) and v in choices, f"{', '.join(most)} or {last}")


_RANK = _Rule(_is_rank, "a count of 1 or more, or a share in (0, 1] as a float")
_COUNT = _Rule(_is_count, "a count of 1 or more")
_RULES: Mapping[str, _Rule] = MappingProxyType(
    {
        "eta": _Rule(_is_tolerance, "a finite tolerance of 0 or more"),
        "rule": _one_of("relative", "absolute"),
        "space": _one_of("bf16", "raw"),
        "k": _RANK,
        "side": _one_of("left", "right"),
        "r": _RANK,
        "alpha": _Rule(_is_share, "a share in (0, 1)"),
        "K": _COUNT,
        "energy_k": _COUNT,
        "hill_k": _RANK,
        "horizon": _Rule(lambda v: v is None or _is_count(v), "a number of steps, or None"),
        "matrices": _Rule(lambda v: isinstance(v, str), "'attention', 'linear', 'all', a name or a glob"),
        "sparsity_weighting": _one_of("parameters", "matrix", "both"),
    }
)


def check_setting(name: str, value: Any, *, shown: str | None = None) -> None:
    """Raise unless a setting may have a value: one rule for protocols and for diagnostics called directly.

    Parameters
    ----------
    name : str
        Field of `Protocol`.
    value : object
        One value of it, not a tuple of several.
    shown : str, optional
        What the error calls it, where the caller knows it by another name.

    Raises
    ------
    ProtocolError
        If the value means nothing; says what does. If there is no such setting.

    Examples
    --------
    >>> check_setting("side", "left")
    >>> check_setting("energy_k", 0, shown="k")
    Traceback (most recent call last):
        ...
    geostat.errors.ProtocolError: k=0 means nothing. Pass a count of 1 or more.
    """
    rule = _RULES.get(name)
    if rule is None:
        raise ProtocolError(f"there is no setting {name!r}. Settings: {', '.join(_RULES)}.")
    if not rule.allows(value):
        raise ProtocolError(f"{shown or name}={value!r} means nothing. Pass {rule.meaning}.")


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Protocol(name="shen2026"),
            Protocol(name="zhu2025", matrices="linear"),
            Protocol(
                name="yu2026",
                eta=(0.0, 1e-5),
                rule="absolute",
                space="raw",
                k=(0.01, 0.05, 0.1, 0.2),
                r=0.1,
                alpha=(0.01, 0.05, 0.1, 0.2),
                matrices="linear",
                sparsity_weighting="both",
            ),
            Protocol(name="mukherjee2025", eta=1e-5, rule="absolute", matrices="all"),
        )
    }
)
"""Published conventions by name; what a paper does not state keeps the default."""


def protocol(given: "str | Protocol") -> Protocol:
    """Look up a protocol by name, or pass one through.

    Parameters
    ----------
    given : str or Protocol
        A name in `PROTOCOLS`, or a protocol.

    Returns
    -------
    Protocol
        The protocol.

    Raises
    ------
    ProtocolError
        If no preset has that name.

    Examples
    --------
    >>> protocol("shen2026").alpha
    (0.3, 0.5)
    """
    if isinstance(given, Protocol):
        return given
    if given not in PROTOCOLS:
        raise ProtocolError(
            f"protocol {given!r} is not known. Presets: {', '.join(PROTOCOLS)}. "
            "For your own convention pass geostat.Protocol(...)."
        )
    return PROTOCOLS[given]
