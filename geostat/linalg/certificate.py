"""How a decomposition was computed, and how far off it can be."""

import enum
from dataclasses import dataclass

__all__ = ["Certificate", "Method"]


class Method(enum.IntEnum):
    """How a spectrum or its leading directions were computed; the store keeps the number."""

    none = 0
    svd = 1
    tridiagonal = 2
    deflated = 3
    lanczos = 4
    rotated = 5
    refined = 6

    @property
    def sentence(self) -> str:
        """The method in words."""
        return _SENTENCES[self]


_SENTENCES = {
    Method.none: "nothing was decomposed",
    Method.svd: "singular value decomposition in float64",
    Method.tridiagonal: "one tridiagonalisation of the Gram matrix of the smaller side",
    Method.deflated: "the same after the leading directions were taken out",
    Method.lanczos: "block Lanczos for the leading directions",
    Method.rotated: "rotation of W_0's basis, refined in float64",
    Method.refined: "refinement of W_0's basis by matrix products",
}


@dataclass(frozen=True)
class Certificate:
    """What is known of the error of a decomposition.

    Attributes
    ----------
    method : Method
        How it was computed.
    residual : float
        Largest norm_2(A v_i - s_i u_i) and norm_2(A^T u_i - s_i v_i) of the singular pairs that were
        computed, over s_1. 0 where there are none.
    bound : float
        Bound on the angle, in radians, between the computed leading subspace and the true one. 0 where none
        was computed; infinite where nothing can be said.
    """

    method: Method
    residual: float = 0.0
    bound: float = 0.0
