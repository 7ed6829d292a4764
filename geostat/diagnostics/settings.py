"""How a number of directions that a protocol asks for becomes one that a matrix can give."""

__all__ = ["capped_rank", "order_statistics"]


def capped_rank(smaller: int, k: int | float) -> int:
    """Directions used: a count, or a share of min(m, n); never more than half of min(m, n).

    Beyond half, two k-dimensional subspaces of the smaller side share directions by necessity.

    Parameters
    ----------
    smaller : int
        min(m, n).
    k : int or float
        A count, or a share in (0, 1].

    Returns
    -------
    int
        0 when the matrix has a single row or column.
    """
    wanted = max(1, round(k * smaller)) if isinstance(k, float) else k
    return min(wanted, smaller // 2)


def order_statistics(smaller: int, hill_k: int | float) -> int:
    """Order statistics of the Hill estimator: a count, or a share of min(m, n), rounded down.

    Parameters
    ----------
    smaller : int
        min(m, n).
    hill_k : int or float
        A count, or a share in (0, 1].

    Returns
    -------
    int
        At most min(m, n).
    """
    wanted = int(hill_k * smaller) if isinstance(hill_k, float) else hill_k
    return min(wanted, smaller)
