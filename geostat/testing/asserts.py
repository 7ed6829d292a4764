"""Assertions that say what differs, where, and by how much."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

__all__ = ["assert_same_store", "assert_values_close"]


def assert_values_close(
    actual: npt.ArrayLike, expected: npt.ArrayLike, *, rtol: float, atol: float, what: str
) -> None:
    """Assert that two arrays agree, NaN with NaN, and show the worst cell otherwise.

    Parameters
    ----------
    actual, expected : array_like
        Of one shape.
    rtol, atol : float
        Allowed: atol + rtol abs(expected).
    what : str
        Heading of the message.
    """
    a, b = np.asarray(actual, dtype=float), np.asarray(expected, dtype=float)
    assert a.shape == b.shape, f"{what}: shapes {a.shape} and {b.shape}"
    assert np.array_equal(np.isnan(a), np.isnan(b)), f"{what}: NaN at different cells\n{a}\n{b}"
    finite = np.isfinite(b)
    assert np.array_equal(a[~finite & ~np.isnan(b)], b[~finite & ~np.isnan(b)]), f"{what}: infinities differ"
    excess = np.abs(a - b)[finite] - atol - rtol * np.abs(b)[finite]
    if excess.size and excess.max() > 0:
        worst = int(excess.argmax())
        raise AssertionError(
            f"{what}: {a[finite][worst]!r} against {b[finite][worst]!r}, off by {abs(a - b)[finite][worst]:.3g} "
            f"where {atol + rtol * abs(b[finite][worst]):.3g} is allowed"
        )


def assert_same_store(first: xr.Dataset, second: xr.Dataset) -> None:
    """Assert that two stores hold the same figures and labels, bit for bit, provenance aside.

    Parameters
    ----------
    first, second : xarray.Dataset
        From `open_trajectory` or `measure`.
    """
    a, b = (_comparable(dataset) for dataset in (first, second))
    xr.testing.assert_identical(a, b)


def _comparable(dataset: xr.Dataset) -> xr.Dataset:
    """Load, without who made it when, and without versions of the inputs."""
    loaded = dataset.load().copy()
    inputs: list[dict[str, Any]] = json.loads(loaded.attrs.get("inputs", "[]"))
    loaded.attrs["inputs"] = json.dumps([{**entry, "version": None} for entry in inputs])
    for name in ("provenance", "identity", "fingerprints"):
        loaded.attrs.pop(name, None)
    return loaded
