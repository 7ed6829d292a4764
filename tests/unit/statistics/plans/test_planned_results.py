import warnings

import numpy as np
import pytest
import xarray as xr

import geostat as gs
from geostat.errors import GeostatWarning, SampleError
from geostat.statistics import at_least, compare, lock_brackets, mean_ci
from geostat.statistics.plans.analysis import Analysis
from geostat.statistics.plans.frozen import FrozenAnalysis
from geostat.statistics.plans.procedures import PROCEDURES

RUNS = {"opd": 3, "rlvr": 3, "sft": 3}


@pytest.fixture
def data(make_runs):
    rank = make_runs(RUNS)
    share = (rank / 60).assign_attrs(units="1", long_name="A share")
    return xr.Dataset({"stable_rank": rank, "capture": share, "other": rank + 1.0})


@pytest.fixture
def plan():
    return Analysis(
        metrics=["stable_rank", "capture"],
        contrasts=[("opd", "rlvr")],
        margins={"stable_rank": 5.0},
        level=0.9,
        scale="log",
        lock_reference=at_least(0.1),
        settings={"compare": {"paired": True}},
    ).freeze()


def test_a_planned_result_has_the_plans_settings_and_prints_its_hash(plan, data):
    result = plan.mean_ci(data)
    assert list(result.cells) == ["stable_rank", "capture"]
    assert result.level == 0.9
    assert result.settings["scale"] == {"stable_rank": "log", "capture": "log"}
    assert result.plan_hash == plan.hash
    assert result.exploratory == ""
    for text in (result.sentence(), repr(result), result.to_latex()):
        assert f"re-declared: plan {plan.hash}" in text
    assert "exploratory" not in result.sentence()


def test_every_form_of_a_table_names_the_plan(plan, data):
    result = plan.mean_ci(data)
    summary = gs.report.summary_table(result)
    for table in (result.table(), summary):
        for text in (table.to_text(), table.to_html(), table.to_latex()):
            assert text.count(plan.hash) == 1
    assert plan.hash not in mean_ci(data).table().to_text()


def test_it_is_the_same_answer_as_without_a_plan(plan, data):
    planned = plan.mean_ci(data)
    plain = mean_ci(data[["stable_rank", "capture"]], level=0.9, scale="log")
    xr.testing.assert_identical(planned.to_xarray(), plain.to_xarray())
    assert plain.plan_hash == ""


def test_a_declared_contrast_is_compared_as_declared(plan, data):
    result = plan.compare(data, "opd", "rlvr")
    assert result.settings["paired"] is True
    assert result.exploratory == ""
    assert plan.compare(data, "rlvr", "opd").exploratory == ""


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda plan, data: plan.compare(data, "opd", "sft"), "contrast opd against sft was not declared"),
        (lambda plan, data: plan.compare(data, "opd", "rlvr", paired=False), "paired False instead of True"),
        (lambda plan, data: plan.mean_ci(data, level=0.99), "level 0.99 instead of 0.9"),
        (lambda plan, data: plan.mean_ci(data["other"]), "metric other was not declared"),
        (lambda plan, data: plan.mean_ci(data, scale="identity"), "scale identity instead of log"),
        (lambda plan, data: plan.mean_ci(data, variance="pooled"), "variance was not declared"),
        (lambda plan, data: plan.mean_ci(data, weighting="parameters"), "weighting was not declared"),
        (
            lambda plan, data: plan.lock_brackets(data["capture"], reference=at_least(0.2)),
            "reference at least 0.2 instead of at least 0.1",
        ),
        (
            lambda plan, data: plan.equivalence(data["capture"], "opd", "rlvr", margin=0.2, scale="identity"),
            "margin of capture was not declared",
        ),
    ],
)
def test_what_lies_outside_is_done_and_marked(plan, data, call, why):
    result = call(plan, data)
    assert why in result.exploratory
    assert result.plan_hash == plan.hash
    for text in (result.sentence(), repr(result)):
        assert f"exploratory: outside plan {plan.hash}" in text
    assert type(result).from_json(result.to_json()).exploratory == result.exploratory


def test_repeating_a_default_is_no_departure(plan, data):
    assert plan.mean_ci(data, level=0.9, variance="own").exploratory == ""


def test_margins_and_bands_come_from_the_plan(data):
    plan = Analysis(
        metrics=["stable_rank"],
        contrasts=[("opd", "rlvr")],
        margins={"stable_rank": 5.0},
        lock_reference=at_least(18.0),
    ).freeze()
    result = plan.equivalence(data, "opd", "rlvr")
    assert result.exploratory == ""
    assert list(result.settings["margin"]["stable_rank"]) == [-5.0, 5.0]
    for name in ("lock_brackets", "locked_share", "median_onset", "band_entry"):
        locked = plan.run(name, data)
        assert locked.exploratory == "", name
        assert locked.settings["reference"] == "at least 18"


def test_a_result_made_elsewhere_is_compared_with_the_plan(plan, data):
    kept = mean_ci(data[["stable_rank", "capture"]], level=0.9, scale="log")
    assert plan.stamp(kept).exploratory == ""
    assert plan.stamp(kept).sentence().endswith(f"(pre-declared: plan {plan.hash}).")
    assert kept.plan_hash == ""
    others = {
        "level 0.95 instead of 0.9": mean_ci(data["stable_rank"], scale="log"),
        "metric other was not declared": mean_ci(data["other"], level=0.9, scale="log"),
        "contrast sft against opd": compare(data["stable_rank"], "sft", "opd", level=0.9, scale="log"),
        "scale logit instead of log": mean_ci(data["capture"], level=0.9, scale="logit"),
        "weighting": None,
        "band at least 0.7 instead of at least 0.1": lock_brackets(data["capture"], reference=at_least(0.7)),
        "persistence 0.5": lock_brackets(data["capture"], reference=at_least(0.1), persistence=0.5),
    }
    for why, result in others.items():
        if result is not None:
            assert why in plan.stamp(result).exploratory


def test_a_result_answers_to_one_plan(plan, data):
    other = Analysis(metrics=["stable_rank"]).freeze()
    with pytest.raises(SampleError, match="belongs to plan"):
        other.stamp(plan.mean_ci(data))
    again = plan.stamp(plan.mean_ci(data, level=0.99))
    assert again.exploratory.count("level 0.99") == 1


def test_a_method_that_changed_since_marks_results(plan, data):
    older = FrozenAnalysis(plan.analysis, dict(plan.choices) | {"contrast": "pooled"})
    assert "contrast changed since the plan was frozen" in older.mean_ci(data).exploratory


def test_regimes_are_judged_against_the_declared_references():
    rng = np.random.default_rng(0)
    recipes = ["dense"] * 3 + ["thin"] * 3 + ["mine"] * 3
    level = np.repeat([0.1, 0.8, 0.8], 3) + 0.005 * rng.normal(size=9)
    shift = np.repeat([1e-3, 1e-5, 1e-5], 3) * np.exp(0.1 * rng.normal(size=9))
    runs = xr.Dataset(
        {
            "update_sparsity": ("run", level, {"units": "1"}),
            "normalized_spectral_shift": ("run", shift, {"units": "1"}),
        },
        coords={"recipe": ("run", recipes)},
    )
    plan = Analysis(
        metrics=["update_sparsity", "normalized_spectral_shift", "stable_rank"],
        references={"full-space": "dense", "sparse": "thin"},
        dim=None,
        settings={
            "classify_regime": {"metrics": ["update_sparsity", "normalized_spectral_shift"], "matched": False}
        },
    ).freeze()
    result = plan.classify_regime(runs)
    assert result.established.sel(recipe="mine") == "sparse"
    assert result.exploratory == ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeostatWarning)
        other = plan.classify_regime(runs, references={"full-space": "thin", "sparse": "dense"})
    assert "references" in other.exploratory


def test_locking_onset_takes_its_level_from_the_plan(make_runs):
    capture = make_runs({"opd": 4}) / 40
    both = xr.concat([capture, capture], dim="side").assign_coords(side=["left", "right"])
    both = both.assign_attrs(units="1", diagnostic="forward_capture").rename("forward_capture")
    plan = Analysis(metrics=["forward_capture"], level=0.9).freeze()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = plan.locking_onset(both, beside=())
    assert result.level == 0.9
    assert "beside was not declared" in result.exploratory


@pytest.mark.parametrize("name", list(PROCEDURES))
def test_every_procedure_exists_and_has_the_arguments_that_plans_decide(name):
    import inspect

    parameters = inspect.signature(PROCEDURES[name].function).parameters
    assert set(PROCEDURES[name].governed) <= set(parameters)
    assert PROCEDURES[name].function.__name__ == name


def test_procedures_and_data_that_a_plan_does_not_know_are_refused(plan, data):
    with pytest.raises(SampleError, match="no procedure that a plan runs"):
        plan.run("anova", data)
    with pytest.raises(SampleError, match="the plan declares"):
        plan.mean_ci(data[["other"]])


def test_a_function_may_be_named_by_itself(plan, data):
    assert plan.run(mean_ci, data).plan_hash == plan.hash
