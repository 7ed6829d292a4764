import pytest
import xarray as xr

from geostat.errors import GeostatWarning
from geostat.statistics import compare, mean_ci


def stored(data, *storages):
    return data.assign_coords(storage=("run", list(storages)))


def test_runs_of_one_recipe_in_two_storages_are_warned_of(make_runs):
    data = stored(make_runs({"opd": 3, "sft": 2}), "bf16", "fp32", "bf16", "fp32", "fp32")
    with pytest.warns(
        GeostatWarning, match=r"'opd'.*bf16: opd-0, opd-2; fp32: opd-1.*data\.isel\(run=.*== 'bf16'"
    ):
        result = mean_ci(data)
    assert len(result.warnings) == 1
    assert result.ci is not None


def test_the_remedy_in_the_warning_works(make_runs):
    data = stored(make_runs({"opd": 3}), "bf16", "fp32", "bf16")
    assert mean_ci(data.isel(run=data["storage"].values == "bf16")).warnings == ()


def test_several_metrics_give_one_warning(make_runs):
    data = stored(make_runs({"opd": 2}), "bf16", "fp32")
    two = xr.Dataset({"stable_rank": data, "effective_rank": 2 * data}).map(
        lambda a: a.assign_attrs(data.attrs)
    )
    with pytest.warns(GeostatWarning, match="different precision") as caught:
        mean_ci(two)
    assert len(caught) == 1


def test_recipes_mixed_alike_do_not_cancel_in_a_comparison(make_runs):
    data = stored(make_runs({"opd": 2, "sft": 2}), "bf16", "fp32", "bf16", "fp32")
    with pytest.warns(GeostatWarning) as caught:
        result = compare(data, "opd", "sft")
    assert ["recipe 'opd': runs" in result.warnings[0], "recipe 'sft': runs" in result.warnings[1]] == [
        True
    ] * 2
    assert len(caught) == 2


def test_seeds_may_start_from_weights_of_their_own(make_runs):
    data = make_runs({"opd": 3}).assign_coords(base=("run", ["x", "y", "z"]))
    assert mean_ci(stored(data, "bf16", "bf16", "bf16")).warnings == ()


def test_recipes_may_differ_in_storage_where_each_is_averaged_by_itself(make_runs):
    assert mean_ci(stored(make_runs({"opd": 2, "sft": 2}), "bf16", "bf16", "fp32", "fp32")).warnings == ()


@pytest.mark.parametrize("recorded", [True, False])
def test_runs_of_one_recipe_that_train_for_unlike_lengths_are_warned_of(make_runs, recorded):
    data = make_runs({"opd": 3, "sft": 2})
    lengths = xr.DataArray([299.0, 598.0, 299.0, 100.0, 100.0], dims="run")
    recording = {"training_steps": lengths} if recorded else {"progress": data["step"] / lengths}
    with pytest.warns(GeostatWarning, match=r"'opd'.*299 steps \(opd-0\) and 598 steps \(opd-1\)"):
        result = mean_ci(data.assign_coords(recording))
    assert len(result.warnings) == 1
