"""The optimizer whose steps a constraint follows."""

from typing import Any

import torch

from geostat.errors import ProtocolError
from geostat.training.parameters import Constrained

__all__ = ["check_trained", "innermost"]


def innermost(optimizer: Any) -> torch.optim.Optimizer:
    """Return the optimizer itself, where a library wraps it.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Or one that holds another as its attribute ``optimizer``.

    Returns
    -------
    torch.optim.Optimizer
        The one that takes the steps.

    Raises
    ------
    ProtocolError
        If it is none.
    """
    inner = getattr(optimizer, "optimizer", None)
    if isinstance(inner, torch.optim.Optimizer):
        return innermost(inner)
    if not isinstance(optimizer, torch.optim.Optimizer):
        kind = optimizer.__name__ if isinstance(optimizer, type) else type(optimizer).__name__
        raise ProtocolError(
            f"optimizer is {'the class' if isinstance(optimizer, type) else 'a'} {kind}; a torch optimizer that trains "
            "the model was expected, such as torch.optim.AdamW(model.parameters())."
        )
    return optimizer


def check_trained(found: list[Constrained], optimizer: torch.optim.Optimizer) -> None:
    """Refuse an optimizer that does not train the constrained parameters.

    Parameters
    ----------
    found : list of Constrained
        The matrices.
    optimizer : torch.optim.Optimizer
        Whose steps count.

    Raises
    ------
    ProtocolError
        If it leaves some out.
    """
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    left_out = [each.ref.name for each in found if id(each.parameter) not in trained]
    if left_out:
        raise ProtocolError(
            f"the optimizer does not train {', '.join(left_out[:5])}{' ...' if len(left_out) > 5 else ''}. Pass the "
            "optimizer that does, or leave these matrices out of the channel."
        )
