"""What a diagnostic is: one registered description from which everything else is derived."""

import enum
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeVar

__all__ = [
    "DIAGNOSTICS",
    "INVARIANCES",
    "OPERANDS",
    "TIERS",
    "Diagnostic",
    "Reason",
    "Tier",
    "Undefined",
    "diagnostic",
]

OPERANDS: Mapping[str, str] = MappingProxyType(
    {
        "initial": "W_0, the weight at the run's start",
        "updated": "W_t, the weight at step t",
        "update": "dW_t = W_t - W_0, the cumulative update",
        "first": "dW at the run's first checkpoint",
        "final": "dW at the run's last checkpoint",
        "later": "dW one horizon h after t",
        "increment": "W_{t+h} - W_t, what the next horizon adds",
        "remaining": "W_{t_end} - W_t, everything still to come",
    }
)
"""The matrices that a diagnostic may ask for, by argument name."""

INVARIANCES: Mapping[str, str] = MappingProxyType(
    {
        "scale": "all weights times one positive number",
        "update_scale": "the updates alone times one positive number, the start kept",
        "exact_scale": "all weights times a power of two",
        "sign": "all weights times minus one",
        "orthogonal": "one rotation on the left and one on the right of all weights",
        "permutation": "rows and columns of all weights permuted",
        "transpose": "all weights transposed, sides exchanged",
    }
)
"""What may be done to all operands together without changing a diagnostic that declares it."""


Tier = Literal["elementwise", "top", "angles", "exact"]

TIERS: Mapping[Tier, str] = MappingProxyType(
    {
        "elementwise": "one pass over the entries, no decomposition: sparsity, low-magnitude overlap, norms",
        "top": "and the leading directions of W_0 and of the updates: stable rank, channels, capture",
        "angles": "and the rotation and spectral shift of W_0: W_t is decomposed, the update only at its top",
        "exact": "and every singular value of the update: Hill exponent, effective and numerical rank",
    }
)
"""What a measurement may cost, cheapest first; each tier holds those before it."""


class Reason(enum.Enum):
    """Why a cell holds no value; the store keeps the number, this class the sentence.

    Examples
    --------
    >>> Reason.zero_update.sentence
    'the update is zero: it has no direction, spectrum or channel'
    """

    defined = 0
    not_measured = 1
    zero_update = 2
    zero_increment = 3
    no_visible_change = 4
    matrix_too_small = 5
    too_few_singular_values = 6
    no_later_checkpoint = 7
    uneven_steps = 8
    increment_without_preference = 9
    zero_initial = 10
    zero_first_update = 11
    different_horizons = 12
    checkpoint_deleted = 13
    not_known_yet = 14
    too_few_directions = 15

    @property
    def sentence(self) -> str:
        """The reason in words."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.defined: "a value stands here",
    Reason.not_measured: "this run has no checkpoint at this step, or not this matrix",
    Reason.zero_update: "the update is zero: it has no direction, spectrum or channel",
    Reason.zero_increment: "nothing changed between the two checkpoints",
    Reason.no_visible_change: "no entry changed visibly, so there is no mask to overlap with",
    Reason.matrix_too_small: "the matrix is too small for the number of directions asked for",
    Reason.too_few_singular_values: "the update has fewer nonzero singular values than asked for",
    Reason.no_later_checkpoint: "no checkpoint one horizon later",
    Reason.uneven_steps: "the steps are uneven: declare the horizon in the protocol",
    Reason.increment_without_preference: "no subspace of this increment holds more than its share",
    Reason.zero_initial: "the initial weight is zero, so nothing is relative to it",
    Reason.zero_first_update: "the update at the first checkpoint is zero, so there is nothing to compare with",
    Reason.different_horizons: "the combined runs have different horizons, so this is another quantity in each",
    Reason.checkpoint_deleted: "the checkpoint was deleted before the other weights that this needs were there",
    Reason.not_known_yet: "the run goes on: this needs a checkpoint that is not there yet",
    Reason.too_few_directions: "the weight has fewer nonzero singular values than directions asked for",
}


class Undefined(float):
    """NaN that says why: what a diagnostic returns where it is not defined.

    Parameters
    ----------
    reason : Reason
        Why there is no value.

    Examples
    --------
    >>> Undefined(Reason.zero_increment)
    nan (nothing changed between the two checkpoints)
    """

    reason: Reason

    def __new__(cls, reason: Reason) -> "Undefined":
        """Make a NaN that carries its reason."""
        value = super().__new__(cls, math.nan)
        value.reason = reason
        return value

    def __repr__(self) -> str:
        """Show the reason beside the NaN."""
        return f"nan ({self.reason.sentence})"

    def __reduce__(self) -> tuple[type["Undefined"], tuple[Reason]]:
        """Pickle with the reason."""
        return Undefined, (self.reason,)


Weighting = Literal["matrix", "parameters"]


@dataclass(frozen=True)
class Diagnostic:
    """The description of one diagnostic.

    Attributes
    ----------
    name : str
        Identifier, and name of the variable in a store.
    function : callable
        Takes the operands by position and the settings by keyword.
    operands : tuple of str
        Which matrices it asks for, see `OPERANDS`.
    settings : mapping of str to str
        Keyword of the function -> field of the protocol that fills it.
    dims : tuple of str
        Dimensions of what one call returns (beyond step and matrix).
    units : str
        ``"1"`` or ``"degree"``, or the weights' own unit ``"weight"``.
    bounds : tuple of float
        Smallest and largest value that theory allows.
    symbol : str
        LaTeX, without dollar signs.
    reference : str
        ``"key, locator"`` with a key of references.bib.
    weighting : {"matrix", "parameters"}
        How matrices are averaged: each the same, or by its number of entries.
    invariances : tuple of str
        What leaves it unchanged, see `INVARIANCES`.
    default : bool
        Whether it is measured when nothing is said.
    tier : str
        The cheapest of `TIERS` that can give it.
    """

    name: str
    function: Callable[..., Any]
    operands: tuple[str, ...]
    settings: Mapping[str, str]
    dims: tuple[str, ...]
    units: str
    bounds: tuple[float, float]
    symbol: str
    reference: str
    weighting: Weighting
    invariances: tuple[str, ...]
    default: bool = True
    tier: Tier = "exact"
    long_name: str = field(default="")

    def within(self, tier: Tier) -> bool:
        """Whether a tier gives this diagnostic.

        Parameters
        ----------
        tier : str
            One of `TIERS`.

        Returns
        -------
        bool
            True if the tier is the diagnostic's own or a dearer one.
        """
        order = list(TIERS)
        return order.index(self.tier) <= order.index(tier)

    @property
    def looks_ahead(self) -> bool:
        """Whether it depends on the horizon, the distance between past and next."""
        return bool({"later", "increment"} & set(self.operands))


_REGISTRY: dict[str, Diagnostic] = {}

DIAGNOSTICS: Mapping[str, Diagnostic] = MappingProxyType(_REGISTRY)
"""Every registered diagnostic by name (read-only); filled by importing `geostat.diagnostics`."""

F = TypeVar("F", bound=Callable[..., Any])


def diagnostic(
    *,
    units: str,
    bounds: tuple[float, float],
    symbol: str,
    reference: str,
    invariances: tuple[str, ...],
    weighting: Weighting = "matrix",
    settings: Mapping[str, str] | None = None,
    dims: tuple[str, ...] = (),
    default: bool = True,
    tier: Tier = "exact",
) -> Callable[[F], F]:
    """Register a function as a diagnostic.

    Operands are the function's positional arguments, settings its keyword-only ones; the first line
    of the docstring becomes the axis label. The function itself is returned unchanged.

    Parameters
    ----------
    units, bounds, symbol, reference, invariances, weighting, dims, default, tier
        See `Diagnostic`.
    settings : mapping, optional
        Keyword -> protocol field, where the two names differ.

    Returns
    -------
    callable
        A decorator.

    Raises
    ------
    ValueError
        If the name is taken, or an operand, invariance or tier is not known.

    Examples
    --------
    >>> import geostat as gs
    >>> gs.DIAGNOSTICS["stable_rank"].operands
    ('update',)
    """

    def register(function: F) -> F:
        name = function.__name__
        operands, keywords = _split_signature(function)
        _check(name, operands, invariances, tier)
        renamed = dict(settings or {})
        _REGISTRY[name] = Diagnostic(
            name=name,
            function=function,
            operands=operands,
            settings=MappingProxyType({key: renamed.get(key, key) for key in keywords}),
            dims=dims,
            units=units,
            bounds=bounds,
            symbol=symbol,
            reference=reference,
            weighting=weighting,
            invariances=invariances,
            default=default,
            tier=tier,
            long_name=(inspect.getdoc(function) or name).splitlines()[0].rstrip("."),
        )
        return function

    return register


def _split_signature(function: Callable[..., Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    parameters = inspect.signature(function).parameters.values()
    operands = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
    return operands, tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def _check(name: str, operands: tuple[str, ...], invariances: tuple[str, ...], tier: str) -> None:
    if name in _REGISTRY:
        raise ValueError(f"a diagnostic named {name!r} is registered already. Give yours another name.")
    for kind, given, known in (
        ("operand", operands, OPERANDS),
        ("invariance", invariances, INVARIANCES),
        ("tier", (tier,), TIERS),
    ):
        unknown = [item for item in given if item not in known]
        if unknown:
            raise ValueError(f"diagnostic {name!r}: {kind} {unknown} unknown. Known: {sorted(known)}.")
