"""Whether a fitted update, once rounded, looks like the stored one: the check of the model."""

from collections.abc import Sequence

import torch
from torch import Tensor

from geostat.diagnostics import stable_rank, update_norm

__all__ = ["ALLOWED", "misfit", "seen"]

ALLOWED = {"changed entries": 0.05, "norm": 0.05, "stable rank": 0.15}
"""Largest relative difference between what is stored and what the fitted model leaves in storage."""


def seen(stored: Tensor) -> dict[str, float]:
    """Figures of a stored update that a model must give again.

    Parameters
    ----------
    stored : torch.Tensor
        Shape (m, n), float64, not zero.

    Returns
    -------
    dict of str to float
        Share of changed entries, norm and stable rank.
    """
    return {
        "changed entries": float((stored != 0).to(torch.float64).mean()),
        "norm": update_norm(stored),
        "stable rank": stable_rank(stored),
    }


def misfit(stored: Tensor, rehearsals: Sequence[Tensor]) -> str:
    """Say where the model does not give the stored update again.

    Parameters
    ----------
    stored : torch.Tensor
        Shape (m, n).
    rehearsals : sequence of torch.Tensor
        Stored updates drawn from the fitted model.

    Returns
    -------
    str
        Empty where it does, or where nothing was rehearsed.
    """
    if not rehearsals:
        return ""
    found, drawn = seen(stored), [seen(each) for each in rehearsals]
    for name, allowed in ALLOWED.items():
        mean = sum(each[name] for each in drawn) / len(drawn)
        if abs(mean / found[name] - 1) > allowed:
            return (
                f"a low-rank update with normal noise does not describe it: rounded, the fitted one has {name} "
                f"{mean:.3g}, the stored one {found[name]:.3g}"
            )
    return ""
