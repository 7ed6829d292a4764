"""Where in a weight the visible update sits: in its principal or in its small entries."""

from geostat.diagnostics.registered import diagnostic
from geostat.diagnostics.settings import capped_rank
from geostat.linalg import MatrixLike, factored
from geostat.linalg.elementwise_blocks import Space
from geostat.linalg.elementwise_masks import low_magnitude_overlap, principal_overlap
from geostat.linalg.masks import Rule
from geostat.protocols import check_setting
from geostat.spec import Reason, Undefined

__all__ = ["low_magnitude_mask_overlap", "principal_mask_overlap"]


@diagnostic(
    units="1",
    bounds=(0.0, 1.0),
    symbol=r"\mathrm{overlap}_\alpha(\mathrm{principal})",
    reference="shen2026, C.3",
    invariances=("exact_scale", "sign", "permutation", "transpose"),
    tier="top",
)
def principal_mask_overlap(
    initial: MatrixLike,
    updated: MatrixLike,
    *,
    alpha: float = 0.3,
    r: int | float = 64,
    eta: float = 1e-3,
    rule: Rule = "relative",
    space: Space = "bf16",
) -> float:
    r"""Share of changed entries in the principal mask.

    The mask holds the alpha m n entries that are largest in magnitude in the rank-r reconstruction of
    W_0; ties at its edge count with their probability under random tie-breaking. Entries within 1e-12 of
    the threshold, relative to the largest entry of the reconstruction, count as tied: closer ones are not
    told apart by its rounding errors, and two ways of decomposing W_0 give the same overlap. A visible
    update that ignores W_0 altogether does *not* give alpha: rounding hides steps on large weights first,
    so compare with a rounding null, not with alpha alone.

    Parameters
    ----------
    initial, updated : array, tensor or Factored
        Shape (m, n).
    alpha : float
        Share of entries in the mask.
    r : int or float
        Rank of the reconstruction, capped at min(m, n) // 2.
    eta, rule, space
        What counts as changed, see `update_sparsity`.

    Returns
    -------
    float
        In [0, 1], dimensionless. NaN where no entry changed visibly, or for a single row or column.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    shen2026, appendix C.3.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> initial = np.outer([4.0, 3.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0])
    >>> updated = initial.copy()
    >>> updated[0, 0] = 8.0
    >>> gs.principal_mask_overlap(initial, updated, alpha=0.25, r=1)
    1.0
    """
    check_setting("alpha", alpha)
    initial, updated = factored(initial), factored(updated)
    used = capped_rank(initial.smaller, r, setting="r")
    if used == 0:
        return Undefined(Reason.matrix_too_small)
    share = principal_overlap(initial, updated, alpha=alpha, r=used, eta=eta, rule=rule, space=space)
    return Undefined(Reason.no_visible_change) if share is None else share


@diagnostic(
    units="1",
    bounds=(0.0, 1.0),
    symbol=r"\mathrm{overlap}_\alpha(\mathrm{low})",
    reference="shen2026, C.3",
    invariances=("exact_scale", "sign", "permutation", "transpose"),
    tier="elementwise",
)
def low_magnitude_mask_overlap(
    initial: MatrixLike,
    updated: MatrixLike,
    *,
    alpha: float = 0.3,
    eta: float = 1e-3,
    rule: Rule = "relative",
    space: Space = "bf16",
) -> float:
    r"""Share of changed entries in the low-magnitude mask.

    The mask holds the alpha m n entries of W_0 that are smallest in magnitude; ties at its edge, which
    bf16 makes common, count with their probability under random tie-breaking. Rounding alone pushes it
    far above alpha: a small step is visible on a small weight only.

    Parameters
    ----------
    initial, updated : array, tensor or Factored
        Shape (m, n).
    alpha : float
        Share of entries in the mask.
    eta, rule, space
        What counts as changed, see `update_sparsity`.

    Returns
    -------
    float
        In [0, 1], dimensionless. NaN where no entry changed visibly.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing; says what does.

    References
    ----------
    shen2026, appendix C.3.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> initial = np.array([[1.0, 1.0], [2.0, 4.0]])
    >>> updated = np.array([[1.5, 1.0], [2.0, 4.0]])
    >>> gs.low_magnitude_mask_overlap(initial, updated, alpha=0.25)  # one of two tied ones is in
    0.5
    """
    share = low_magnitude_overlap(
        factored(initial), factored(updated), alpha=alpha, eta=eta, rule=rule, space=space
    )
    return Undefined(Reason.no_visible_change) if share is None else share
