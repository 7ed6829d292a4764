"""How a number of directions that a protocol asks for becomes one that a matrix can give."""

from numbers import Integral

from geostat.protocols import check_setting

__all__ = ["capped_rank", "order_statistics"]


def capped_rank(smaller: int, k: int | float, *, setting: str = "k") -> int:
    """Directions used: a count, or a share of min(m, n); never more than half of min(m, n).

    Beyond half, two k-dimensional subspaces of the smaller side share directions by necessity.

    Parameters
    ----------
    smaller : int
        min(m, n).
    k : int or float
        A count, or a share in (0, 1].
    setting : str
        What errors call it.

    Returns
    -------
    int
        0 when the matrix has a single row or column.

    Raises
    ------
    ProtocolError
        If k is neither a count nor a share.
    """
    check_setting(setting, k)
    wanted = int(k) if isinstance(k, Integral) else max(1, round(k * smaller))
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

    Raises
    ------
    ProtocolError
        If hill_k is neither a count nor a share.
    """
    check_setting("hill_k", hill_k)
    wanted = int(hill_k) if isinstance(hill_k, Integral) else int(hill_k * smaller)
    return min(wanted, smaller)
