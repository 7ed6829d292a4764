"""A calibration finds the known properties of known intervals, and says where they come from."""

import math
from functools import partial

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from geostat.errors import SampleError
from geostat.statistics import mean_ci
from geostat.statistics.calibration.answers import read_answers
from geostat.statistics.calibration.calibration import calibrate
from geostat.statistics.calibration.figures import QUANTITIES, median_with_error, share_with_error
from geostat.statistics.calibration.grid import as_grid, cell_generators
from geostat.statistics.calibration.procedure import Procedure
from geostat.statistics.calibration.scenario import Scenario, Simulated
from geostat.statistics.calibration.words import calibration_sentence, calibration_table

quiet = partial(calibrate, progress=False, rng=0)


def normal(rng, n_rep, *, S=3, mean=0.0):
    """S values of variance 1."""
    data = xr.DataArray(rng.normal(mean, 1, (n_rep, S)), dims=("replicate", "run"))
    return Simulated(data, mean, mean == 0, seed_sd=1.0)


def at_once(answer):
    """The same function, asked about all replicates in one call."""
    return Procedure(answer.__name__, lambda data, asked: answer(data, asked.level), vectorised=True)


def z_interval(data, level):
    half = stats.norm.ppf((1 + level) / 2) / math.sqrt(data.sizes["run"])
    return data.mean("run") - half, data.mean("run") + half


def z_test(data, level):
    z = abs(data.mean("run")) * math.sqrt(data.sizes["run"])
    return {"p_value": z.copy(data=2 * stats.norm.sf(z))}


def t_interval_called_z(data, level):
    """Wrong at small S: a normal quantile beside an estimated variance."""
    half = stats.norm.ppf((1 + level) / 2) * data.std("run", ddof=1) / math.sqrt(data.sizes["run"])
    return data.mean("run") - half, data.mean("run") + half


def test_an_exact_interval_covers_at_every_level():
    for level in (0.5, 0.95):
        found = quiet(at_once(z_interval), normal, {"S": [2, 5]}, n_rep=2000, level=level)
        assert (abs(found.coverage - level) < 3.5 * found.coverage_error).all()


def test_a_wrong_interval_covers_what_theory_says():
    """P(|t_2| <= 1.96) = .811 at three runs."""
    found = quiet(at_once(t_interval_called_z), normal, {"S": 3}, n_rep=2000)
    expected = 1 - 2 * stats.t.sf(stats.norm.ppf(0.975), 2)
    assert float(found.coverage) == pytest.approx(expected, abs=3.5 * float(found.coverage_error))


def test_width_is_that_of_the_interval():
    found = quiet(z_interval, normal, {"S": 4}, n_rep=50)
    assert float(found.width_median) == pytest.approx(1.96, abs=0.001)
    assert float(found.width_mean) == pytest.approx(1.96, abs=0.001)
    assert float(found.width_median_error) == pytest.approx(0, abs=1e-9)


def test_declarations_are_size_without_an_effect_and_power_with_one():
    found = quiet(at_once(z_test), normal, {"S": 4, "mean": [0.0, 1.0]}, n_rep=1500)
    power = stats.norm.sf(1.96 - 2) + stats.norm.cdf(-1.96 - 2)
    assert float(found["size"].sel(mean=0)) == pytest.approx(0.05, abs=0.018)
    assert float(found["power"].sel(mean=1)) == pytest.approx(power, abs=0.045)
    assert found["size"].isnull().values.tolist() == [False, True]
    assert found["power"].isnull().values.tolist() == [True, False]
    assert found["coverage"].isnull().all()


def test_figures_have_the_error_of_a_share():
    found = quiet(z_interval, normal, {}, n_rep=400)
    p = float(found.coverage)
    assert float(found.coverage_error) == pytest.approx(math.sqrt(p * (1 - p) / 400))
    assert float(found.answered) == 1.0
    assert float(found.answered_error) == pytest.approx(math.sqrt(0.5 / 400 * (1 - 0.5 / 400) / 400))


def test_error_of_a_median_is_that_of_theory():
    """sqrt(pi / 2 / n) for normal values."""
    values = np.random.default_rng(0).normal(size=(200, 2000))
    errors = [median_with_error(row)[1] for row in values]
    assert np.mean(errors) == pytest.approx(math.sqrt(math.pi / 2 / 2000), rel=0.1)
    medians = [median_with_error(row)[0] for row in values]
    assert np.std(medians) == pytest.approx(np.mean(errors), rel=0.2)


def test_nothing_has_no_share_and_infinity_is_a_width():
    assert all(math.isnan(each) for each in share_with_error(np.array([np.nan])))
    assert all(math.isnan(each) for each in median_with_error(np.array([])))
    assert median_with_error(np.array([1.0, np.inf, np.inf]))[0] == math.inf


def test_unanswered_questions_count_neither_as_hit_nor_as_miss():
    def every_other(data):
        low, high = z_interval(data, 0.95)
        keep = xr.DataArray(np.arange(data.sizes["replicate"]) % 2 == 0, dims="replicate")
        return low.where(keep), high.where(keep)

    asked = Procedure("half", lambda data, asked: every_other(data), vectorised=True)
    found = quiet(asked, normal, {}, n_rep=1000)
    assert float(found.answered) == 0.5
    assert float(found.coverage) == pytest.approx(0.95, abs=0.035)


def test_steps_are_averaged():
    """Pointwise coverage: half of the steps are always missed."""

    def simulate(rng, n_rep):
        data = xr.DataArray(np.zeros((n_rep, 2, 4)), dims=("replicate", "run", "step"))
        return Simulated(data, 0.0)

    def answer(data):
        at = xr.DataArray([0.0, 0.0, 1.0, 1.0], dims="step")
        return at, at + 0.5

    assert float(quiet(answer, simulate, {}, n_rep=10).coverage) == 0.5


def test_infinite_intervals_cover_and_are_infinitely_wide():
    found = quiet(lambda data: (-math.inf, math.inf), normal, {}, n_rep=10)
    assert float(found.coverage) == 1.0
    assert float(found.width_mean) == math.inf


def test_vectorised_and_single_answers_are_the_same():
    one = quiet(
        lambda data, level: mean_ci(data, dim="matrix", level=level), "fixed_layers", {"S": 3}, n_rep=60
    )
    all_at_once = quiet("mean_ci", "fixed_layers", {"S": 3}, n_rep=60)
    xr.testing.assert_allclose(one, all_at_once)


def test_a_cell_is_the_same_alone_and_in_any_grid():
    whole = quiet("mean_ci", "fixed_layers", {"S": [2, 3, 5], "L": [4, 6]}, n_rep=40)
    turned = quiet("mean_ci", "fixed_layers", {"L": [6, 4], "S": [5, 3]}, n_rep=40)
    alone = quiet("mean_ci", "fixed_layers", {"S": 3, "L": 6}, n_rep=40)
    assert float(whole.width_mean.sel(S=3, L=6)) == float(turned.width_mean.sel(S=3, L=6))
    assert float(whole.width_mean.sel(S=3, L=6)) == float(alone.width_mean)


def test_other_seeds_give_other_figures_and_the_same_seed_the_same():
    a, b, c = (quiet("mean_ci", "fixed_layers", {"S": 3}, n_rep=20, rng=seed) for seed in (1, 1, 2))
    xr.testing.assert_identical(a, b)
    assert float(a.width_mean) != float(c.width_mean)
    fresh = calibrate("mean_ci", "fixed_layers", {}, n_rep=5, progress=False)
    again = calibrate("mean_ci", "fixed_layers", {}, n_rep=5, rng=fresh.attrs["seed"], progress=False)
    xr.testing.assert_identical(fresh, again)


def test_batches_of_a_cell_do_not_depend_on_the_number_of_replicates():
    """The first 250 studies of 600 are those of 250: the batch follows from the cell."""
    seen = []

    def record(data, asked):
        seen.append(data.values.copy())
        return data.mean("run"), data.mean("run")

    asked = Procedure("record", record, vectorised=True)
    for n_rep in (250, 600):
        quiet(asked, normal, {"S": 3}, n_rep=n_rep)
    assert [part.shape[0] for part in seen] == [250, 250, 250, 100]
    np.testing.assert_array_equal(seen[0], seen[1])


def test_processes_change_nothing():
    grid = {"S": [2, 3], "L": 4}
    one, two = (quiet("mean_ci", "fixed_layers", grid, n_rep=30, workers=workers) for workers in (1, 2))
    xr.testing.assert_identical(one, two)


def test_what_other_processes_cannot_import_is_refused():
    with pytest.raises(SampleError, match="workers=1"):
        quiet(lambda data: (0, 1), normal, {"S": [2, 3]}, n_rep=2, workers=2)


def test_a_procedure_gets_the_level_and_its_own_randomness():
    heard = []

    def answer(data, level, rng):
        heard.append((level, rng.random()))
        return 0.0, 1.0

    quiet(answer, normal, {}, n_rep=2, level=0.9)
    first = list(heard)
    heard.clear()
    quiet(answer, normal, {}, n_rep=2, level=0.9)
    assert heard == first
    assert first[0][1] != first[1][1]
    assert {level for level, _ in first} == {0.9}


def test_random_numbers_of_data_procedure_and_population_differ():
    draws = [rng.random() for rng in cell_generators(0, "x", {"S": 2})]
    assert len(set(draws)) == 3
    assert cell_generators(0, "x", {"S": 3})[0].random() != draws[0]
    assert cell_generators(0, "y", {"S": 2})[0].random() != draws[0]


def test_a_figure_of_all_runs_is_found_from_very_many():
    """The share of runs above 1 is P(z > 1) = .159."""

    def share(data, asked):
        return float((data > 1).mean()), float((data > 1).mean())

    told = []

    def population(data, asked):
        told.append(float((data > 1).mean()))
        return told[-1]

    quiet(Procedure("share", share, population=population), normal, {"S": 3}, n_rep=2)
    assert told == [pytest.approx(stats.norm.sf(1), abs=0.02)]


def test_the_dataset_says_what_it_is():
    found = quiet("compare", "two_recipes", {"S": [2, 3], "L": 4}, n_rep=10)
    assert found.sizes == {"S": 2}
    assert found.S.values.tolist() == [2, 3]
    assert {k: found.attrs[k] for k in ("procedure", "scenario", "level", "n_rep", "seed", "settings")} == {
        "procedure": "compare",
        "scenario": "two_recipes",
        "level": 0.95,
        "n_rep": 10,
        "seed": 0,
        "settings": '{"L": 4}',
    }
    assert "numpy" in found.attrs["versions"]
    assert set(found) == {n + e for n in QUANTITIES for e in ("", "_error")} | {"seed_sd"}
    assert found.coverage.attrs["long_name"] == QUANTITIES["coverage"]


def test_one_list_of_steps_is_one_study_and_several_are_a_dimension():
    assert as_grid({"steps": [1, 2, 4]}).fixed == {"steps": (1, 2, 4)}
    assert as_grid({"steps": np.array([1.0, 2.0])}).fixed == {"steps": (1.0, 2.0)}
    several = as_grid({"steps": [[1, 2], [1, 3, 9]]})
    assert several.shape == (2,)
    assert several.coordinates()["steps"].tolist() == ["1, 2", "1, 3, 9"]
    found = quiet("mean_ci", "fixed_layers", {"steps": [63, 127, 299], "S": np.array([2, 3])}, n_rep=5)
    assert found.sizes == {"S": 2}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mean_cis", "fixed_layers", {}), "mean_cis.*There are: mean_ci, bootstrap_ci, compare"),
        (("mean_ci", "layers", {}), "layers.*There are: fixed_layers"),
        (("mean_ci", "fixed_layers", {"s": 3}), "no setting 's'. It has: S, L, T"),
        (("mean_ci", "hinge", {}), "makes curves. Choose among: fixed_layers"),
        (("mean_ci", "fixed_layers", {"S": []}), "one value or more"),
        (("mean_ci", "fixed_layers", {"S": [2, 2]}), "each once"),
        ((3, "fixed_layers", {}), "procedure=3"),
        (("mean_ci", 3, {}), "scenario=3"),
        ((lambda data: 5, "fixed_layers", {}), "without low and high"),
        (("mean_ci", lambda rng, n_rep: 5, {}), "returned a int"),
        (
            ("mean_ci", lambda rng, n_rep: Simulated(xr.DataArray([1.0], dims="run"), 0), {}),
            "dim `replicate`",
        ),
        (("mean_ci", lambda rng, n_rep, *, S: 5, {}), "needs 'S'"),
    ],
)
def test_mistakes_are_told(arguments, words):
    with pytest.raises(SampleError, match=words):
        quiet(*arguments, n_rep=3)


@pytest.mark.parametrize(
    "wrong", [{"n_rep": 0}, {"n_rep": 1.5}, {"workers": 0}, {"level": 1.0}, {"rng": "x"}]
)
def test_arguments_are_checked(wrong):
    with pytest.raises(SampleError, match=str(next(iter(wrong.values())))):
        calibrate("mean_ci", "fixed_layers", {}, **{"progress": False, "n_rep": 3} | wrong)


def test_a_pooled_answer_is_not_taken_for_one_per_replicate():
    asked = Procedure("pooled", lambda data, asked: (data.mean(), data.mean()), vectorised=True)
    with pytest.raises(SampleError, match="its answer has none"):
        quiet(asked, normal, {}, n_rep=3)


def test_declared_wins_over_a_p_value():
    found = read_answers({"declared": True, "p_value": 0.9}, 0.95)
    assert float(found.declared) == 1.0
    assert float(read_answers({"p_value": 0.05}, 0.95).declared) == 1.0
    assert float(read_answers({"p_value": 0.051}, 0.95).declared) == 0.0


def test_table_holds_value_and_error():
    found = quiet("mean_ci", "fixed_layers", {"S": [2, 3]}, n_rep=100)
    text = calibration_table(found)
    shown = f"{100 * float(found.coverage[0]):.1f}% ± {100 * float(found.coverage_error[0]):.1f}%"
    assert shown in text
    assert "power" not in text
    assert len(text.splitlines()) == 4


def test_sentence_is_in_plain_words():
    found = quiet("mean_ci", "fixed_layers", {"S": 3}, n_rep=400)
    p, error = 100 * float(found.coverage), 100 * float(found.coverage_error)
    assert calibration_sentence(found) == (
        f"A 95% interval from mean_ci with 3 seeds covered the truth in {p:.1f}% ± {error:.1f}% of 400 simulated "
        f"studies; its median width was {float(found.width_median):.2g} seed SDs."
    )


def test_sentence_of_several_cells_gives_their_range():
    found = quiet("compare", "two_recipes", {"S": [2, 5], "difference": [0.0, 3.0]}, n_rep=60)
    told = calibration_sentence(found)
    assert "with 2 to 5 seeds" in told
    assert "in each of 4 cells" in told
    assert "nothing to declare, compare declared it in" in told
    assert "the claim was true, compare declared it in" in told


def test_sentence_of_one_seed_says_that_there_is_no_interval():
    found = quiet("mean_ci", "fixed_layers", {"S": 1}, n_rep=10)
    assert calibration_sentence(found) == "mean_ci gave an interval in none of 10 simulated studies."
    assert math.isnan(float(found.coverage))


def test_partial_answers_are_told():
    asked = Procedure("half", lambda data, asked: (0.0, 1.0 if data[0] > 0 else math.nan))
    found = quiet(asked, normal, {"S": 1}, n_rep=50)
    assert "coverage is of those answers" in calibration_sentence(found)


def test_a_scenario_object_is_taken_as_it_is():
    found = quiet(z_interval, Scenario("mine", normal, says="normal values"), {"S": [2]}, n_rep=20)
    assert found.attrs["scenario"] == "mine"
