"""Published overlaps beside updates that know nothing of the weights."""

import csv
from pathlib import Path

import numpy as np
import pytest

from geostat.errors import SampleError
from geostat.nulls.published.comparison import main, published_null
from geostat.nulls.published.files import draw_published_null, write_published_null

LOW, PRINCIPAL = "low_magnitude_mask_overlap", "principal_mask_overlap"
DATA = Path(__file__).parents[3] / "docs" / "data" / "published_null.csv"


@pytest.fixture(scope="module")
def found():
    return published_null(sizes=(192,), n=3, rng=1)


def _bf16(values):
    """Round to bf16 by the bits of float32, far from ties."""
    bits = np.asarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x8000) & np.uint32(0xFFFF0000)).view(np.float32)


def _low_overlap(density, rng, alpha=0.3, size=400):
    """The same by bisection, a sort and no code of the package."""
    start = _bf16(0.02 * rng.standard_normal((size, size)))
    update = rng.standard_normal((size, size))
    low, high = 1e-8, 1.0
    for _ in range(40):
        middle = np.sqrt(low * high)
        changed = _bf16(start.astype(np.float64) + middle * update) != start
        low, high = (middle, high) if changed.mean() < density else (low, middle)
    smallest = np.argsort(np.abs(start).ravel(), kind="stable")[: round(alpha * start.size)]
    return changed.ravel()[smallest].sum() / changed.sum()


@pytest.mark.parametrize(("recipe", "density"), [("SFT", 0.9273), ("OPD", 0.4628), ("RLVR", 0.2776)])
def test_overlaps_are_those_of_plain_numpy(found, recipe, density):
    expected = _low_overlap(density, np.random.default_rng(2))
    cell = found[LOW].null_mean.sel(recipe=recipe, weights="Gaussian", law="Gaussian", size=192)
    assert float(cell) == pytest.approx(expected, abs=0.01)


def test_published_low_magnitude_overlaps_lie_among_those_of_independent_updates(found):
    cells = found.cells[LOW]
    low, high = (
        cells["null_mean"].min(["weights", "size", "law"]),
        cells["null_mean"].max(["weights", "size", "law"]),
    )
    published = cells["observed"].isel(weights=0, size=0, law=0)
    assert bool((published > low - 0.005).all())
    assert bool((published < high + 0.005).all())


def test_the_low_magnitude_null_hangs_on_the_law_and_hardly_on_the_weights(found):
    mean = found[LOW].null_mean.sel(recipe="RLVR")
    assert float(abs(mean.sel(weights="Gaussian") - mean.sel(weights="heavy-tailed")).max()) < 0.015
    assert float(mean.max("law").min() - mean.min("law").max()) > 0.03


def test_the_principal_null_lies_below_the_masks_share_and_hangs_on_the_weights(found):
    mean = found[PRINCIPAL].null_mean
    assert bool((mean < 0.3).all())
    rlvr = mean.sel(recipe="RLVR", law="Gaussian").squeeze()
    assert float(rlvr.sel(weights="Gaussian") - rlvr.sel(weights="heavy-tailed")) > 0.01


def test_there_is_no_p_value_on_synthetic_weights(found):
    assert all(bool(cells["p_value"].isnull().all()) for cells in found.cells.values())
    assert {str(row["reason"]) for row in found.rows()} == {"W_0 is synthetic: a comparison, not a test"}
    assert "synthetic" in found.conditions_on


def test_the_same_result_gives_the_same_files(found, tmp_path):
    first, second = (write_published_null(found, tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    with first[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 * 2 * 1 * 3
    assert float(rows[0]["observed"]) == pytest.approx(0.3188)


def test_the_figure_has_a_panel_for_each_mask(found):
    figure = draw_published_null(found)
    assert len(figure.axes) == 2
    assert "low-magnitude" in figure.axes[0].get_ylabel()
    assert "synthetic" in figure.get_supxlabel()


def test_the_command_asks_for_a_folder(capsys):
    assert main([]) == 2
    assert "FOLDER" in capsys.readouterr().err


def test_one_synthetic_weight_has_no_spread():
    with pytest.raises(SampleError, match="no spread"):
        published_null(n=1)


@pytest.mark.slow
def test_the_data_of_the_documentation_are_what_the_command_gives():
    with DATA.open(newline="", encoding="utf-8") as file:
        kept = [float(row["null_mean"]) for row in csv.DictReader(file)]
    assert kept == pytest.approx([row["null_mean"] for row in published_null().rows()], abs=2e-4)
