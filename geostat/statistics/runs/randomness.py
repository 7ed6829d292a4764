"""Random numbers that a result can name: every answer that rests on some carries their seed."""

import numpy as np

from geostat.errors import SampleError

__all__ = ["Randomness", "seeded"]

Randomness = int | np.random.Generator | None
"""A seed, a generator that one is drawn from, or None for a fresh one."""


def seeded(rng: Randomness) -> tuple[np.random.Generator, int]:
    """Generator and the seed that makes it again.

    Parameters
    ----------
    rng : int, numpy.random.Generator or None
        What the caller handed in.

    Returns
    -------
    tuple of Generator and int
        ``numpy.random.default_rng(seed)`` and the seed.

    Raises
    ------
    SampleError
        If it is something else, or a negative number.

    Examples
    --------
    >>> seeded(7)[1]
    7
    """
    if isinstance(rng, np.random.Generator):
        seed = int(rng.integers(2**63))
    elif rng is None:
        seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> 1)
    elif isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0:
        seed = int(rng)
    else:
        raise SampleError(
            f"rng={rng!r} is no source of random numbers. Pass a whole number from 0 on, a "
            "numpy.random.Generator, or None for a fresh seed (the result names it)."
        )
    return np.random.default_rng(seed), seed
