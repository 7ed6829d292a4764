"""The demonstration's measurement by a cluster of two workers, and in three shares: the same stores."""

import pytest

import geostat as gs
from geostat.lab import Scale, train_runs
from geostat.lab.measuring import measure_branches
from geostat.lab.recipes import PRETRAINING, RECIPES
from geostat.testing import assert_same_store

TINY = Scale("tiny", PRETRAINING.shortened(steps=4), (RECIPES["sft"].shortened(steps=6),), checkpoints=3)


@pytest.fixture(scope="module")
def branch(tmp_path_factory):
    """One run of the laboratory, as the demonstration makes them."""
    (trained,) = train_runs(tmp_path_factory.mktemp("runs"), 1, ["sft"], scale=TINY, workers=1)
    return trained


@pytest.fixture(scope="module")
def undisturbed(branch, tmp_path_factory):
    (store,) = measure_branches([branch], tmp_path_factory.mktemp("demo")).values()
    return gs.open_trajectory(store)


def _measure(branch, store, **settings):
    steps = [str(path) for path in branch.checkpoints()]
    return gs.measure(branch.base(), steps, store=store, matrices="linear", progress=False, **settings)


def test_a_cluster_of_two_workers_gives_the_stores_of_the_demonstration(branch, undisturbed, tmp_path):
    found = _measure(branch, tmp_path / "run.zarr", engine="dask", workers=2)
    assert_same_store(found, undisturbed)
    assert found.attrs["identity"] == undisturbed.attrs["identity"]


def test_three_shares_give_the_stores_of_the_demonstration(branch, undisturbed, tmp_path):
    for share in ("2/3", "3/3", "1/3"):
        _measure(branch, tmp_path / "run.zarr", shard=share)
    assert_same_store(gs.seal(tmp_path / "run.zarr"), undisturbed)
