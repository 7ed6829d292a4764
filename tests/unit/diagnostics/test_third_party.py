"""Diagnostics that other packages bring."""

import sys
import types
from importlib.metadata import EntryPoint

import numpy as np
import pytest

import geostat as gs
from geostat import diagnostics
from geostat.errors import GeostatWarning
from geostat.spec import _REGISTRY, diagnostic

SPEC = {"units": "1", "bounds": (0.0, 1.0), "symbol": "x", "reference": "geostat, test", "invariances": ()}


@pytest.fixture
def points(monkeypatch):
    def provide(*values):
        found = [EntryPoint(value, value, "geostat.diagnostics") for value in values]
        monkeypatch.setattr(diagnostics, "entry_points", lambda group: found)

    yield provide
    _REGISTRY.pop("theirs", None)


def test_a_module_named_by_an_entry_point_registers_its_diagnostics(points, monkeypatch):
    class Theirs(types.ModuleType):
        pass

    module = Theirs("their_package")
    monkeypatch.setitem(sys.modules, "their_package", module)
    points("their_package")

    @diagnostic(**SPEC)
    def theirs(update):
        """Theirs."""
        return float(np.asarray(update).mean())

    diagnostics._load_third_party()
    assert gs.DIAGNOSTICS["theirs"].operands == ("update",)


def test_a_broken_package_is_named_and_does_no_harm(points):
    points("there_is_no_such_module")
    with pytest.warns(GeostatWarning, match=r"there_is_no_such_module.*update or remove"):
        diagnostics._load_third_party()
    assert "stable_rank" in gs.DIAGNOSTICS


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="'stable_rank' is registered already"):

        @diagnostic(**SPEC)
        def stable_rank(update):
            """Theirs."""


def test_unknown_operands_and_invariances_are_refused():
    with pytest.raises(ValueError, match=r"operand \['gradient'\] unknown"):

        @diagnostic(**SPEC)
        def theirs(gradient):
            """Theirs."""

    with pytest.raises(ValueError, match=r"invariance \['mirror'\] unknown"):

        @diagnostic(**{**SPEC, "invariances": ("mirror",)})
        def theirs_too(update):
            """Theirs."""
