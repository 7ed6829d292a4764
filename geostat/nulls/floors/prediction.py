"""Between which ends one more draw of a simulation lies."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Prediction", "prediction"]

Floats = npt.NDArray[np.float64]


class Prediction(NamedTuple):
    """Mean and spread of draws, and ends for one more.

    Attributes
    ----------
    mean, sd, low, high : numpy.ndarray
        Shape of one draw.
    """

    mean: Floats
    sd: Floats
    low: Floats
    high: Floats


def prediction(draws: Floats, bounds: tuple[float, float], level: float) -> Prediction:
    r"""Student prediction interval for one more draw, on the logarithms where all draws are positive.

    .. math:: \bar x \pm t_{n - 1} s \sqrt{1 + 1/n}

    Parameters
    ----------
    draws : numpy.ndarray
        Shape (n, ...); a single one counts as exact.
    bounds : tuple of float
        Which theory allows.
    level : float
        In (0, 1).

    Returns
    -------
    Prediction
        NaN where draws are.
    """
    from scipy.special import stdtrit

    n, mean = len(draws), draws.mean(axis=0)
    if n == 1:
        return Prediction(mean, np.zeros_like(mean), mean, mean)
    positive = (draws > 0).all(axis=0)
    scaled = np.where(positive, np.log(np.where(positive, draws, 1.0)), draws)
    half = stdtrit(n - 1, (1 + level) / 2) * scaled.std(axis=0, ddof=1) * np.sqrt(1 + 1 / n)
    ends = (scaled.mean(axis=0) + sign * half for sign in (-1, 1))
    low, high = (np.clip(np.where(positive, np.exp(end), end), *bounds) for end in ends)
    return Prediction(mean, draws.std(axis=0, ddof=1), low, high)
