"""Every registered diagnostic against what its spec declares."""

import re
from importlib.resources import files

import geostat.diagnostics  # noqa: F401 - fills the registry
from geostat.spec import DIAGNOSTICS, INVARIANCES
from geostat.testing import ORACLES, TRANSFORMS, DiagnosticTests


class TestEveryDiagnostic(DiagnosticTests):
    pass


def test_every_diagnostic_has_an_oracle():
    assert set(ORACLES) == set(DIAGNOSTICS)


def test_every_invariance_has_a_transformation():
    assert set(TRANSFORMS) == set(INVARIANCES)


def test_every_reference_is_in_the_bibliography():
    bibliography = files("geostat").joinpath("data/references.bib").read_text()
    known = set(re.findall(r"@\w+\{(\w+),", bibliography)) | {"geostat"}
    for spec in DIAGNOSTICS.values():
        for reference in spec.reference.split(";"):
            assert reference.split(",")[0].strip() in known, f"{spec.name}: {reference}"
