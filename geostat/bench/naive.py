"""The published protocol, written plainly: three float64 decompositions a pair, arccosines, sorted masks."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["naive_eta_curve", "naive_masks", "naive_sparsity", "naive_suite"]


def naive_sparsity(initial: Tensor, updated: Tensor, eta: float = 1e-3) -> float:
    """Unchanged fraction as shen2026, eq. 1 has it.

    Parameters
    ----------
    initial, updated : torch.Tensor
        Shape (m, n), bf16.
    eta : float
        Relative tolerance.

    Returns
    -------
    float
        In [0, 1].
    """
    return float((~_changed(initial, updated, eta)).double().mean())


def _changed(initial: Tensor, updated: Tensor, eta: float) -> Tensor:
    before, after = initial.to(torch.float64), updated.to(torch.float64)
    return (after - before).abs() > eta * torch.maximum(before.abs(), after.abs())


def naive_eta_curve(initial: Tensor, updated: Tensor, etas: tuple[float, ...]) -> list[float]:
    """Unchanged fraction at several tolerances, one pass each.

    Parameters
    ----------
    initial, updated : torch.Tensor
        Shape (m, n), bf16.
    etas : tuple of float
        Relative tolerances.

    Returns
    -------
    list of float
        One share per tolerance.
    """
    return [naive_sparsity(initial, updated, eta) for eta in etas]


def naive_masks(
    initial: Tensor, updated: Tensor, principal: Tensor, alphas: tuple[float, ...]
) -> dict[str, float]:
    """Overlap of the changed entries with both masks, each from a sort of all magnitudes.

    Parameters
    ----------
    initial, updated : torch.Tensor
        Shape (m, n), bf16.
    principal : torch.Tensor
        Shape (m, n): the magnitudes of W_0's rank-r reconstruction.
    alphas : tuple of float
        Shares of entries in a mask.

    Returns
    -------
    dict
        Overlaps by name and alpha.
    """
    changed = _changed(initial, updated, 1e-3).flatten()
    found = {}
    for alpha in alphas:
        count = round(alpha * changed.numel())
        for name, sizes, descending in (
            ("principal", principal, True),
            ("low", initial.to(torch.float64).abs(), False),
        ):
            mask = torch.zeros_like(changed)
            mask[torch.argsort(sizes.flatten(), descending=descending)[:count]] = True
            found[f"{name} {alpha:g}"] = float(changed[mask].sum() / changed.sum())
    return found


def naive_suite(
    initial: Tensor,
    updated: Tensor,
    end: Tensor,
    *,
    k: int = 512,
    r: int = 64,
    K: int = 16,
    alphas: tuple[float, ...] = (0.3, 0.5),
    hill: float = 0.1,
) -> dict[str, Any]:
    """What shen2026 reports of one pair; nothing is kept from one pair to the next.

    Parameters
    ----------
    initial, updated : torch.Tensor
        Shape (m, n), bf16.
    end : torch.Tensor
        Shape (n, K): the channel of the run's last update.
    k, r, K, alphas, hill
        Settings of the protocol.

    Returns
    -------
    dict
        Figures by name; angles in degrees by arccosine.
    """
    before, after = initial.to(torch.float64), updated.to(torch.float64)
    update = after - before
    u0, s0, v0 = torch.linalg.svd(before, full_matrices=False)
    ut, st, vt = torch.linalg.svd(after, full_matrices=False)
    _, s, v = torch.linalg.svd(update, full_matrices=False)
    k, r, count = min(k, len(s) // 2), min(r, len(s) // 2), int(hill * len(s))
    reconstruction = (u0[:, :r] * s0[:r]) @ v0[:r]
    return {
        "sparsity": naive_sparsity(initial, updated),
        "left": _angles(u0[:, :k], ut[:, :k]),
        "right": _angles(v0[:k].mT, vt[:k].mT),
        "shift": float((st - s0).norm() / s0.norm()),
        "stable rank": float(update.norm() ** 2 / s[0] ** 2),
        "hill": float((count - 1) / torch.log(s[: count - 1] / s[count - 1]).sum()),
        "similarity": float((v[:K] @ end).norm() ** 2 / K),
        **naive_masks(initial, updated, reconstruction.abs(), alphas),
    }


def _angles(first: Tensor, second: Tensor) -> Tensor:
    return torch.rad2deg(torch.arccos(torch.linalg.svdvals(first.mT @ second).clamp(-1, 1)))
