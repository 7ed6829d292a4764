"""Hypothesis strategies: trajectories of one matrix with low-rank updates."""

import numpy as np
from hypothesis import strategies as st

from geostat.testing.synthetic import Trajectory, random_trajectory

__all__ = ["trajectories"]


@st.composite
def trajectories(
    draw: st.DrawFn, *, min_side: int = 8, max_side: int = 24, noise: tuple[float, ...] = (0.0, 0.01, 0.3)
) -> Trajectory:
    """Draw a weight and its low-rank updates, with or without noise, of any shape.

    Parameters
    ----------
    draw : callable
        Given by hypothesis.
    min_side, max_side : int
        Range of rows and columns.
    noise : tuple of float
        Noise levels to choose from, see `random_trajectory`.

    Returns
    -------
    Trajectory
        Operands of every diagnostic.
    """
    rows, cols = (draw(st.integers(min_side, max_side)) for _ in range(2))
    return random_trajectory(
        rows,
        cols,
        rank=draw(st.integers(1, 5)),
        size=draw(st.sampled_from([1e-3, 0.05, 0.5])),
        noise=draw(st.sampled_from(noise)),
        rng=np.random.default_rng(draw(st.integers(0, 2**32 - 1))),
    )
