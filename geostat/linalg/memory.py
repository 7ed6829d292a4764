"""How much memory is free, and whether a matrix can be decomposed in it."""

import os
from pathlib import Path

from geostat.errors import InsufficientMemoryError

__all__ = ["available_memory", "require_memory"]

_CGROUP = Path("/sys/fs/cgroup")
_FLOAT64 = 8


def available_memory() -> int:
    """Bytes that this process can still take: of the machine, or of its container where that allows less.

    Returns
    -------
    int
        Bytes; pages that only cache files count as free.
    """
    limits = (_of_the_container(), _of_the_machine())
    return min(limit for limit in limits if limit is not None)


def _of_the_machine() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_the_container() -> int | None:
    """What a control group still allows; None where there is none, or it sets no limit."""
    try:
        limit, used = ((_CGROUP / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        stat = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    if limit == "max":
        return None
    return int(limit) - int(used) + int(stat.get("active_file", 0)) + int(stat.get("inactive_file", 0))


def require_memory(name: str, rows: int, cols: int, *, available: int | None = None) -> None:
    """Refuse to decompose a matrix that is larger than half of the free memory, before it is read.

    Parameters
    ----------
    name : str
        What the error calls it.
    rows, cols : int
        Its shape.
    available : int, optional
        Free bytes; asked of the system by default.

    Raises
    ------
    InsufficientMemoryError
        If it is. The pass over its entries needs no such memory.

    Examples
    --------
    >>> require_memory("lm_head", 1000, 1000, available=2**30)
    """
    free = available_memory() if available is None else available
    needed = _FLOAT64 * rows * cols
    if needed > free // 2:
        raise InsufficientMemoryError(
            f"matrix '{name}' ({rows}, {cols}) takes {needed / 2**20:,.0f} MiB in float64 and a decomposition several "
            f"times that; {free / 2**20:,.0f} MiB are free. Use a machine with more memory or fewer workers, pass "
            "tier='elementwise' (sparsity, low-magnitude overlap and norms go block by block), or leave the "
            "matrix out with matrices=."
        )
