"""The tests that every diagnostic inherits from its spec."""

import doctest
import importlib
import inspect
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from geostat.linalg import factored
from geostat.protocols import Protocol
from geostat.spec import DIAGNOSTICS, Diagnostic
from geostat.testing.asserts import assert_values_close
from geostat.testing.invariances import TRANSFORMS
from geostat.testing.oracles import ORACLES
from geostat.testing.strategies import trajectories
from geostat.testing.synthetic import Trajectory
from geostat.trajectories.sweep import evaluate, swept_fields

__all__ = ["DiagnosticTests"]

SMALL = Protocol(name="small", k=3, r=3, K=3, energy_k=2, hill_k=4, alpha=(0.3, 0.5))
"""Settings that fit the small matrices of the strategies."""


_inherited = settings(suppress_health_check=[HealthCheck.differing_executors])
"""One instance per diagnostic runs each test: that is meant, and no instance has state."""


def _values(spec: Diagnostic, trajectory: Trajectory, protocol: Protocol) -> Any:
    own = (3,) if spec.dims else ()
    return evaluate(spec, {name: factored(trajectory[name]) for name in spec.operands}, protocol, own)[0]


class DiagnosticTests:
    """Subclass this to test diagnostics of your own as geostat tests its own.

    Attributes
    ----------
    oracles : mapping
        Name of a diagnostic -> the same quantity computed plainly, in numpy.
    rtol, atol : float
        How far the fast and the plain version may differ.

    Examples
    --------
    In a test file, with ``mine`` registered through `geostat.diagnostic`::

        class TestMine(DiagnosticTests):
            oracles = {"mine": plain_mine}
    """

    oracles: ClassVar[dict[str, Any]] = dict(ORACLES)
    rtol: ClassVar[float] = 1e-8
    atol: ClassVar[float] = 1e-11

    @pytest.fixture
    def spec(self, diagnostic_name: str) -> Diagnostic:
        """Look up the diagnostic under test."""
        return DIAGNOSTICS[diagnostic_name]

    @_inherited
    @given(trajectory=trajectories())
    def test_stays_within_its_bounds(self, diagnostic_name: str, trajectory: Trajectory) -> None:
        """No value lies outside what theory allows."""
        spec = DIAGNOSTICS[diagnostic_name]
        values = _values(spec, trajectory, SMALL)
        low, high = spec.bounds
        assert not np.any(values < low), f"{spec.name}: {values.min()} below {low}"
        assert not np.any(values > high), f"{spec.name}: {values.max()} above {high}"

    @_inherited
    @given(trajectory=trajectories())
    def test_agrees_with_its_oracle(self, diagnostic_name: str, trajectory: Trajectory) -> None:
        """The registered function and the plain one agree on every setting."""
        spec = DIAGNOSTICS[diagnostic_name]
        for single in _single_settings(spec, SMALL):
            keywords = {key: getattr(single, field) for key, field in spec.settings.items()}
            keywords = {k: v[0] if isinstance(v, tuple) else v for k, v in keywords.items()}
            operands = [trajectory[name] for name in spec.operands]
            expected = self.oracles[spec.name](*operands, **keywords)
            actual = spec.function(*operands, **keywords)
            assert_values_close(
                actual, expected, rtol=self.rtol, atol=self.atol, what=f"{spec.name} {keywords}"
            )

    @_inherited
    @given(trajectory=trajectories(), seed=st.integers(0, 2**32 - 1))
    def test_keeps_its_invariances(
        self, diagnostic_name: str, invariance: str, trajectory: Trajectory, seed: int
    ) -> None:
        """A declared transformation of all operands leaves the value."""
        spec = DIAGNOSTICS[diagnostic_name]
        before = _values(spec, trajectory, SMALL)
        after = _values(spec, TRANSFORMS[invariance](trajectory, np.random.default_rng(seed)), SMALL)
        if invariance == "transpose" and "side" in swept_fields(spec, SMALL):
            after = np.flip(after, axis=swept_fields(spec, SMALL).index("side"))
        assert_values_close(
            after, before, rtol=self.rtol, atol=self.atol, what=f"{spec.name} under {invariance}"
        )

    def test_docstring_example_runs(self, spec: Diagnostic) -> None:
        """There is an example, and it gives what it says."""
        doc = inspect.getdoc(spec.function) or ""
        module = importlib.import_module(spec.function.__module__)
        examples = doctest.DocTestParser().get_doctest(doc, vars(module).copy(), spec.name, None, 0)
        assert examples.examples, f"{spec.name} has no example"
        result = doctest.DocTestRunner(verbose=False).run(examples)
        assert result.failed == 0

    def test_docstring_names_what_a_reviewer_looks_for(self, spec: Diagnostic) -> None:
        """Parameters, returns and references are there; so are symbol and units."""
        doc = inspect.getdoc(spec.function) or ""
        for section in ("Parameters\n", "Returns\n", "References\n", "Examples\n"):
            assert section in doc, f"{spec.name}: no section {section.strip()}"
        assert spec.symbol
        assert spec.units

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Spread the tests over diagnostics and their invariances."""
        names = sorted(self.oracles)
        if "invariance" in metafunc.fixturenames:
            pairs = [(name, each) for name in names for each in DIAGNOSTICS[name].invariances]
            metafunc.parametrize(("diagnostic_name", "invariance"), pairs)
        elif "diagnostic_name" in metafunc.fixturenames:
            metafunc.parametrize("diagnostic_name", names)


def _single_settings(spec: Diagnostic, protocol: Protocol) -> list[Protocol]:
    """One protocol for each combination of the swept settings."""
    found = [protocol]
    for field in swept_fields(spec, protocol):
        found = [each.replace(**{field: (value,)}) for each in found for value in getattr(each, field)]
    return found
