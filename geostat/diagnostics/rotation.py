"""How far training turned the principal singular subspaces of a weight."""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from geostat.diagnostics.registered import diagnostic
from geostat.diagnostics.settings import capped_rank
from geostat.linalg import Factored, MatrixLike, factored, principal_angles as angles_between
from geostat.linalg.factored import Side, require_same_shape
from geostat.protocols import check_setting
from geostat.spec import Reason, Undefined

__all__ = [
    "gap_limited",
    "max_principal_angle",
    "mean_principal_angle",
    "mean_principal_sine",
    "principal_angles",
    "principal_gap",
]

_INVARIANCES = ("scale", "sign", "orthogonal", "permutation", "transpose")
_REFERENCE = "shen2026, eq. 2; bjorck1973, section 3"


def _angles(initial: Factored, updated: Factored, k: int | float, side: Side) -> Tensor | Undefined:
    """Radians, ascending, computed once per pair."""
    require_same_shape(initial, updated)
    check_setting("side", side)
    used = capped_rank(initial.smaller, k)
    if used == 0:
        return Undefined(Reason.matrix_too_small)

    def compare() -> Tensor | Undefined:
        if updated.minus(initial).is_zero:  # among equal singular values rounding would choose the directions
            return initial.entries.given.new_zeros(used, dtype=torch.float64)
        if min(initial.leading_rank(used), updated.leading_rank(used)) < used:
            return Undefined(Reason.too_few_directions)
        return angles_between(initial.vectors(used, side), updated.vectors(used, side))

    return updated.remember(("angles", initial, used, side), compare)


@diagnostic(
    units="degree",
    bounds=(0.0, 90.0),
    symbol=r"\theta_i(U_k^0, U_k^t)",
    reference=_REFERENCE,
    invariances=_INVARIANCES,
    dims=("rank",),
    default=False,
    tier="angles",
)
def principal_angles(
    initial: MatrixLike, updated: MatrixLike, *, k: int | float = 512, side: Side = "right"
) -> npt.NDArray[np.float64]:
    r"""Principal angles.

    The angles between the leading k singular vectors of W_0 and of W_t (not of the update), computed
    from sines where they are small:

    .. math:: \cos\theta_i = \sigma_i(U_k^{0\top} U_k^t), \qquad
              \sin\theta_i = \sigma_i\left((I - U_k^0 U_k^{0\top}) U_k^t\right)

    They do not see changes inside the subspace. Where the gap between s_k and s_{k+1} is narrow the
    largest is ill-conditioned: read `principal_gap` and `gap_limited` beside it.

    Parameters
    ----------
    initial, updated : array, tensor or Factored
        Shape (m, n).
    k : int or float
        Directions, as a count or a share of min(m, n); capped at min(m, n) // 2.
    side : {"left", "right"}
        Left (columns of U) or right (columns of V) singular vectors.

    Returns
    -------
    numpy.ndarray
        Shape (k used,), degrees, ascending, in [0, 90]. Empty for a single row or column, and where a
        weight's rank is below k.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    shen2026, eq. 2; bjorck1973, section 3 (sine form).

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> turn = np.deg2rad(10)
    >>> rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    >>> initial = np.diag([2.0, 1.0])
    >>> gs.principal_angles(initial, rotation @ initial, k=1, side="left").round(6)
    array([10.])
    """
    angles = _angles(factored(initial), factored(updated), k, side)
    return np.zeros(0) if isinstance(angles, Undefined) else torch.rad2deg(angles).cpu().numpy()


@diagnostic(
    units="degree",
    bounds=(0.0, 90.0),
    symbol=r"\theta_{\max}(U_k^0, U_k^t)",
    reference=_REFERENCE,
    invariances=_INVARIANCES,
    tier="angles",
)
def max_principal_angle(
    initial: MatrixLike, updated: MatrixLike, *, k: int | float = 512, side: Side = "right"
) -> float:
    r"""Largest principal angle.

    The last of `principal_angles`. Ill-conditioned where s_k is close to s_{k+1}: then it says how
    near two singular values lie, not how far the run rotated.

    Parameters
    ----------
    initial, updated : array, tensor or Factored
        Shape (m, n).
    k : int or float
        Directions, see `principal_angles`.
    side : {"left", "right"}
        Which singular vectors.

    Returns
    -------
    float
        Degrees in [0, 90]. NaN for a single row or column, and where a weight's rank is below k.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    shen2026, eq. 2; bjorck1973, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> initial = np.diag([4.0, 3.0, 2.0, 1.0])
    >>> gs.max_principal_angle(initial, initial)
    0.0
    """
    angles = _angles(factored(initial), factored(updated), k, side)
    return angles if isinstance(angles, Undefined) else math.degrees(float(angles[-1]))


@diagnostic(
    units="degree",
    bounds=(0.0, 90.0),
    symbol=r"\overline{\theta}(U_k^0, U_k^t)",
    reference=_REFERENCE,
    invariances=_INVARIANCES,
    tier="angles",
)
def mean_principal_angle(
    initial: MatrixLike, updated: MatrixLike, *, k: int | float = 512, side: Side = "right"
) -> float:
    r"""Mean principal angle.

    The mean of `principal_angles`: far better conditioned than the largest, and still not zero for
    two independent subspaces of k small against n, where it is near 90 degrees.

    Parameters
    ----------
    initial, updated : array, tensor or Factored
        Shape (m, n).
    k : int or float
        Directions, see `principal_angles`.
    side : {"left", "right"}
        Which singular vectors.

    Returns
    -------
    float
        Degrees in [0, 90]. NaN for a single row or column, and where a weight's rank is below k.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    shen2026, eq. 2; bjorck1973, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> initial = np.diag([4.0, 3.0, 2.0, 1.0])
    >>> gs.mean_principal_angle(initial, initial[::-1])  # the right singular vectors stay
    0.0
    """
    angles = _angles(factored(initial), factored(updated), k, side)
    return angles if isinstance(angles, Undefined) else math.degrees(float(angles.mean()))


@diagnostic(
    units="1",
    bounds=(0.0, 1.0),
    symbol=r"\overline{\sin\theta}(U_k^0, U_k^t)",
    reference="yu2026, protocol",
    invariances=_INVARIANCES,
    tier="angles",
)
def mean_principal_sine(
    initial: MatrixLike, updated: MatrixLike, *, k: int | float = 512, side: Side = "right"
) -> float:
    r"""Mean sine of the principal angles.

    The rotation as yu2026 reports it; not the sine of the mean angle.

    Parameters
    ----------
    initial, updated : array, tensor or Factored
        Shape (m, n).
    k : int or float
        Directions, see `principal_angles`.
    side : {"left", "right"}
        Which singular vectors.

    Returns
    -------
    float
        In [0, 1], dimensionless. NaN for a single row or column, and where a weight's rank is below k.

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
    >>> initial = np.diag([2.0, 1.0])
    >>> round(gs.mean_principal_sine(initial, initial[::-1], k=1, side="left"), 6)
    1.0
    """
    angles = _angles(factored(initial), factored(updated), k, side)
    return angles if isinstance(angles, Undefined) else float(torch.sin(angles).mean())


@diagnostic(
    units="weight",
    bounds=(-math.inf, math.inf),
    symbol=r"s_k(W_0) - s_{k+1}(W_t)",
    reference="wedin1972, gap of the sine theorem",
    invariances=("sign", "orthogonal", "permutation", "transpose"),
    tier="angles",
)
def principal_gap(initial: MatrixLike, updated: MatrixLike, *, k: int | float = 512) -> float:
    r"""Gap behind the principal subspace.

    .. math:: \mathrm{gap}_k = s_k(W_0) - s_{k+1}(W_t)

    In Wedin's theorem the largest sine is at most norm_2(dW) / gap_k where the gap is positive. With
    the unperturbed gap s_k(W_0) - s_{k+1}(W_0) in its place that inequality is false.

    Parameters
    ----------
    initial, updated : array, tensor or Factored
        Shape (m, n).
    k : int or float
        Directions, see `principal_angles`.

    Returns
    -------
    float
        In the unit of the weights; negative where the order of directions changed. NaN for a single
        row or column.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    wedin1972.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> gs.principal_gap(np.diag([2.0, 1.0]), np.diag([1.5, 1.25]), k=1)
    0.75
    """
    initial, updated = factored(initial), factored(updated)
    require_same_shape(initial, updated)
    used = capped_rank(initial.smaller, k)
    if used == 0:
        return Undefined(Reason.matrix_too_small)
    return float(initial.singular_values[used - 1] - updated.singular_values[used])


@diagnostic(
    units="1",
    bounds=(0.0, 1.0),
    symbol=r"[\,\|\Delta W\|_2 \ge \mathrm{gap}_k\,]",
    reference="wedin1972, condition of the sine theorem",
    invariances=_INVARIANCES,
    tier="angles",
)
def gap_limited(
    initial: MatrixLike, updated: MatrixLike, update: MatrixLike, *, k: int | float = 512
) -> float:
    r"""Flag: the largest angle is not bounded by the size of the update.

    1 where norm_2(dW) reaches the gap behind the principal subspace, else 0. Where it is 1, Wedin's
    theorem gives no bound: any largest angle can come from two singular values that lie close.

    Parameters
    ----------
    initial, updated, update : array, tensor or Factored
        Shape (m, n); update = updated - initial.
    k : int or float
        Directions, see `principal_angles`.

    Returns
    -------
    float
        0.0 or 1.0; its mean over matrices is the share of limited ones. NaN for a single row or column.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    wedin1972.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> initial, update = np.diag([2.0, 1.0]), np.diag([0.0, 0.9])
    >>> gs.gap_limited(initial, initial + update, update, k=1)
    1.0
    """
    gap = principal_gap(initial, updated, k=k)
    if isinstance(gap, Undefined):
        return gap
    update = factored(update)
    return float(not update.is_zero and update.spectral_norm >= gap)
