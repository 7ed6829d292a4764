"""Arms of an experiment on functional sufficiency: in which directions a twin may move."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from geostat.errors import ProtocolError
from geostat.lab.asked import is_count
from geostat.training.channels import ChannelSide

__all__ = ["ARMS", "FREE", "Arm", "Kind", "Project", "arms_of", "check_sizes"]

Kind = Literal[
    "free", "channel", "complement", "random", "activations", "reopened", "noise_inside", "noise_outside"
]
Project = Literal["gradient", "update"]

_ALLOWED = {"kind": get_args(Kind), "side": get_args(ChannelSide), "project": get_args(Project)}


@dataclass(frozen=True)
class Arm:
    """Where the matrices of one twin may move.

    Attributes
    ----------
    kind : str
        ``"free"``: anywhere. ``"channel"``: in the leading K singular directions of the update so far;
        ``"complement"``: in all others. ``"random"``: in K directions drawn at random. ``"activations"``: in the K
        directions along which a layer's inputs had most energy at the start of the branch. ``"reopened"``: in the
        channel for the first half of what is left, anywhere after that. ``"noise_outside"``: anywhere, after noise as
        large as the update so far was added outside the channel; ``"noise_inside"``: the same, within it.
    K : int
        How many directions; 0 for the free twin.
    side : {"right", "left", "both"}
        Of inputs, outputs, or both.
    project : {"gradient", "update"}
        What is projected, see `geostat.training.SubspaceConstraint`.
    """

    kind: Kind
    K: int = 0
    side: ChannelSide = "right"
    project: Project = "gradient"

    def __post_init__(self) -> None:
        for name, allowed in _ALLOWED.items():
            if (given := getattr(self, name)) not in allowed:
                raise ProtocolError(
                    f"{name}={given!r} was asked for in an arm. Pass one of {', '.join(allowed)}."
                )
        if (self.kind == "free") != (self.K == 0) or not is_count(self.K, 0):
            raise ProtocolError(
                f"K={self.K!r} was asked for in an arm {self.kind!r}: pass K=0 if free, else a whole number, K >= 1."
            )
        object.__setattr__(self, "K", int(self.K))  # NumPy's integers cannot be written into a record
        if self.kind == "activations" and self.side != "right":
            raise ProtocolError(
                f"activations are a layer's inputs, but side={self.side!r}. Pass side='right'."
            )

    @property
    def noise(self) -> bool:
        """Whether weights are disturbed when the twins part, and then free."""
        return self.kind.startswith("noise")

    @property
    def outside(self) -> bool:
        """Whether it is all but its channel that is meant."""
        return self.kind in ("complement", "noise_outside")

    @property
    def name(self) -> str:
        """Such as ``channel-16`` or ``channel-16-left-update``: what is not usual is told."""
        told = [self.side] * (self.side != "right") + [self.project] * (self.project != "gradient")
        return "-".join([self.kind, *([str(self.K)] if self.K else []), *told])


FREE = Arm("free")


def check_sizes(arms: Sequence[Arm], width: int) -> None:
    """Refuse arms with more directions than a model's matrices have.

    Parameters
    ----------
    arms : sequence of Arm
        That are asked for.
    width : int
        Of the model: the smaller side of its matrices.

    Raises
    ------
    ProtocolError
        If a K is above the width, or leaves nothing outside the channel where that is meant.
    """
    too_large = [arm.name for arm in arms if width - arm.outside < arm.K]
    if too_large:
        raise ProtocolError(
            f"{', '.join(too_large)}: so many directions were asked for, but matrices of this scale have {width}. Take "
            f"K up to {width}, and below it for what is outside the channel."
        )


def arms_of(K: Sequence[int], at: int) -> tuple[Arm, ...]:
    """All arms of an experiment: doses of the channel, and what it is compared with.

    Parameters
    ----------
    K : sequence of int
        Sizes of the channel.
    at : int
        Size at which it is compared with its complement, random directions, activations, other sides and the
        projected update, and disturbed.

    Returns
    -------
    tuple of Arm
        The free twin first.

    Examples
    --------
    >>> [arm.name for arm in arms_of((2,), 4)]
    ... # doctest: +NORMALIZE_WHITESPACE
    ['free', 'channel-2', 'channel-4', 'complement-4', 'random-4', 'activations-4', 'channel-4-left',
     'channel-4-both', 'channel-4-update', 'complement-4-update', 'reopened-4', 'noise_inside-4', 'noise_outside-4']
    """
    doses = [Arm("channel", each) for each in dict.fromkeys([*K, at])]
    controls = [Arm("complement", at), Arm("random", at), Arm("activations", at)]
    sides = [Arm("channel", at, "left"), Arm("channel", at, "both")]
    exact = [Arm("channel", at, project="update"), Arm("complement", at, project="update")]
    disturbed = [Arm("reopened", at), Arm("noise_inside", at), Arm("noise_outside", at)]
    return (FREE, *doses, *controls, *sides, *exact, *disturbed)


ARMS = arms_of((2, 4, 8, 16, 32), 16)
"""Doses 2 to 32, and controls at 16."""
