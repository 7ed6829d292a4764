"""Tensors to tensors: factored matrices, subspaces, rounding. No names, no labels."""

from geostat.linalg.factored import Factored, MatrixLike, factored
from geostat.linalg.masks import Mask, changed_entries, magnitude_mask
from geostat.linalg.rounding import round_to_bf16
from geostat.linalg.subspaces import captured_energy, principal_angles, subspace_similarity

__all__ = [
    "Factored",
    "Mask",
    "MatrixLike",
    "captured_energy",
    "changed_entries",
    "factored",
    "magnitude_mask",
    "principal_angles",
    "round_to_bf16",
    "subspace_similarity",
]
