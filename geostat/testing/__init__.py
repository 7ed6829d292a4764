"""A test suite for others: strategies, synthetic runs with known truth, oracles, inherited tests."""

import importlib
from typing import Any

_HOMES = {
    "DiagnosticTests": "geostat.testing.diagnostic_tests",
    "ORACLES": "geostat.testing.oracles",
    "TRANSFORMS": "geostat.testing.invariances",
    "SyntheticRun": "geostat.testing.synthetic",
    "Trajectory": "geostat.testing.synthetic",
    "assert_agrees_with_plain": "geostat.testing.tolerances",
    "assert_same_store": "geostat.testing.asserts",
    "assert_values_close": "geostat.testing.asserts",
    "simulated_updates": "geostat.testing.synthetic",
    "stored_updates": "geostat.testing.synthetic",
    "random_trajectory": "geostat.testing.synthetic",
    "synthetic_run": "geostat.testing.synthetic",
    "trajectories": "geostat.testing.strategies",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import on first use: the pytest plugin is loaded by every test run of every project beside us."""
    if name not in _HOMES:
        raise AttributeError(
            f"module 'geostat.testing' has no attribute {name!r}. It offers: {', '.join(__all__)}."
        )
    return getattr(importlib.import_module(_HOMES[name]), name)
