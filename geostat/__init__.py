"""Where a training run went in parameter space: measured exactly, stored with labels, cited with intervals."""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES: dict[str, tuple[str, ...]] = {
    "geostat.spec": ("DIAGNOSTICS", "Diagnostic", "Reason", "Undefined", "diagnostic"),
    "geostat.protocols": ("PROTOCOLS", "Protocol"),
    "geostat.checkpoints": ("discover_run", "list_matrices", "open_checkpoint"),
    "geostat.diagnostics": (
        "effective_rank",
        "forward_capture",
        "future_capture",
        "gap_limited",
        "hill_tail_exponent",
        "lagged_similarity",
        "low_magnitude_mask_overlap",
        "max_principal_angle",
        "mean_principal_angle",
        "mean_principal_sine",
        "normalized_spectral_shift",
        "numerical_rank",
        "past_next_similarity",
        "principal_angles",
        "principal_gap",
        "principal_mask_overlap",
        "principal_subspace_energy",
        "relative_update_norm",
        "similarity_to_end",
        "stable_rank",
        "stable_rank_trend",
        "top_k_energy",
        "update_density",
        "update_norm",
        "update_sparsity",
    ),
    "geostat.trajectories": ("combine", "measure", "open_trajectory", "plan", "to_csv", "validate"),
    "geostat.statistics": ("at_least", "compare", "lock_brackets", "mean_ci"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_SUBPACKAGES = ("errors", "lab", "protocols", "report", "results", "spec", "statistics", "testing")

__all__ = ["__version__", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``import geostat`` costs next to nothing (PEP 562)."""
    if name == "DIAGNOSTICS":
        importlib.import_module("geostat.diagnostics")
    if name in _HOME_OF:
        value = getattr(importlib.import_module(_HOME_OF[name]), name)
        globals()[name] = value
        return value
    if name in _SUBPACKAGES:
        return importlib.import_module(f"geostat.{name}")
    raise AttributeError(f"module 'geostat' has no attribute {name!r}. It offers: {', '.join(__all__)}.")


def __dir__() -> list[str]:
    """List the public names without importing their modules."""
    return sorted({*globals(), *_HOME_OF, *_SUBPACKAGES})
