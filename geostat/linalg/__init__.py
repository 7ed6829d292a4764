"""Tensors to tensors: factored matrices, subspaces, rounding. No names, no labels."""

from geostat.linalg.arithmetic import own_arithmetic
from geostat.linalg.certificate import Certificate, Method
from geostat.linalg.factored import Factored, MatrixLike, factored
from geostat.linalg.masks import Mask, changed_entries, magnitude_mask
from geostat.linalg.policy import Policy, current_policy, using
from geostat.linalg.rounding import round_to_bf16
from geostat.linalg.subspaces import captured_energy, principal_angles, subspace_similarity

__all__ = [
    "Certificate",
    "Factored",
    "Mask",
    "MatrixLike",
    "Method",
    "Policy",
    "captured_energy",
    "changed_entries",
    "current_policy",
    "factored",
    "magnitude_mask",
    "own_arithmetic",
    "principal_angles",
    "round_to_bf16",
    "subspace_similarity",
    "using",
]
