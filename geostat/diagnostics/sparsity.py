"""Which share of the entries training left unchanged."""

from geostat.diagnostics.registered import diagnostic
from geostat.linalg import Factored, MatrixLike, factored
from geostat.linalg.elementwise import changed_count
from geostat.linalg.elementwise_blocks import Space
from geostat.linalg.masks import Rule

__all__ = ["update_density", "update_sparsity"]


@diagnostic(
    units="1",
    bounds=(0.0, 1.0),
    symbol=r"\mathrm{sparsity}_{\eta}(W_0, W_t)",
    reference="shen2026, eq. 1 and C.3; zhu2025, Def. 2.1-2.2",
    weighting="parameters",
    invariances=("exact_scale", "sign", "permutation", "transpose"),
    tier="elementwise",
)
def update_sparsity(
    initial: MatrixLike,
    updated: MatrixLike,
    *,
    eta: float = 1e-3,
    rule: Rule = "relative",
    space: Space = "bf16",
) -> float:
    r"""Unchanged fraction.

    .. math:: \frac{1}{mn}\,\#\{ij : |w'_{ij} - w_{ij}| \le \eta \max(|w_{ij}|, |w'_{ij}|)\}

    with both weights rounded to bf16 first (``space="bf16"``) or as stored (``"raw"``). It is not the
    sparsity of the weights, and not that of the update before rounding: two different finite bf16
    numbers differ by a relative 1/256 or more, so for every eta below that it counts the entries whose
    rounded value stayed the same.

    Parameters
    ----------
    initial, updated : array, tensor or Factored
        Shape (m, n).
    eta : float
        Tolerance.
    rule : {"relative", "absolute"}
        Relative as above, or absolute: :math:`|w' - w| \le \eta`.
    space : {"bf16", "raw"}
        What is compared.

    Returns
    -------
    float
        In [0, 1], dimensionless. Averaged over matrices by their number of entries.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    shen2026, eq. 1 and appendix C.3; zhu2025, Definitions 2.1 and 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> initial = np.ones((2, 2))
    >>> updated = initial + np.array([[0.0, 0.001], [0.01, 0.1]])  # steps at 1 are 1/128 in bf16
    >>> gs.update_sparsity(initial, updated)
    0.5
    """
    return 1.0 - _changed_fraction(factored(initial), factored(updated), eta, rule, space)


@diagnostic(
    units="1",
    bounds=(0.0, 1.0),
    symbol=r"1 - \mathrm{sparsity}_{\eta}(W_0, W_t)",
    reference="shen2026, Fig. 3",
    weighting="parameters",
    invariances=("exact_scale", "sign", "permutation", "transpose"),
    tier="elementwise",
)
def update_density(
    initial: MatrixLike,
    updated: MatrixLike,
    *,
    eta: float = 1e-3,
    rule: Rule = "relative",
    space: Space = "bf16",
) -> float:
    r"""Changed fraction.

    One minus `update_sparsity`, with the same arguments and conventions.

    Parameters
    ----------
    initial, updated : array, tensor or Factored
        Shape (m, n).
    eta : float
        Tolerance.
    rule : {"relative", "absolute"}
        What the tolerance is relative to.
    space : {"bf16", "raw"}
        What is compared.

    Returns
    -------
    float
        In [0, 1], dimensionless.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    shen2026, Figure 3.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> gs.update_density(np.ones((2, 2)), np.array([[1.0, 1.0], [1.0, 2.0]]))
    0.25
    """
    return _changed_fraction(factored(initial), factored(updated), eta, rule, space)


def _changed_fraction(initial: Factored, updated: Factored, eta: float, rule: Rule, space: Space) -> float:
    n_changed = changed_count(initial, updated, eta=eta, rule=rule, space=space)
    return n_changed / (initial.rows * initial.cols)
