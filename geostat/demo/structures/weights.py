"""A run in both storages: bf16 files as one would publish them, and the fp32 masters that they were rounded from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geostat.checkpoints import MatrixRef, Selection, list_matrices, open_checkpoint, read_matrix
from geostat.lab import Branch
from geostat.linalg import Factored, factored

__all__ = ["Weights", "halfway", "matrices_of", "weights_of"]


@dataclass(frozen=True, eq=False)
class Weights:
    """One matrix of a run.

    Attributes
    ----------
    initial : Factored
        Where training started, in bf16.
    stored, trained : Factored
        Its end in bf16 and in fp32.
    stored_halfway : Factored or None
        In bf16, at the last checkpoint of the first half; None where there is none.
    """

    initial: Factored
    stored: Factored
    trained: Factored
    stored_halfway: Factored | None


def matrices_of(branch: Branch, matrices: Selection) -> tuple[MatrixRef, ...]:
    """Matrices that are compared.

    Parameters
    ----------
    branch : Branch
        A run.
    matrices : str, sequence of str or callable
        As in `geostat.measure`.

    Returns
    -------
    tuple of MatrixRef
        By layer.
    """
    return list_matrices(open_checkpoint(branch.base()), matrices)


def halfway(steps: Sequence[int]) -> int | None:
    """Last checkpoint of the first half of a run.

    Parameters
    ----------
    steps : sequence of int
        Of the checkpoints, without the start.

    Returns
    -------
    int or None
        None where the first checkpoint lies in the second half.

    Examples
    --------
    >>> halfway([10, 20, 30, 40]), halfway([10])
    (20, None)
    """
    return max((step for step in steps if 2 * step <= max(steps)), default=None)


def weights_of(branch: Branch, ref: MatrixRef) -> Weights:
    """Read one matrix.

    Parameters
    ----------
    branch : Branch
        A run with both storages.
    ref : MatrixRef
        Which matrix.

    Returns
    -------
    Weights
        Start, middle and end.
    """

    def read(path: Path) -> Factored:
        return factored(read_matrix(open_checkpoint(path), ref))

    ends = branch.checkpoints()
    steps = [step for step in branch.saved_steps if step > 0]
    middle = halfway(steps)
    return Weights(
        read(branch.base()),
        read(ends[-1]),
        read(branch.checkpoints("fp32")[-1]),
        None if middle is None else read(ends[steps.index(middle)]),
    )
