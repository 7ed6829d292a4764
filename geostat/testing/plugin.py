"""Pytest plugin: hypothesis profiles and a synthetic run on disk. Loaded by every test run: imports late."""

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from geostat.testing.synthetic import SyntheticRun

__all__ = ["geostat_run"]

_PROFILES = {"dev": 25, "ci": 40, "nightly": 2000}


def pytest_configure(config: pytest.Config) -> None:
    """Load the hypothesis profile named by GEOSTAT_HYPOTHESIS_PROFILE: dev, ci or nightly."""
    chosen = os.environ.get("GEOSTAT_HYPOTHESIS_PROFILE")
    if chosen is None:
        return
    if chosen not in _PROFILES:
        raise pytest.UsageError(
            f"GEOSTAT_HYPOTHESIS_PROFILE={chosen!r}. Choose one of {', '.join(_PROFILES)}."
        )
    from hypothesis import settings

    settings.register_profile(
        f"geostat-{chosen}", max_examples=_PROFILES[chosen], deadline=None, derandomize=chosen == "ci"
    )
    settings.load_profile(f"geostat-{chosen}")


@pytest.fixture(scope="session")
def geostat_run(tmp_path_factory: pytest.TempPathFactory) -> "SyntheticRun":
    """Run of a small model in bf16 files: two layers, four steps, one channel of rank 4."""
    from geostat.testing.synthetic import synthetic_run

    return synthetic_run(tmp_path_factory.mktemp("geostat-run"))
