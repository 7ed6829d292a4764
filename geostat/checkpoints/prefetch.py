"""Reading the next matrix from the disk while this one is computed."""

from collections.abc import Sequence
from threading import Thread

from geostat.checkpoints.base import Checkpoint
from geostat.checkpoints.matrix_ref import MatrixRef
from geostat.errors import GeostatError

__all__ = ["prefetch"]


def prefetch(checkpoints: Sequence[Checkpoint], ref: MatrixRef) -> Thread:
    """Have a matrix fetched from the disk by a thread of its own, which nobody needs to wait for.

    Only the system's cache is filled: no tensor is made, and a matrix that cannot be fetched is no error here,
    but where it is read.

    Parameters
    ----------
    checkpoints : sequence of Checkpoint
        Where it will be read.
    ref : MatrixRef
        The matrix.

    Returns
    -------
    threading.Thread
        At work already.

    Examples
    --------
    >>> import torch
    >>> from geostat.checkpoints import list_matrices, open_checkpoint
    >>> start = open_checkpoint({"blocks.0.attention.query.weight": torch.ones(4, 4)})
    >>> prefetch([start], list_matrices(start)[0]).join()
    """
    thread = Thread(target=_fetch, args=(checkpoints, ref), name="geostat-prefetch", daemon=True)
    thread.start()
    return thread


def _fetch(checkpoints: Sequence[Checkpoint], ref: MatrixRef) -> None:
    for checkpoint in checkpoints:
        try:
            ref.advise(checkpoint, "willneed")
        except (GeostatError, OSError):
            return  # whoever reads the matrix is told
