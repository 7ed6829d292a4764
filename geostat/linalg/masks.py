"""Masks over entries, plainly: one flag per entry in float64, and a sort; ties by expectation.

`geostat.linalg.elementwise` and `geostat.linalg.elementwise_masks` give the same counts and shares in blocks of
integers, which is how checkpoints are measured; they are tested against this.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from geostat.linalg.factored import Factored, require_same_shape
from geostat.linalg.rounding import round_to_bf16
from geostat.protocols import check_setting

__all__ = ["Mask", "Rule", "Space", "changed_entries", "magnitude_mask", "magnitudes"]

Rule = Literal["relative", "absolute"]
Space = Literal["bf16", "raw"]


def _compared(matrix: Factored, space: Space) -> Tensor:
    return round_to_bf16(matrix.stored).to(torch.float64) if space == "bf16" else matrix.values


def magnitudes(matrix: Factored, space: Space) -> Tensor:
    """Absolute entries in the space in which they are compared.

    Parameters
    ----------
    matrix : Factored
        Shape (m, n).
    space : {"bf16", "raw"}
        Rounded to bf16, or as stored.

    Returns
    -------
    torch.Tensor
        Shape (m, n), float64.

    Raises
    ------
    ProtocolError
        If there is no such space.
    """
    check_setting("space", space)
    return _compared(matrix, space).abs()


def changed_entries(initial: Factored, updated: Factored, *, eta: float, rule: Rule, space: Space) -> Tensor:
    """Mark the entries that changed beyond a tolerance.

    Parameters
    ----------
    initial, updated : Factored
        Shape (m, n).
    eta : float
        The tolerance.
    rule : {"relative", "absolute"}
        Relative to the larger magnitude of the two, or absolute in the weights' unit.
    space : {"bf16", "raw"}
        Rounded to bf16 first, or as stored.

    Returns
    -------
    torch.Tensor
        Shape (m, n), bool: abs(w' - w) > eta max(abs w, abs w'), or > eta.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing.
    """
    for name, value in (("eta", eta), ("rule", rule), ("space", space)):
        check_setting(name, value)
    require_same_shape(initial, updated)
    before, after = _compared(initial, space), _compared(updated, space)
    scale = torch.maximum(before.abs(), after.abs()) if rule == "relative" else torch.ones_like(before)
    return (after - before).abs() > eta * scale


class Mask(NamedTuple):
    """A share of all entries, chosen by rank, with ties at the edge broken at random.

    Attributes
    ----------
    inside : torch.Tensor
        Shape (m, n), bool: certainly in the mask.
    tied : torch.Tensor
        Shape (m, n), bool: equal to the threshold.
    chance : float
        Probability with which a tied entry is in the mask.
    """

    inside: Tensor
    tied: Tensor
    chance: float

    def expected_share_of(self, entries: Tensor) -> float:
        """Return the expected share of the given entries that lie in the mask.

        Parameters
        ----------
        entries : torch.Tensor
            Shape (m, n), bool, at least one true.

        Returns
        -------
        float
            In [0, 1].
        """
        inside, tied = int((self.inside & entries).sum()), int((self.tied & entries).sum())
        return (inside + self.chance * tied) / int(entries.sum())


def magnitude_mask(sizes: Tensor, alpha: float, *, largest: bool) -> Mask:
    """Choose the round(alpha m n) largest or smallest entries.

    Parameters
    ----------
    sizes : torch.Tensor
        Shape (m, n), the magnitudes.
    alpha : float
        Share in (0, 1).
    largest : bool
        The largest, or the smallest.

    Returns
    -------
    Mask
        Exact: a tied entry counts with its probability under random tie-breaking.

    Raises
    ------
    ProtocolError
        If alpha is no share.
    """
    check_setting("alpha", alpha)
    wanted = round(alpha * sizes.numel())
    if wanted == 0:
        empty = torch.zeros_like(sizes, dtype=torch.bool)
        return Mask(empty, empty, 0.0)
    position = sizes.numel() - wanted + 1 if largest else wanted
    threshold = sizes.flatten().sort().values[position - 1]
    inside = sizes > threshold if largest else sizes < threshold
    tied = sizes == threshold
    return Mask(inside, tied, (wanted - int(inside.sum())) / int(tied.sum()))
