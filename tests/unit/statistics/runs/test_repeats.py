import numpy as np
import pytest
import xarray as xr

from geostat.errors import SmallSampleWarning
from geostat.statistics import compare, mean_ci


def with_copy(make_runs, **recipes):
    """Run 2 is run 0 again."""
    data = make_runs(recipes or {"opd": 3})
    data.values[2] = data.values[0]
    return data


def test_a_copy_that_lacks_a_checkpoint_is_noticed(make_runs):
    data = with_copy(make_runs)
    data.values[2, 1] = np.nan
    with pytest.warns(SmallSampleWarning, match=r"runs opd-0, opd-2 look like identical seeds.*4 cells"):
        mean_ci(data)


def test_a_copy_on_an_overlapping_grid_is_noticed_on_either_side(make_runs):
    data = with_copy(make_runs, opd=3, sft=2)
    data.values[0, 4] = data.values[2, 0] = np.nan
    with pytest.warns(SmallSampleWarning, match=r"'opd': runs opd-0, opd-2 .*3 cells"):
        compare(data, "opd", "sft")


def test_agreement_in_fewer_than_three_of_all_cells_accuses_nobody(make_runs):
    data = with_copy(make_runs)
    data.values[2, :3] = np.nan
    assert mean_ci(data).warnings == ()


def test_runs_on_disjoint_grids_are_not_compared(make_runs):
    data = with_copy(make_runs)
    data.values[0, :2] = data.values[2, 2:] = np.nan
    assert mean_ci(data).warnings == ()


def test_one_cell_that_differs_clears_the_runs(make_runs):
    data = with_copy(make_runs)
    data.values[2, 1] = np.nan
    data.values[2, 4, 0] += 1e-9
    assert mean_ci(data).warnings == ()


def test_a_copy_is_noticed_beside_metrics_that_say_nothing(make_runs):
    data = with_copy(make_runs)
    constant = (data * 0 + 48).assign_attrs(data.attrs)
    dataset = xr.Dataset({"stable_rank": data, "numerical_rank": constant, "capture": data.where(False)})
    with pytest.warns(SmallSampleWarning, match="runs opd-0, opd-2 look") as caught:
        mean_ci(dataset)
    assert len(caught) == 1


def test_two_pairs_of_copies_are_told_apart(make_runs):
    data = make_runs({"opd": 4})
    data.values[2:] = data.values[:2]
    with pytest.warns(SmallSampleWarning) as caught:
        result = mean_ci(data)
    assert [warning.split(" look")[0] for warning in result.warnings] == [
        "recipe 'opd': runs opd-0, opd-2",
        "recipe 'opd': runs opd-1, opd-3",
    ]
    assert len(caught) == 2
