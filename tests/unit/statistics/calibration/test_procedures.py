"""Every procedure that has a name can be asked, and answers as it would without a calibration."""

from dataclasses import replace

import numpy as np
import pytest

from geostat.statistics.calibration.calibration import calibrate
from geostat.statistics.calibration.catalogue import SCENARIOS
from geostat.statistics.calibration.procedure import Asked
from geostat.statistics.calibration.procedures import PROCEDURES
from geostat.statistics.locking.band_entry import band_entry
from geostat.statistics.locking.locked_share import locked_share

NAMES = list(PROCEDURES)
RANDOM = ("bootstrap_ci",)  # draws other resamples when it is asked one by one
FITTING = {"fit_changepoint": "step", "fit_onset": "exponential"}


def quiet(*arguments, n_rep=20, **others):
    return calibrate(*arguments, n_rep=n_rep, rng=0, progress=False, **others)


def first_scenario(name):
    fitting = (s.name for s in SCENARIOS.values() if PROCEDURES[name].fits(s))
    return FITTING.get(name) or next(fitting)


@pytest.mark.parametrize("name", NAMES)
def test_every_procedure_answers_in_its_scenario(name):
    found = quiet(name, first_scenario(name), {"S": 10})
    assert float(found.answered.fillna(1)) > 0.9
    assert found.coverage.notnull() or found.declared.notnull()
    assert PROCEDURES[name].says


@pytest.mark.parametrize(
    "name", [name for name in NAMES if PROCEDURES[name].vectorised and name not in RANDOM]
)
def test_asking_all_replicates_at_once_changes_nothing(name):
    """One replicate at a time gives the same answers, so vectorised answers are no pooled ones."""
    scenario = first_scenario(name)
    single = quiet(replace(PROCEDURES[name], vectorised=False), scenario, {"S": 7}, n_rep=4)
    assert single.equals(quiet(name, scenario, {"S": 7}, n_rep=4))


def test_band_entry_is_told_the_band_of_the_scenario():
    cell = {"S": 5, "T": 9, "margin": 0.15, "reference": 0.0}
    made = SCENARIOS["hinge"].simulate(np.random.default_rng(5), 1, **cell)
    expected = band_entry(
        made.data.isel(replicate=0), reference=0.0, margin=0.15, dim=None, training_steps=9.0
    )
    asked = Asked(0.95, np.random.default_rng(0), made.settings)
    answer = PROCEDURES["band_entry"].call(made.data.isel(replicate=0), asked)
    assert float(answer["low"]) == float(expected.low)
    assert float(answer["high"]) == float(expected.high)
    assert bool(answer["declared"]) == bool(expected.high < np.inf)


def test_the_share_of_all_runs_is_that_of_very_many():
    cell = {"S": 4000, "T": 12, "tau": 0.7, "spread": 0.2}
    made = SCENARIOS["hinge"].simulate(np.random.default_rng(8), 1, **cell)
    runs = made.data.isel(replicate=0, drop=True).isel(run=slice(0, 500))
    expected = locked_share(runs, reference="final", margin=0.1, dim=None, training_steps=12.0).estimate
    many = SCENARIOS["hinge"].simulate(np.random.default_rng(9), 100, **cell | {"S": 20})
    asked = Asked(0.95, np.random.default_rng(0), many.settings)
    assert PROCEDURES["locked_share"].population(many.data, asked) == pytest.approx(float(expected), abs=0.07)


def test_the_median_of_all_runs_is_the_first_checkpoint_after_the_middle_onset():
    """Half of the runs jump before .3 of 40 steps, so the median run is in from step 12 on."""
    many = SCENARIOS["step"].simulate(np.random.default_rng(9), 50, S=20, T=40, sd=0.0)
    asked = Asked(0.95, np.random.default_rng(0), many.settings)
    assert PROCEDURES["median_onset"].population(many.data, asked) == pytest.approx(12, abs=1)


def test_a_random_walk_gives_no_power_but_size():
    found = quiet("locked_share", "random_walk", {"S": 8}, n_rep=50)
    assert float(found["size"]) <= 0.05
    assert found["power"].isnull()


def test_a_recipe_whose_runs_lock_gives_power():
    found = quiet("locked_share", "hinge", {"S": 8}, n_rep=50)
    assert float(found["power"]) > 0.8
    assert found["size"].isnull()


def test_correlated_noise_makes_sup_f_see_shifts_where_there_are_none():
    found = quiet("fit_changepoint", "flat", {"S": 1, "T": 40, "rho": [0.0, 0.9], "sd": 0.3}, n_rep=40)
    assert float(found["size"].sel(rho=0.0)) < 0.2
    assert float(found["size"].sel(rho=0.9)) > 0.6


@pytest.mark.parametrize("place", [0.0, 1.0, 2.0])
def test_runs_in_the_middle_of_a_regime_are_found_there(place):
    found = quiet("classify_regime", "published_regimes", {"S": 5, "place": place, "sd": 0.02}, n_rep=30)
    assert float(found["power"]) == 1.0


def test_one_run_establishes_no_regime_and_a_boundary_hardly_any():
    found = quiet("classify_regime", "published_regimes", {"S": [1, 5], "place": [1.0, 1.5]}, n_rep=60)
    assert float(found["power"].sel(S=1, place=1.0)) == 0.0
    assert float(found["size"].sel(S=5, place=1.5)) <= 0.15


def test_equivalence_is_declared_inside_the_margin_and_not_at_it():
    found = quiet("equivalence", "two_recipes", {"S": 20, "difference": [0.0, 1.0]}, n_rep=200)
    assert float(found["power"].sel(difference=0.0)) > 0.8
    assert float(found["size"].sel(difference=1.0)) == pytest.approx(0.05, abs=0.045)


def test_a_change_is_seen_in_curves_and_not_in_noise():
    curves = quiet("onset_exists", "exponential", {"S": 3}, n_rep=20)
    noise = quiet("onset_exists", "flat", {"S": 3, "rho": 0.5}, n_rep=40)
    assert float(curves["power"]) > 0.9
    assert float(noise["size"]) < 0.2
