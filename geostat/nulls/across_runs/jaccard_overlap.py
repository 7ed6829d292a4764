"""How many entries two runs both changed, against chance within strata."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Overlap", "overlap_within"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Overlap:
    """Entries changed by either of two runs, and by both, with what chance gives for the latter.

    Overlaps of several matrices add up.

    Attributes
    ----------
    changed : int
        Changed by the first run, plus changed by the second.
    both : int
        Changed by both.
    expected : float
        Mean of `both` under the null.
    variance : float
        Its variance under the null.
    """

    changed: int
    both: int
    expected: float
    variance: float

    def __add__(self, other: "Overlap") -> "Overlap":
        """Overlap of two matrices together."""
        return Overlap(
            self.changed + other.changed,
            self.both + other.both,
            self.expected + other.expected,
            self.variance + other.variance,
        )

    @property
    def observed(self) -> float:
        """Jaccard index."""
        return self._jaccard(self.both)

    @property
    def null_mean(self) -> float:
        """Jaccard index at the expected overlap."""
        return self._jaccard(self.expected)

    @property
    def null_sd(self) -> float:
        """Standard deviation of the index, to first order: d J / d both = c / (c - both)^2, c = `changed`."""
        return float(self.changed / (self.changed - self.expected) ** 2 * np.sqrt(self.variance))

    @property
    def p_value(self) -> float:
        """Two-sided, from the normal law of `both`; NaN where chance leaves it no freedom."""
        from scipy.special import ndtr

        if self.variance <= 0:
            return float("nan")
        return float(2 * ndtr(-abs(self.both - self.expected) / np.sqrt(self.variance)))

    def interval(self, level: float) -> tuple[float, float]:
        """Between which the null keeps the index with this probability.

        Parameters
        ----------
        level : float
            In (0, 1).

        Returns
        -------
        tuple of float
            Two ends in [0, 1]: the index rises with the overlap.
        """
        from scipy.special import ndtri

        half = float(ndtri((1 + level) / 2) * np.sqrt(self.variance))
        ends = np.clip([self.expected - half, self.expected + half], 0, self.changed / 2)
        return self._jaccard(ends[0]), self._jaccard(ends[1])

    def _jaccard(self, both: float) -> float:
        return float(both / (self.changed - both))


def overlap_within(first: Flags, second: Flags, labels: Labels, *, entrywise: bool = False) -> Overlap:
    r"""Overlap of two masks, against masks of which each shuffles its entries within every stratum.

    With n entries in a stratum, of which the runs changed a and b, the number that both changed is
    hypergeometric: mean :math:`ab/n`, variance :math:`ab(n-a)(n-b) / (n^2 (n-1))`. Strata add up.

    Entries of one run need not be independent: an update of low rank, or one whose rows differ in size, changes
    entries of a row or a column together. The difference from the mean is a sum over entries,

    .. math:: X - E X = \sum_{ij} r_{ij}, \qquad
              r_{ij} = (x_{ij} - a/n)(y_{ij} - b/n),

    whose terms have mean 0 as long as the two runs are independent of each other given the strata. Its variance
    is therefore also estimated with terms that depend along rows and along columns,
    :math:`\sum_i r_{i\cdot}^2 + \sum_j r_{\cdot j}^2 - \sum_{ij} r_{ij}^2`, and the larger of the two is taken.

    Parameters
    ----------
    first, second : numpy.ndarray
        Shape (m, n), bool: which entries each run changed.
    labels : numpy.ndarray
        Shape (m, n): stratum of each entry.
    entrywise : bool
        Take the entries of a run as independent, as the published baseline does.

    Returns
    -------
    Overlap
        With its mean and variance under the null.

    References
    ----------
    :cite:t:`cameron2011` for the second variance.
    """
    flat, n_strata = labels.reshape(-1), int(labels.max()) + 1
    n = np.bincount(flat, minlength=n_strata).astype(np.float64)
    a, b = (np.bincount(flat[mask.reshape(-1)], minlength=n_strata) for mask in (first, second))
    share_a, share_b = (np.divide(count, n, out=np.zeros(n_strata), where=n > 0) for count in (a, b))
    free = n > 1
    entry = (n**2 * share_a * share_b * (1 - share_a) * (1 - share_b))[free] / (n[free] - 1)
    variance = float(entry.sum())
    if not entrywise:
        variance = max(variance, _clustered(first - share_a[labels], second - share_b[labels]))
    both = int(np.count_nonzero(first & second))
    return Overlap(int(a.sum() + b.sum()), both, float((n * share_a * share_b).sum()), variance)


def _clustered(first: Floats, second: Floats) -> float:
    """Variance of the sum of products, whose terms may depend along rows and along columns."""
    terms = first * second
    rows, columns, alone = terms.sum(axis=1), terms.sum(axis=0), float((terms**2).sum())
    return max(float(rows @ rows + columns @ columns) - alone, alone)
