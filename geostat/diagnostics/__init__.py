"""Every diagnostic of a checkpoint and of a trajectory, one family a file."""

import warnings
from importlib.metadata import entry_points

from geostat.diagnostics.alignment import principal_subspace_energy
from geostat.diagnostics.audit import AUDITS, Violation, audit
from geostat.diagnostics.masks import low_magnitude_mask_overlap, principal_mask_overlap
from geostat.diagnostics.rotation import (
    gap_limited,
    max_principal_angle,
    mean_principal_angle,
    mean_principal_sine,
    principal_angles,
    principal_gap,
)
from geostat.diagnostics.sparsity import update_density, update_sparsity
from geostat.diagnostics.spectrum import normalized_spectral_shift
from geostat.diagnostics.trajectory import (
    forward_capture,
    future_capture,
    lagged_similarity,
    past_next_similarity,
    similarity_to_end,
    stable_rank_trend,
)
from geostat.diagnostics.update import (
    effective_rank,
    hill_tail_exponent,
    numerical_rank,
    relative_update_norm,
    stable_rank,
    top_k_energy,
    update_norm,
)
from geostat.errors import GeostatWarning
from geostat.spec import DIAGNOSTICS

__all__ = [
    "AUDITS",
    "DIAGNOSTICS",
    "Violation",
    "audit",
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
]


def _load_third_party() -> None:
    """Import the modules that other packages name under the entry point ``geostat.diagnostics``."""
    for point in entry_points(group="geostat.diagnostics"):
        try:
            point.load()
        except Exception as error:  # a broken plugin must not take geostat down with it
            warnings.warn(
                f"the diagnostics of {point.value!r} could not be loaded: {error!r}. "
                "The others work; update or remove that package.",
                GeostatWarning,
                stacklevel=2,
            )


_load_third_party()
