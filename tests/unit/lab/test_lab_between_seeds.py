"""Correlation between seeds within recipes, against scipy and against what permutations must give."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from geostat.errors import SampleError
from geostat.lab.between_seeds import seed_correlation


def of(table):
    table = np.asarray(table, float)
    cells, seeds = table.shape
    labels = [(f"cell-{i}", j) for i in range(cells) for j in range(seeds)]
    return xr.DataArray(
        table.ravel(),
        dims="run",
        coords={"recipe": ("run", [c for c, _ in labels]), "seed": ("run", [s for _, s in labels])},
    ).isel(run=np.random.default_rng(1).permutation(table.size))  # in no order


def test_one_cell_is_the_permutation_test_of_scipy():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 6))
    found = seed_correlation(of([a]), of([b]))
    expected = stats.permutation_test(
        (a,),
        lambda x: stats.pearsonr(x, b).statistic,
        permutation_type="pairings",
        n_resamples=np.inf,
    )
    assert found.estimate == pytest.approx(expected.statistic, rel=1e-12)
    both = np.mean(np.abs(expected.null_distribution) >= abs(expected.statistic) - 1e-12)
    assert found.p_value == pytest.approx(both, rel=1e-12)


def test_differences_between_cells_do_not_count():
    rng = np.random.default_rng(0)
    early, late = rng.normal(size=(2, 4, 5))
    levels = np.arange(4)[:, None]
    found = seed_correlation(of(early), of(late))
    moved = seed_correlation(of(early + 100 * levels), of(late + 7 * levels))
    assert moved.estimate == pytest.approx(found.estimate, abs=1e-9)
    assert (moved.p_value, moved.n_seeds, moved.n_cells) == (found.p_value, 5, 4)


def test_cells_that_share_their_seeds_are_no_more_than_their_seeds():
    """Nine copies of one cell: a test that took runs for independent would call this overwhelming."""
    rng = np.random.default_rng(5)
    early = rng.normal(size=5)
    late = early + rng.normal(size=5)
    one = seed_correlation(of([early]), of([late]))
    nine = seed_correlation(of([early] * 9), of([late] * 9))
    assert nine.p_value == pytest.approx(one.p_value)
    assert nine.p_value >= 1 / 120


def test_p_values_are_valid_where_there_is_nothing():
    rng = np.random.default_rng(2)
    p = [
        seed_correlation(of(rng.normal(size=(2, 4))), of(rng.normal(size=(2, 4)))).p_value for _ in range(300)
    ]
    assert np.mean(np.array(p) <= 0.25) <= 0.25 + 3 * np.sqrt(0.25 * 0.75 / 300)


@pytest.mark.parametrize("seeds", [2, 9])
def test_numbers_of_seeds_that_cannot_be_permuted_are_refused(seeds):
    values = of(np.ones((2, seeds)))
    with pytest.raises(SampleError, match=f"with {seeds} seeds"):
        seed_correlation(values, values)


def test_a_missing_run_is_named():
    values = of(np.ones((2, 4)))
    some = values.isel(run=np.flatnonzero(~((values["recipe"] == "cell-1") & (values["seed"] == 2)).values))
    with pytest.raises(SampleError, match=r"1 runs missing \(\('cell-1', 2\)\)"):
        seed_correlation(some, some)
