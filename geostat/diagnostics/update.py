"""Size and shape of the cumulative update: norms, ranks, tails."""

import math

import torch

from geostat.diagnostics.registered import diagnostic
from geostat.diagnostics.settings import order_statistics
from geostat.linalg import MatrixLike, factored
from geostat.linalg.factored import require_same_shape
from geostat.linalg.spectra import Spectrum
from geostat.protocols import check_setting
from geostat.spec import Reason, Undefined

__all__ = [
    "effective_rank",
    "hill_tail_exponent",
    "numerical_rank",
    "relative_update_norm",
    "stable_rank",
    "top_k_energy",
    "update_norm",
]

ACCURACY = 1e-11
"""Largest error put up with from the singular values; beyond it they are computed more accurately."""
_TINY = torch.finfo(torch.float64).tiny
_SHAPE_ONLY = ("scale", "update_scale", "sign", "orthogonal", "permutation", "transpose")


@diagnostic(
    units="1",
    bounds=(1.0, math.inf),
    symbol=r"\mathrm{srank}(\Delta W)",
    reference="shen2026, eq. 8",
    invariances=_SHAPE_ONLY,
    tier="top",
)
def stable_rank(update: MatrixLike) -> float:
    r"""Stable rank of the update.

    .. math:: \mathrm{srank}(U) = \|U\|_F^2 / \|U\|_2^2

    Lies in [1, rank(U)]. Blind to scale and to which directions are used: a run may keep its stable
    rank while rotating. Rounding to bf16 raises it, the more the fewer entries changed.

    Parameters
    ----------
    update : array, tensor or Factored
        Shape (m, n), the cumulative update dW = W_t - W_0 (not W_t).

    Returns
    -------
    float
        Dimensionless. NaN for a zero update, which has no direction.

    References
    ----------
    shen2026, eq. 8.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> gs.stable_rank(np.diag([2.0, 2.0, 1.0]))
    2.25
    """
    update = factored(update)
    if update.is_zero:
        return Undefined(Reason.zero_update)
    return max(1.0, (update.frobenius_norm / update.spectral_norm) ** 2)


@diagnostic(
    units="1",
    bounds=(1.0, math.inf),
    symbol=r"\mathrm{rank}(\Delta W)",
    reference="mukherjee2025, section 5",
    invariances=_SHAPE_ONLY,
)
def numerical_rank(update: MatrixLike) -> float:
    r"""Numerical rank of the update.

    .. math:: \#\{i : s_i > \max(m, n)\,\epsilon\, s_1\}

    with float64's epsilon: the stored checkpoints are exact numbers and so is their difference. It
    counts every direction above that floor, rounding noise of the storage included, and says nothing
    of how many matter: for that see `stable_rank` and `effective_rank`.

    Parameters
    ----------
    update : array, tensor or Factored
        Shape (m, n), the cumulative update.

    Returns
    -------
    float
        In [1, min(m, n)]. NaN for a zero update.

    References
    ----------
    mukherjee2025, which reports full rank for reinforcement-learning updates.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> gs.numerical_rank(np.outer([1.0, 2.0, 3.0], [1.0, 0.0, 1.0]))
    1.0
    """
    update = factored(update)
    return Undefined(Reason.zero_update) if update.is_zero else float(update.numerical_rank)


@diagnostic(
    units="weight",
    bounds=(0.0, math.inf),
    symbol=r"\|\Delta W\|_F",
    reference="shen2026, eq. 32",
    invariances=("sign", "orthogonal", "permutation", "transpose"),
    tier="elementwise",
)
def update_norm(update: MatrixLike) -> float:
    r"""Frobenius norm of the update.

    .. math:: \|\Delta W\|_F

    In the unit of the weights, so not comparable between matrices of different scale: for that see
    `relative_update_norm`.

    Parameters
    ----------
    update : array, tensor or Factored
        Shape (m, n), the cumulative update.

    Returns
    -------
    float
        At least 0.

    References
    ----------
    shen2026, eq. 32.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> gs.update_norm(np.array([[3.0, 0.0], [0.0, 4.0]]))
    5.0
    """
    return factored(update).frobenius_norm


@diagnostic(
    units="1",
    bounds=(0.0, math.inf),
    symbol=r"\|\Delta W\|_F / \|W_0\|_F",
    reference="shen2026, eq. 32",
    invariances=("scale", "sign", "orthogonal", "permutation", "transpose"),
    tier="elementwise",
)
def relative_update_norm(initial: MatrixLike, update: MatrixLike) -> float:
    r"""Relative norm of the update.

    .. math:: \|\Delta W\|_F / \|W_0\|_F

    The displacement in units of the starting point; most other diagnostics are functions of it first
    of all, so recipes are best compared at equal values of it.

    Parameters
    ----------
    initial, update : array, tensor or Factored
        Shape (m, n): W_0 and the cumulative update.

    Returns
    -------
    float
        At least 0, dimensionless. NaN for a zero initial weight.

    Raises
    ------
    ShapeError
        If the shapes differ.

    References
    ----------
    shen2026, eq. 32.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> gs.relative_update_norm(np.diag([6.0, 8.0]), np.diag([3.0, 4.0]))
    0.5
    """
    initial, update = factored(initial), factored(update)
    require_same_shape(initial, update)
    if initial.is_zero:
        return Undefined(Reason.zero_initial)
    return update.frobenius_norm / initial.frobenius_norm


@diagnostic(
    units="1",
    bounds=(0.0, math.inf),
    symbol=r"\hat\alpha_{\mathrm{Hill}}(\Delta W)",
    reference="shen2026, eq. 33; hill1975",
    invariances=_SHAPE_ONLY,
)
def hill_tail_exponent(update: MatrixLike, *, hill_k: int | float = 0.1) -> float:
    r"""Hill tail exponent of the update's singular values.

    .. math:: \left(\frac{1}{k - 1}\sum_{i<k} \log\frac{s_i}{s_k}\right)^{-1}

    A large exponent is a light tail. It is an estimate from k - 1 values, its relative error about
    one over the root of k - 1, and depends on k: the k used is stored.

    Parameters
    ----------
    update : array, tensor or Factored
        Shape (m, n), the cumulative update.
    hill_k : int or float
        Order statistics k, as a count or a share of min(m, n), rounded down.

    Returns
    -------
    float
        At least 0, infinite where the first k are equal, dimensionless. NaN for a zero update, for
        k < 2, and where s_k is below the numerical rank.

    Raises
    ------
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    shen2026, eq. 33; hill1975.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> e = np.e
    >>> round(gs.hill_tail_exponent(np.diag([e**2, e, 1.0]), hill_k=3), 12)  # 1 / mean(2, 1)
    0.666666666667
    """
    update = factored(update)
    k = order_statistics(update.smaller, hill_k)
    if update.is_zero:
        return Undefined(Reason.zero_update)
    if k < 2:
        return Undefined(Reason.matrix_too_small)
    if k > update.numerical_rank:
        return Undefined(Reason.too_few_singular_values)
    while (found := _hill(update.spectrum, k))[1] > ACCURACY * max(1.0, found[0]) and update.sharpen():
        continue
    return found[0]


def _hill(spectrum: Spectrum, k: int) -> tuple[float, float]:
    """The exponent, and the size of its error."""
    leading, last = spectrum.values[:k], spectrum.values[k - 1]
    mean_log = float(torch.log(leading[:-1] / last).mean())
    if mean_log <= 0:
        return math.inf, 0.0
    tail = spectrum.errors[:k] / leading
    error = float(tail[-1]) + float(torch.linalg.vector_norm(tail)) / (k - 1)
    return 1.0 / mean_log, error / mean_log**2


@diagnostic(
    units="1",
    bounds=(1.0, math.inf),
    symbol=r"\mathrm{erank}(\Delta W)",
    reference="roy2007, Def. 1",
    invariances=_SHAPE_ONLY,
)
def effective_rank(update: MatrixLike) -> float:
    r"""Effective rank of the update.

    .. math:: \exp\Big(-\sum_i p_i \log p_i\Big), \qquad p_i = s_i / \sum_j s_j

    the exponential of the Shannon entropy of the singular values themselves (power 1), not of their
    squares. It weighs the tail far more than `stable_rank` does.

    Parameters
    ----------
    update : array, tensor or Factored
        Shape (m, n), the cumulative update.

    Returns
    -------
    float
        In [1, rank], dimensionless. NaN for a zero update.

    References
    ----------
    roy2007, Definition 1.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> round(gs.effective_rank(np.diag([3.0, 2.0, 1.0])), 2)
    2.75
    """
    update = factored(update)
    if update.is_zero:
        return Undefined(Reason.zero_update)
    while (found := _entropy(update.spectrum))[1] > ACCURACY and update.sharpen():
        continue
    return max(1.0, math.exp(found[0]))


def _entropy(spectrum: Spectrum) -> tuple[float, float]:
    """Shannon entropy of the shares of singular values, and the size of its error."""
    total = spectrum.values.sum()
    shares = spectrum.values / total
    entropy = torch.special.entr(shares).sum()
    slope = (shares.clamp(min=_TINY).log() + entropy) / total
    return float(entropy), float(torch.linalg.vector_norm(slope * spectrum.errors))


@diagnostic(
    units="1",
    bounds=(0.0, 1.0),
    symbol=r"\sum_{i \le K} s_i^2 / \sum_i s_i^2",
    reference="shen2026, section 4",
    invariances=_SHAPE_ONLY,
    tier="top",
)
def top_k_energy(update: MatrixLike, *, K: int = 16) -> float:
    r"""Share of the update's energy in its K leading directions.

    .. math:: \sum_{i \le K} s_i^2 \Big/ \sum_i s_i^2

    An update of rank K or less has 1; a small one does not have it by being small.

    Parameters
    ----------
    update : array, tensor or Factored
        Shape (m, n), the cumulative update.
    K : int
        Number of directions; all of them where min(m, n) is smaller.

    Returns
    -------
    float
        In [0, 1], dimensionless. NaN for a zero update.

    Raises
    ------
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    shen2026, section 4 (K = 16).

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> round(gs.top_k_energy(np.diag([2.0, 1.0, 1.0, 1.0, 1.0]), K=1), 12)
    0.5
    """
    check_setting("K", K)
    update = factored(update)
    if update.is_zero:
        return Undefined(Reason.zero_update)
    return min(1.0, float(torch.sum((update.leading_values(K) / update.frobenius_norm) ** 2)))
