"""Similarity of independent random subspaces."""

from typing import NamedTuple

import numpy as np

__all__ = ["HaarSimilarity", "haar_similarity"]


class HaarSimilarity(NamedTuple):
    """Law of the similarity of two independent uniformly distributed subspaces.

    Attributes
    ----------
    mean, sd : float
        Exact.
    """

    mean: float
    sd: float

    @property
    def _shapes(self) -> tuple[float, float]:
        total = self.mean * (1 - self.mean) / self.sd**2 - 1
        return self.mean * total, (1 - self.mean) * total

    def interval(self, level: float) -> tuple[float, float]:
        """Between which the similarity lies with this probability, from the beta law of these moments.

        Parameters
        ----------
        level : float
            In (0, 1).

        Returns
        -------
        tuple of float
            Two ends in [0, 1].
        """
        from scipy.stats import beta

        low, high = (float(beta.ppf(share, *self._shapes)) for share in ((1 - level) / 2, (1 + level) / 2))
        return low, high

    def beyond(self, similarity: float) -> float:
        """Probability of that similarity or a greater one, from the beta law of these moments.

        Parameters
        ----------
        similarity : float
            In [0, 1].

        Returns
        -------
        float
            In [0, 1].
        """
        from scipy.stats import beta

        return float(beta.sf(similarity, *self._shapes))


def haar_similarity(n: int, j: int, k: int) -> HaarSimilarity:
    r"""Law of :math:`\|P^\top Q\|_F^2 / \min(j, k)`, P and Q independent and uniform.

    .. math:: \mathrm{mean} = \frac{\max(j, k)}{n}, \qquad
              \mathrm{variance} = \frac{2 j k (n - j)(n - k)}{n^2 (n - 1)(n + 2) \min(j, k)^2}

    Both are exact. Quantiles and tails are those of the beta law with these moments, which is exact for j = k = 1.

    Parameters
    ----------
    n : int
        Dimension of the space.
    j, k : int
        Dimensions of the subspaces, less than n.

    Returns
    -------
    HaarSimilarity
        Mean, standard deviation, tails.

    Examples
    --------
    >>> haar_similarity(1024, 16, 16).mean
    0.015625
    """
    variance = 2 * j * k * (n - j) * (n - k) / (n**2 * (n - 1) * (n + 2) * min(j, k) ** 2)
    return HaarSimilarity(max(j, k) / n, float(np.sqrt(variance)))
