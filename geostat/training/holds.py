"""Which matrices are held by a constraint at this moment."""

from collections.abc import Callable, Sequence
from weakref import ref

import torch

from geostat.errors import ProtocolError
from geostat.training.parameters import Constrained

__all__ = ["hold"]

_HELD: dict[tuple[int, str, str], ref[torch.nn.Parameter]] = {}


def hold(found: Sequence[Constrained]) -> Callable[[], None]:
    """Note that matrices are held, on the sides of their channels.

    Projections on one side do not commute, so that of two constraints only the later would hold; one on the left and
    one on the right do.

    Parameters
    ----------
    found : sequence of Constrained
        The matrices.

    Returns
    -------
    callable
        Lets them go.

    Raises
    ------
    ProtocolError
        If one is held on the same side already.
    """
    wanted = {(id(each.parameter), each.ref.name, side): each for each in found for side in _sides(each)}
    for (number, name, side), each in wanted.items():
        held = _HELD.get((number, name, side))
        if held is not None and held() is each.parameter:
            raise ProtocolError(
                f"'{name}' is held by another constraint that is active, on its {side} side: two of them do "
                "not both hold. End the other one, or use one basis that spans what both allow."
            )
    _HELD.update({key: ref(each.parameter) for key, each in wanted.items()})

    def let_go() -> None:
        for key in wanted:
            _HELD.pop(key, None)

    return let_go


def _sides(each: Constrained) -> list[str]:
    channel = each.channel
    return [side for side, basis in (("left", channel.left), ("right", channel.right)) if basis is not None]
