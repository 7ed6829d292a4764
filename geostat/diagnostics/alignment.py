"""How much of the update lies in the principal subspaces of the weight it changes."""

from geostat.diagnostics.registered import diagnostic
from geostat.linalg import MatrixLike, factored
from geostat.linalg.captured import captured_shares
from geostat.linalg.factored import Side, require_same_shape
from geostat.protocols import check_setting
from geostat.spec import Reason, Undefined

__all__ = ["principal_subspace_energy"]


@diagnostic(
    units="1",
    bounds=(0.0, 1.0),
    symbol=r"\|U_k^{0\top}\Delta W\|_F^2 / \|\Delta W\|_F^2",
    reference="yu2026, protocol",
    invariances=("scale", "update_scale", "sign", "orthogonal", "permutation", "transpose"),
    settings={"k": "energy_k"},
    tier="top",
)
def principal_subspace_energy(
    initial: MatrixLike, update: MatrixLike, *, k: int = 16, side: Side = "right"
) -> float:
    r"""Share of the update's energy in the start's principal subspace.

    .. math:: \|U_k^{0\top}\Delta W\|_F^2 / \|\Delta W\|_F^2 \quad\text{or}\quad
              \|\Delta W V_k^0\|_F^2 / \|\Delta W\|_F^2

    An update that ignores W_0 has k/m on the left and k/n on the right: compare with that baseline,
    not with zero.

    Parameters
    ----------
    initial, update : array, tensor or Factored
        Shape (m, n): W_0 and the cumulative update.
    k : int
        Number of W_0's leading singular vectors.
    side : {"left", "right"}
        Which of them.

    Returns
    -------
    float
        In [0, 1], dimensionless. NaN for a zero update, where k vectors are the whole space, and where
        W_0's rank is below k.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    yu2026, protocol.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> initial = np.diag([3.0, 2.0, 1.0])
    >>> round(gs.principal_subspace_energy(initial, np.diag([1.0, 0.0, 1.0]), k=1), 12)
    0.5
    """
    check_setting("energy_k", k, shown="k")
    check_setting("side", side)
    initial, update = factored(initial), factored(update)
    require_same_shape(initial, update)
    if k > initial.smaller or k >= initial.size(side):
        return Undefined(Reason.matrix_too_small)
    if update.is_zero:
        return Undefined(Reason.zero_update)
    if initial.leading_rank(k) < k:
        return Undefined(Reason.too_few_directions)
    return min(1.0, captured_shares(update, initial, k)[side])
