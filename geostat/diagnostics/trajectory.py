"""Whether the directions of an update stay, and whether they hold what comes next."""

import math

import torch

from geostat.diagnostics.registered import diagnostic
from geostat.diagnostics.update import stable_rank
from geostat.linalg import Factored, MatrixLike, factored, subspace_similarity
from geostat.linalg.captured import captured_shares
from geostat.linalg.factored import Side, require_same_shape
from geostat.protocols import check_setting
from geostat.spec import Reason, Undefined

__all__ = [
    "forward_capture",
    "future_capture",
    "lagged_similarity",
    "past_next_similarity",
    "similarity_to_end",
    "stable_rank_trend",
]

_INVARIANCES = ("scale", "update_scale", "sign", "orthogonal", "permutation", "transpose")


def _check_channel(K: int, side: Side) -> None:
    check_setting("K", K)
    check_setting("side", side)


def _similarity(first: MatrixLike, second: MatrixLike, K: int, side: Side) -> float:
    _check_channel(K, side)
    first, second = factored(first), factored(second)
    require_same_shape(first, second)
    if first.is_zero or second.is_zero:
        return Undefined(Reason.zero_update)
    return min(1.0, subspace_similarity(first.channel(K, side), second.channel(K, side)))


@diagnostic(
    units="1",
    bounds=(0.0, 1.0),
    symbol=r"\mathrm{Sim}_K(t, t_{\mathrm{end}})",
    reference="shen2026, eq. 9",
    invariances=_INVARIANCES,
    tier="top",
)
def similarity_to_end(update: MatrixLike, final: MatrixLike, *, K: int = 16, side: Side = "right") -> float:
    r"""Similarity of the channel to the final one.

    .. math:: \mathrm{Sim}_K(t, t_{\mathrm{end}}) = \|V_K(t)^\top V_K(t_{\mathrm{end}})\|_F^2 / K

    Descriptive only: it rises to 1 by construction, for a random walk too, and so is no evidence of
    locking. Two random channels have K/n.

    Parameters
    ----------
    update, final : array, tensor or Factored
        Shape (m, n): the cumulative updates at t and at the end.
    K : int
        Size of the channels; at most each update's numerical rank, the smaller divides.
    side : {"left", "right"}
        U or V; the source has V.

    Returns
    -------
    float
        In [0, 1], dimensionless. NaN where an update is zero.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    shen2026, eq. 9 (K = 16, right side).

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> gs.similarity_to_end(np.diag([2.0, 1.0, 0.5]), np.diag([2.0, 0.5, 1.0]), K=2)
    0.5
    """
    return _similarity(update, final, K, side)


@diagnostic(
    units="1",
    bounds=(0.0, 1.0),
    symbol=r"\mathrm{Sim}_K(t, t+h)",
    reference="shen2026, eq. 9 at a lag",
    invariances=_INVARIANCES,
    tier="top",
)
def lagged_similarity(update: MatrixLike, later: MatrixLike, *, K: int = 16, side: Side = "right") -> float:
    r"""Similarity of the channel to that one horizon later.

    .. math:: \mathrm{Sim}_K(t, t+h) = \|V_K(t)^\top V_K(t+h)\|_F^2 / K

    of cumulative updates, which share their past: descriptive only. For disjoint stretches see
    `past_next_similarity`.

    Parameters
    ----------
    update, later : array, tensor or Factored
        Shape (m, n): the cumulative updates at t and t + h.
    K : int
        Size of the channels, see `similarity_to_end`.
    side : {"left", "right"}
        U or V.

    Returns
    -------
    float
        In [0, 1], dimensionless. NaN where an update is zero.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    shen2026, eq. 9, at a lag.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> gs.lagged_similarity(np.diag([2.0, 1.0]), np.diag([3.0, 1.0]), K=1)
    1.0
    """
    return _similarity(update, later, K, side)


@diagnostic(
    units="1",
    bounds=(0.0, 1.0),
    symbol=r"\mathrm{Sim}_K(\Delta W_t, W_{t+h} - W_t)",
    reference="geostat, past against next",
    invariances=_INVARIANCES,
    tier="top",
)
def past_next_similarity(
    update: MatrixLike, increment: MatrixLike, *, K: int = 16, side: Side = "right"
) -> float:
    r"""Similarity of the channel to that of the next increment.

    .. math:: \mathrm{Sim}_K(\Delta W_t,\; W_{t+h} - W_t)

    The two stretches are disjoint, but on bf16 files they share the rounding error of W_t.

    Parameters
    ----------
    update, increment : array, tensor or Factored
        Shape (m, n): what was added until t, and from t to t + h.
    K : int
        Size of the channels; where numerical ranks are smaller the smaller one divides.
    side : {"left", "right"}
        U or V.

    Returns
    -------
    float
        In [0, 1], dimensionless. NaN where either is zero.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    Defined by geostat; the similarity is that of shen2026, eq. 9.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> gs.past_next_similarity(np.diag([1.0, 0.0]), np.diag([0.0, 1.0]), K=1)
    0.0
    """
    _check_channel(K, side)
    increment = factored(increment)
    if increment.is_zero:
        return Undefined(Reason.zero_increment)
    return _similarity(update, increment, K, side)


def _capture(update: Factored, target: Factored, K: int, side: Side) -> float:
    """(E - K/n) / (O - K/n): 0 for a random channel, 1 for the best one."""
    _check_channel(K, side)
    require_same_shape(update, target)
    if update.is_zero:
        return Undefined(Reason.zero_update)
    if target.is_zero:
        return Undefined(Reason.zero_increment)
    size, used = update.size(side), update.leading_rank(K)
    if used >= size:
        return Undefined(Reason.matrix_too_small)
    best = min(1.0, float(torch.sum((target.leading_values(used) / target.frobenius_norm) ** 2)))
    chance = used / size
    if math.isclose(best, chance, rel_tol=1e-9):
        return Undefined(Reason.increment_without_preference)
    return (captured_shares(target, update, used)[side] - chance) / (best - chance)


@diagnostic(
    units="1",
    bounds=(-math.inf, 1.0 + 1e-9),
    symbol=r"C_K(t, t+h)",
    reference="geostat, forward capture",
    invariances=_INVARIANCES,
    tier="top",
)
def forward_capture(update: MatrixLike, increment: MatrixLike, *, K: int = 16, side: Side = "right") -> float:
    r"""Forward capture of the next increment.

    .. math:: \frac{E - K/n}{O - K/n}, \qquad
              E = \frac{\|(W_{t+h} - W_t) V_K(t)\|_F^2}{\|W_{t+h} - W_t\|_F^2}

    O is the best share that any K directions can hold of that increment; on the left U_K and m. 0 is
    what a random channel holds, 1 the best possible. On the right side anisotropic inputs alone can
    raise it: read both sides.

    Parameters
    ----------
    update, increment : array, tensor or Factored
        Shape (m, n): the cumulative update at t, and W_{t+h} - W_t.
    K : int
        Size of the channel; at most the update's numerical rank.
    side : {"left", "right"}
        U or V.

    Returns
    -------
    float
        At most 1; negative where the increment avoids the channel. NaN where the update or the
        increment is zero, or no K directions can hold more than K/n of it.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    Defined by geostat.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> round(gs.forward_capture(np.diag([1.0, 0.0, 0.0]), np.diag([2.0, 1.0, 0.0]), K=1), 12)
    1.0
    """
    return _capture(factored(update), factored(increment), K, side)


@diagnostic(
    units="1",
    bounds=(-math.inf, 1.0 + 1e-9),
    symbol=r"C_K(t, t_{\mathrm{end}})",
    reference="geostat, future capture",
    invariances=_INVARIANCES,
    tier="top",
)
def future_capture(update: MatrixLike, remaining: MatrixLike, *, K: int = 16, side: Side = "right") -> float:
    r"""Forward capture of everything still to come.

    As `forward_capture`, with W_end - W_t in place of the next increment. Undefined at the last
    checkpoint.

    Parameters
    ----------
    update, remaining : array, tensor or Factored
        Shape (m, n): the cumulative update at t, and W_end - W_t.
    K : int
        Size of the channel.
    side : {"left", "right"}
        U or V.

    Returns
    -------
    float
        At most 1. NaN as in `forward_capture`.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    Defined by geostat.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> round(gs.future_capture(np.diag([1.0, 0.0, 0.0]), np.diag([0.0, 1.0, 0.0]), K=1), 12)
    -0.5
    """
    return _capture(factored(update), factored(remaining), K, side)


@diagnostic(
    units="1",
    bounds=(-math.inf, math.inf),
    symbol=r"\log(\mathrm{srank}(\Delta W_t) / \mathrm{srank}(\Delta W_{t_1}))",
    reference="shen2026, Fig. 4a",
    invariances=_INVARIANCES,
    tier="top",
)
def stable_rank_trend(update: MatrixLike, first: MatrixLike) -> float:
    r"""Log ratio of the stable rank to its first value.

    .. math:: \log\frac{\mathrm{srank}(\Delta W_t)}{\mathrm{srank}(\Delta W_{t_1})}

    Positive where the update expands into more directions, negative where it contracts, near zero
    where it stays in a band. Growth of a fixed channel through bf16 rounding contracts too.

    Parameters
    ----------
    update, first : array, tensor or Factored
        Shape (m, n): the cumulative updates at t and at the first checkpoint.

    Returns
    -------
    float
        Dimensionless (natural logarithm). NaN where the update is zero, and everywhere if the
        first one is.

    Raises
    ------
    ShapeError
        If the shapes differ.

    References
    ----------
    shen2026, Figure 4a.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> round(gs.stable_rank_trend(np.diag([1.0, 1.0]), np.diag([1.0, 0.0])), 6)  # log 2
    0.693147
    """
    update, first = factored(update), factored(first)
    require_same_shape(update, first)
    if update.is_zero:
        return Undefined(Reason.zero_update)
    if first.is_zero:
        return Undefined(Reason.zero_first_update)
    return math.log(stable_rank(update) / stable_rank(first))
