"""``geostat lab``: both studies end to end on ten steps of each run."""

import pytest
from click.testing import CliRunner

from geostat.cli import main
from geostat.lab import Sufficiency

pytestmark = pytest.mark.filterwarnings("ignore::geostat.errors.GeostatWarning")  # ten steps gain nothing

QUICK = ["--quick", "--seeds", "2", "--workers", "1", "--no-progress", "--out"]


def test_sufficiency_is_trained_told_and_written(tmp_path):
    call = ["lab", "sufficiency", *QUICK, str(tmp_path), "--recipe", "opd", "--margin", "0.01"]
    said = CliRunner().invoke(main, call, catch_exceptions=False)
    assert said.exit_code == 0
    assert "opd, held in its channel of 16 directions" in said.output
    assert "(-0.01, 0.01)" in said.output
    found = Sufficiency.read(tmp_path / "sufficiency.csv")
    assert [str(each) for each in found.data["run"].values] == ["opd-0", "opd-1"]


@pytest.mark.slow
def test_perturbations_are_trained_measured_and_compared(tmp_path):
    call = ["lab", "perturbations", *QUICK, str(tmp_path), "--recipe", "opd_random50"]
    said = CliRunner().invoke(main, call, catch_exceptions=False)
    assert said.exit_code == 0
    assert "opd_random50 against opd_sampled" in said.output
    stores = {path.name for path in (tmp_path / "stores-bf16").iterdir() if path.suffix == ".zarr"}
    assert stores == {f"{name}-{seed}.zarr" for name in ("opd_sampled", "opd_random50") for seed in (0, 1)}


def test_a_recipe_that_there_is_not_is_refused(tmp_path):
    said = CliRunner().invoke(main, ["lab", "sufficiency", *QUICK, str(tmp_path), "--recipe", "grpo"])
    assert said.exit_code == 1
    assert "'grpo' was asked for" in said.output
