"""What may be done to a trajectory without changing a diagnostic that declares it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from geostat.testing.synthetic import Array, Trajectory

__all__ = ["TRANSFORMS"]

Transform = Callable[[Trajectory, np.random.Generator], Trajectory]


def _each(trajectory: Trajectory, change: Callable[[Array], Array]) -> Trajectory:
    names = ("initial", "first", "update", "later", "final")
    return Trajectory(*(change(trajectory[name]) for name in names))


def _scale(trajectory: Trajectory, rng: np.random.Generator) -> Trajectory:
    factor = rng.uniform(0.1, 10.0)
    return _each(trajectory, lambda matrix: factor * matrix)


def _update_scale(trajectory: Trajectory, rng: np.random.Generator) -> Trajectory:
    factor = rng.uniform(0.1, 10.0)
    return replace(_each(trajectory, lambda matrix: factor * matrix), initial=trajectory.initial)


def _exact_scale(trajectory: Trajectory, rng: np.random.Generator) -> Trajectory:
    factor = 2.0 ** rng.integers(-6, 7)
    return _each(trajectory, lambda matrix: factor * matrix)


def _sign(trajectory: Trajectory, rng: np.random.Generator) -> Trajectory:
    return _each(trajectory, lambda matrix: -matrix)


def _orthogonal(trajectory: Trajectory, rng: np.random.Generator) -> Trajectory:
    rows, cols = trajectory.initial.shape
    left = np.linalg.qr(rng.standard_normal((rows, rows)))[0]
    right = np.linalg.qr(rng.standard_normal((cols, cols)))[0]
    return _each(trajectory, lambda matrix: left @ matrix @ right)


def _permutation(trajectory: Trajectory, rng: np.random.Generator) -> Trajectory:
    rows, cols = (rng.permutation(size) for size in trajectory.initial.shape)
    return _each(trajectory, lambda matrix: matrix[np.ix_(rows, cols)])


def _transpose(trajectory: Trajectory, rng: np.random.Generator) -> Trajectory:
    return _each(trajectory, lambda matrix: np.ascontiguousarray(matrix.T))


TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {
        "scale": _scale,
        "update_scale": _update_scale,
        "exact_scale": _exact_scale,
        "sign": _sign,
        "orthogonal": _orthogonal,
        "permutation": _permutation,
        "transpose": _transpose,
    }
)
"""One map of trajectories for each name in `geostat.spec.INVARIANCES`; transpose exchanges the sides."""
