"""Energy of one matrix in the leading subspaces of another."""

from collections.abc import Mapping

from geostat.linalg.factored import Factored, Side
from geostat.linalg.subspaces import captured_energy

__all__ = ["captured_shares"]


def captured_shares(matrix: Factored, source: Factored, k: int) -> Mapping[Side, float]:
    """Share of a matrix's squared Frobenius norm in the leading k directions of another, on both sides.

    Both at once, because the entries in float64 are made for it and not kept.

    Parameters
    ----------
    matrix : Factored
        Shape (m, n), not zero.
    source : Factored
        Shape (m, n).
    k : int
        Directions, at most the smaller side.

    Returns
    -------
    mapping of {"left", "right"} to float
        In [0, 1].
    """

    def project() -> Mapping[Side, float]:
        left, right, entries = source.vectors(k, "left"), source.vectors(k, "right"), matrix.values
        return {
            "left": captured_energy(entries, left, left=True),
            "right": captured_energy(entries, right, left=False),
        }

    return matrix.remember(("captured", source, k), project)
