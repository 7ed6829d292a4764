"""Where in a weight the visible update sits: in its principal or in its small entries."""

from geostat.diagnostics.settings import capped_rank
from geostat.linalg import Factored, Mask, MatrixLike, changed_entries, factored, magnitude_mask
from geostat.linalg.masks import Rule, Space, magnitudes
from geostat.protocols import check_setting
from geostat.spec import Reason, Undefined, diagnostic

__all__ = ["low_magnitude_mask_overlap", "principal_mask_overlap"]


def _principal_mask(initial: Factored, r: int, alpha: float) -> Mask:
    def build() -> Mask:
        left, values, right = initial.svd
        reconstruction = (left[:, :r] * values[:r]) @ right[:, :r].mT
        return magnitude_mask(reconstruction.abs(), alpha, largest=True)

    return initial.remember(("principal mask", r, alpha), build)


def _low_magnitude_mask(initial: Factored, alpha: float, space: Space) -> Mask:
    return initial.remember(
        ("low-magnitude mask", alpha, space),
        lambda: magnitude_mask(magnitudes(initial, space), alpha, largest=False),
    )


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
    W_0; ties at its edge count with their probability under random tie-breaking. A visible update that
    ignores W_0 altogether does *not* give alpha: rounding hides steps on large weights first, so
    compare with a rounding null, not with alpha alone.

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
    changed = changed_entries(initial, updated, eta=eta, rule=rule, space=space)
    used = capped_rank(initial.smaller, r, setting="r")
    if used == 0:
        return Undefined(Reason.matrix_too_small)
    if not bool(changed.any()):
        return Undefined(Reason.no_visible_change)
    return _principal_mask(initial, used, alpha).expected_share_of(changed)


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
    check_setting("alpha", alpha)
    initial, updated = factored(initial), factored(updated)
    changed = changed_entries(initial, updated, eta=eta, rule=rule, space=space)
    if not bool(changed.any()):
        return Undefined(Reason.no_visible_change)
    return _low_magnitude_mask(initial, alpha, space).expected_share_of(changed)
