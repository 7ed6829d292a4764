"""Conventions as data: the settings under which a pair of checkpoints is measured."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Self

from geostat.errors import ProtocolError

__all__ = ["PROTOCOLS", "Protocol", "protocol"]

Rank = int | float
"""A number of directions (int, capped) or a share of min(rows, cols) (float)."""


@dataclass(frozen=True)
class Protocol:
    """One convention for measuring checkpoints.

    A field that holds a tuple is swept: the store then has a dimension of that name. A scalar is not.

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
        """Refuse settings that mean nothing."""
        for name, allowed, meaning in _RULES:
            for value in _values(getattr(self, name)):
                if not allowed(value):
                    raise ProtocolError(f"protocol {self.name!r}: {name}={value!r}. Pass {meaning}.")

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
        read: dict[str, Any] = json.loads(text)
        fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in read.items()}
        return cls(**fields)


def _values(value: Any) -> tuple[Any, ...]:
    if isinstance(value, tuple):
        return value or (None,)
    return (value,)


def _is_rank(value: Any) -> bool:
    return (isinstance(value, int) and value >= 1) or (isinstance(value, float) and 0 < value <= 1)


def _is_share(value: Any) -> bool:
    return isinstance(value, float) and 0 < value < 1


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value >= 1


_RANK = "a count of 1 or more, or a share in (0, 1] as a float"
_RULES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("eta", lambda v: isinstance(v, float | int) and v >= 0, "a tolerance of 0 or more"),
    ("rule", lambda v: v in ("relative", "absolute"), "'relative' or 'absolute'"),
    ("space", lambda v: v in ("bf16", "raw"), "'bf16' or 'raw'"),
    ("k", _is_rank, _RANK),
    ("side", lambda v: v in ("left", "right"), "('left', 'right') or one of them in a tuple"),
    ("r", _is_rank, _RANK),
    ("alpha", _is_share, "a share in (0, 1)"),
    ("K", _is_count, "a count of 1 or more"),
    ("energy_k", _is_count, "a count of 1 or more"),
    ("hill_k", _is_rank, _RANK),
    ("horizon", lambda v: v is None or _is_count(v), "a number of steps, or None"),
    ("sparsity_weighting", lambda v: v in ("parameters", "matrix", "both"), "parameters, matrix or both"),
)

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
                side=("left",),
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
