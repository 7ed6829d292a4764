import numpy as np
import pytest
import xarray as xr

from geostat.errors import SampleError
from geostat.statistics import at_least, compare, lock_brackets, mean_ci

PROCEDURES = {
    "mean_ci": mean_ci,
    "compare": lambda data, **arguments: compare(data, "opd", "sft", **arguments),
    "lock_brackets": lambda data, **arguments: lock_brackets(data, reference=at_least(20.0), **arguments),
}


@pytest.fixture(params=list(PROCEDURES))
def procedure(request):
    return PROCEDURES[request.param]


@pytest.mark.parametrize("dim", [None, "run", "matrix"])
@pytest.mark.parametrize("sample_dim", ["matrix", "step"])
def test_parts_of_one_run_are_no_sample(make_runs, procedure, dim, sample_dim):
    with pytest.raises(SampleError, match=rf"sample_dim='{sample_dim}' .*no interval .*sample_dim='run'"):
        procedure(make_runs({"opd": 2, "sft": 1}), dim=dim, sample_dim=sample_dim)


def test_layers_of_one_run_never_give_an_interval_for_a_population(make_runs):
    one_run = make_runs({"opd": 1}).isel(run=0, step=[0])
    with pytest.raises(SampleError, match="fixed, correlated list"):
        mean_ci(one_run, dim=None, sample_dim="matrix")
    assert mean_ci(one_run, dim=None).ci is None


@pytest.mark.parametrize(
    "name", ["side", "alpha", "eta", "k", "energy_k", "rank", "diagnostic", "layer", "module"]
)
def test_settings_of_a_metric_are_no_sample(make_runs, procedure, name):
    data = make_runs({"opd": 2, "sft": 1})
    swept = xr.concat([data, data + 1], dim=name).assign_attrs(data.attrs)
    with pytest.raises(SampleError, match=f"sample_dim='{name}'"):
        procedure(swept, dim="matrix", sample_dim=name)
    with pytest.raises(SampleError, match=f"sample_dim='{name}'"):
        procedure(data, dim="matrix", sample_dim=name)


@pytest.mark.parametrize("label", ["layer", "module", "expert", "matrix"])
def test_matrices_under_another_name_are_known_by_their_labels(make_runs, procedure, label):
    data = make_runs({"opd": 1}).isel(run=0, drop=True)
    renamed = data.drop_vars(["matrix", "n_params"]).rename(matrix="replicate")
    with pytest.raises(SampleError, match=f"carries {label}"):
        procedure(renamed.assign_coords({label: ("replicate", range(6))}), dim=None, sample_dim="replicate")


def test_matrices_stacked_into_the_runs_are_no_sample(make_runs, procedure):
    stacked = make_runs({"opd": 2}).drop_vars(["recipe", "seed"]).stack(sample=["run", "matrix"])
    with pytest.raises(SampleError, match="carries matrix"):
        procedure(stacked, dim=None, sample_dim="sample")


@pytest.mark.parametrize("name", ["seed", "replicate", "fold"])
def test_other_repetitions_may_be_the_sample(make_runs, name):
    data = make_runs({"opd": 3})
    own = data.drop_vars(["run", "seed", "recipe"]).rename(run=name)
    renamed = mean_ci(own, sample_dim=name)
    np.testing.assert_allclose(renamed.low, mean_ci(data).low.isel(recipe=0))
    assert renamed.method == f"t-interval over {name}s"
    assert len(lock_brackets(own, sample_dim=name, reference=20.0, margin=1.0).rows()) == 3


def test_a_run_is_not_averaged_over_the_runs(make_runs, procedure):
    with pytest.raises(SampleError, match="both 'run'"):
        procedure(make_runs({"opd": 2, "sft": 2}), dim="run", sample_dim="run")


def test_a_label_along_the_runs_is_no_dimension(make_runs, procedure):
    with pytest.raises(SampleError, match="label along 'run'"):
        procedure(make_runs({"opd": 2, "sft": 2}), sample_dim="seed")


@pytest.mark.parametrize("dim", ["run", "matrix", "step"])
def test_an_empty_selection_is_refused_and_names_the_dimension(make_runs, procedure, dim):
    with pytest.raises(SampleError, match=rf"stable_rank holds no value: dimension '{dim}' has length 0"):
        procedure(make_runs({"opd": 2, "sft": 2}).isel({dim: []}))


def test_an_onset_is_not_sought_in_an_average_over_steps(make_runs):
    with pytest.raises(SampleError, match="dim='step' would average"):
        lock_brackets(make_runs({"opd": 2}), dim="step", reference=20.0, margin=1.0)
