import math
import warnings

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from geostat.errors import GeostatWarning, SampleError, SmallSampleWarning
from geostat.protocols import PROTOCOLS
from geostat.statistics.regimes.boundaries import load_boundaries
from geostat.statistics.regimes.classification import classify_regime
from geostat.statistics.regimes.regime_result import RegimeResult

ARCHETYPES = {
    "update_sparsity": (0.081, 0.516, 0.772),
    "normalized_spectral_shift": (1e-3, 1e-4, 1e-5),
    "low_magnitude_mask_overlap": (0.3188, 0.5359, 0.7348),
    "stable_rank_trend": (0.70, 0.06, -0.57),
}
PLACES = {"sft": 0, "opd": 1, "rlvr": 2, "full-space": 0, "relaxed": 1, "sparse": 2}
METRICS = tuple(ARCHETYPES)
STEPS = np.array([20, 40, 80, 160, 320])
ATTRS = {"protocol": "shen2026", "protocol_hash": PROTOCOLS["shen2026"].hash, "storage": "bf16"}


def logit(p):
    return np.log(p / (1 - p))


def shifted(name, mean, effects):
    if name == "normalized_spectral_shift":
        return mean * np.exp(0.1 * effects)
    if name == "stable_rank_trend":
        return mean + 0.05 * effects
    return 1 / (1 + np.exp(-(logit(mean) + 0.05 * effects)))


def study(recipes, seed=0, speeds=None, metrics=METRICS, steps=STEPS):
    """Runs of recipes (name -> regime and number of runs) that move at different speed along one slope."""
    rng = np.random.default_rng(seed)
    labels = [(name, PLACES[regime]) for name, (regime, count) in recipes.items() for _ in range(count)]
    speed = np.array([(speeds or {}).get(name, 1.0) for name, _ in labels])[:, None]
    distance = 1e-3 * speed * (steps / 160)[None]
    arrays = {"relative_update_norm": distance}
    for name in metrics:
        means = np.array([ARCHETYPES[name][place] for _, place in labels])[:, None]
        moved = {"normalized_spectral_shift": 5.0, "stable_rank_trend": 1.0}.get(name, -1.0)
        arrays[name] = shifted(
            name, means, rng.normal(size=(len(labels), 1)) + moved * np.log(distance / 1e-3)
        )
    return xr.Dataset(
        {name: (("run", "step"), array, {"units": "1"}) for name, array in arrays.items()},
        coords={
            "run": [f"{name}-{i}" for i, (name, _) in enumerate(labels)],
            "recipe": ("run", [name for name, _ in labels]),
            "step": steps,
            "alpha": 0.3,
        },
        attrs=ATTRS,
    )


REFERENCES = {"sft": ("full-space", 3), "opd": ("relaxed", 3), "rlvr": ("sparse", 3)}


def classify(data, leave_one_out=False, **arguments):
    return classify_regime(data, dim=None, leave_one_out=leave_one_out, **arguments)


@pytest.fixture(scope="module")
def own():
    return classify(study(REFERENCES | {"mine": ("relaxed", 4), "theirs": ("sparse", 3)}), leave_one_out=True)


@pytest.fixture(scope="module")
def published():
    data = study(REFERENCES | {"alone": ("relaxed", 1)}).drop_vars("relative_update_norm")
    return classify(data, boundaries="published", leave_one_out=True)


@pytest.fixture(params=["own", "published"])
def result(request):
    return request.getfixturevalue(request.param)


def test_every_recipe_is_found_where_it_was_simulated(own, published):
    assert own.established.sel(recipe=["mine", "theirs"]).values.tolist() == ["relaxed", "sparse"]
    assert published.established.sel(recipe=list(REFERENCES)).values.tolist() == [
        "full-space",
        "relaxed",
        "sparse",
    ]


def test_one_seed_is_never_classified(published):
    assert published.verdict.sel(recipe="alone") == "undetermined"
    assert published.not_excluded.sel(recipe="alone") == "full-space, relaxed, sparse"
    assert "one run of recipe 'alone'" in published.verdict.sel(recipe="alone").reason.item()
    assert math.isnan(published.more_seeds.sel(recipe="alone"))


def test_one_reference_run_leaves_everything_undetermined():
    data = study({"sft": ("full-space", 1), "rlvr": ("sparse", 3), "mine": ("sparse", 3)})
    result = classify(data, references={"full-space": "sft", "sparse": "rlvr"})
    assert result.verdict.sel(recipe="mine") == "undetermined"
    assert "reference 'sft'" in result.verdict.sel(recipe="mine").reason.item()


def test_p_values_are_those_of_the_textbook(published):
    """Against a fixed value: one-sided t-test on the metric's scale, from the far end of the tolerance."""
    data = study(REFERENCES | {"alone": ("relaxed", 1)})
    shift = np.log(data["normalized_spectral_shift"].sel(run=data["recipe"] == "opd").isel(step=-1).values)
    below = stats.ttest_1samp(shift, np.log(3.2e-4), alternative="less").pvalue
    above = stats.ttest_1samp(shift, np.log(3.2e-5), alternative="greater").pvalue
    found = published.p_value["normalized_spectral_shift"].sel(recipe="opd")
    assert found.sel(regime="relaxed").item() == pytest.approx(max(below, above), rel=1e-6)
    sparsity = logit(data["update_sparsity"].sel(run=data["recipe"] == "rlvr").isel(step=-1).values)
    expected = stats.ttest_1samp(sparsity, logit(0.635 + 0.009), alternative="greater").pvalue
    found = published.p_value["update_sparsity"].sel(recipe="rlvr", regime="sparse")
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_p_values_against_references_solve_banerjees_equation():
    data = study(REFERENCES | {"mine": ("sparse", 4)}).drop_vars("relative_update_norm").isel(step=-1)
    result = classify(data, matched=False)
    shift = np.log(data["normalized_spectral_shift"].values)
    mine, low, high = (shift[data["recipe"].values == name] for name in ("mine", "opd", "rlvr"))
    difference = (low.mean() + high.mean()) / 2 - mine.mean()
    parts = [(mine.var(ddof=1) / 4, 3), (low.var(ddof=1) / 12, 2), (high.var(ddof=1) / 12, 2)]
    p = result.p_value["normalized_spectral_shift"].sel(recipe="mine", regime="sparse").item()
    assert sum(v * stats.t.isf(p, df) ** 2 for v, df in parts) == pytest.approx(difference**2, rel=1e-5)


def test_a_faster_recipe_is_judged_at_equal_displacement():
    """At the end of training it has come farther, which is another thing than another geometry."""
    recipes = REFERENCES | {"fast": ("sparse", 4)}
    data = study(
        recipes,
        speeds={"fast": 16.0},
        metrics=("update_sparsity", "normalized_spectral_shift"),
        steps=np.array([1, 20, 80, 160, 320]),
    )
    assert classify(data, metrics=METRICS[:2]).established.sel(recipe="fast") == "sparse"
    unmatched = classify(data, metrics=METRICS[:2], matched=False)
    assert unmatched.established.sel(recipe="fast") != "sparse"


def test_another_recipe_in_the_data_changes_no_verdict(own):
    data = study(REFERENCES | {"mine": ("relaxed", 4), "theirs": ("sparse", 3)})
    alone = classify(data.sel(run=data["recipe"] != "theirs"))
    for name in METRICS:
        xr.testing.assert_allclose(
            alone.p_value[name].sel(recipe="mine"), own.p_value[name].sel(recipe="mine")
        )


def test_order_of_runs_and_steps_and_copies_of_layers_change_nothing(own):
    data = study(REFERENCES | {"mine": ("relaxed", 4), "theirs": ("sparse", 3)})
    shuffled = data.isel(run=np.random.default_rng(3).permutation(data.sizes["run"]), step=[3, 0, 4, 1, 2])
    again = classify(shuffled)
    assert again.established.sel(recipe="mine") == "relaxed"
    layered = xr.concat([data, data], dim="matrix").transpose("run", "step", "matrix")
    doubled = classify_regime(layered, metrics=METRICS, leave_one_out=False)
    for name in METRICS:
        for other in (again, doubled):
            found = other.p_value[name].sel(recipe=["mine", "theirs"])
            xr.testing.assert_allclose(found, own.p_value[name].sel(recipe=["mine", "theirs"]), rtol=1e-6)


def test_conflicting_metrics_are_mixed_and_never_established():
    data = study({"odd": ("sparse", 5)})
    data["normalized_spectral_shift"] = study({"odd": ("full-space", 5)})["normalized_spectral_shift"]
    result = classify(data, boundaries="published")
    assert result.verdict.sel(recipe="odd") == "mixed"
    assert result.not_excluded.sel(recipe="odd") == ""
    assert "different ones" in result.sentence()


def test_sparsity_alone_is_undetermined_with_the_reason():
    result = classify(study({"a": ("sparse", 5)}), boundaries="published", metrics=["update_sparsity"])
    assert result.verdict.item() == "undetermined"
    assert "sparsity alone never classifies" in result.verdict.reason.item()
    assert result.not_excluded.item() == "full-space, relaxed, sparse"


def test_references_that_a_metric_does_not_tell_apart_leave_it_open():
    data = study(REFERENCES | {"mine": ("sparse", 4)})
    flat = data["stable_rank_trend"].copy(
        data=np.random.default_rng(1).normal(0, 1, data["stable_rank_trend"].shape)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeostatWarning)
        result = classify(data.assign(stable_rank_trend=flat))
    assert result.verdict.sel(recipe="mine") != "established"
    failed = [row for row in result.separation if not row["separated"]]
    assert {row["metric"] for row in failed} == {"stable_rank_trend"}
    assert "not by stable_rank_trend" in result.sentence()


def test_references_in_the_wrong_order_are_said():
    swapped = {"full-space": "rlvr", "relaxed": "opd", "sparse": "sft"}
    result = classify(study(REFERENCES | {"mine": ("sparse", 4)}), references=swapped)
    assert result.verdict.sel(recipe="mine") == "undetermined"
    assert "published order" in result.verdict.sel(recipe="mine").reason.item()
    assert "not in the published order" in result.sentence()


def test_separation_and_order_are_said_before_any_verdict(own):
    told = own.sentence()
    assert told.index("told apart in") < told.index("mine at relative update norm")
    assert told.index("ordered as published") < told.index("mine at relative update norm")
    assert "excess over the null of the storage gate: not computed" in told
    assert "half-way between sft (full-space, n = 3), opd (relaxed, n = 3), rlvr (sparse, n = 3)" in told


def test_a_published_verdict_names_the_file_and_its_version(published):
    assert f"version {load_boundaries().version} (shen2026)" in published.sentence()
    assert any("read off a figure" in text for text in published.assumptions)


def test_references_are_held_out_one_by_one(own):
    assert own.verdict.sel(recipe="opd") == "reference"
    assert "3 of 3 held-out runs on its side" in own.verdict.sel(recipe="opd").reason.item()
    assert own.p_value["update_sparsity"].sel(recipe="opd").isnull().all()


def test_a_held_out_run_does_not_vouch_for_itself():
    """With it the middle of 0, 7.9 and 12 lies at 7.975, beyond the run; without it at 6."""
    arrays = {"a": [0.0, 7.9, 11.9, 12.0, 12.1], "b": [0.0, 0.1, 12.0, 12.1, 12.2]}
    data = xr.Dataset(
        {name: ("run", values, {"units": "1"}) for name, values in arrays.items()},
        coords={"recipe": ("run", ["low"] * 2 + ["high"] * 3)},
    )
    arguments = {"references": {"full-space": "low", "sparse": "high"}, "matched": False}
    result = classify(data, metrics=["a", "b"], **arguments)
    assert "1 of 2 held-out runs" in result.verdict.sel(recipe="low").reason.item()
    assert "3 of 3 held-out runs" in result.verdict.sel(recipe="high").reason.item()


def test_the_number_of_seeds_that_would_decide_is_the_smallest_that_does():
    data = study({"mine": ("relaxed", 2)})
    data["update_sparsity"].values[:] = [[0.55], [0.62]]
    result = classify(data, boundaries="published")
    needed = result.more_seeds.item()
    assert result.verdict.item() != "established"
    assert 2 <= needed < 50
    assert f"{needed:.0f} more seed" in result.sentence()

    def p_with(extra):
        largest = 0.0
        for name, cuts in load_boundaries().metrics.items():
            if name not in METRICS:
                continue
            x = data[name].isel(step=-1).values
            forward = {"log": np.log, "logit": logit, "identity": lambda v: v}[cuts.scale]
            y = forward(x)
            low, high = sorted(
                (
                    forward(cuts.cuts[0] + cuts.direction * cuts.tolerance),
                    forward(cuts.cuts[1] - cuts.direction * cuts.tolerance),
                )
            )
            error = y.std(ddof=1) / np.sqrt(2 + extra)
            tests = [(y.mean() - low) / error, (high - y.mean()) / error]
            largest = max(largest, *(stats.t.sf(t, 1 + extra) for t in tests))
        return largest

    assert p_with(needed) <= 0.05 < p_with(needed - 1)


def test_no_number_of_seeds_decides_between_conflicting_metrics():
    data = study({"odd": ("sparse", 3)})
    data["normalized_spectral_shift"] = study({"odd": ("full-space", 3)})["normalized_spectral_shift"]
    result = classify(data, boundaries="published")
    assert math.isinf(result.more_seeds.item())
    assert "no number of further seeds up to 50" in result.sentence()


def test_an_assumed_standard_deviation_lets_one_run_speak_and_is_said():
    sds = {
        "update_sparsity": 0.05,
        "normalized_spectral_shift": 0.1,
        "low_magnitude_mask_overlap": 0.05,
        "stable_rank_trend": 0.05,
    }
    result = classify(study({"a": ("sparse", 1)}), boundaries="published", assumed_seed_sd=sds)
    assert result.established.item() == "sparse"
    assert result.scope == "model-dependent"
    assert any("assumed, not estimated" in text for text in result.assumptions)
    with pytest.raises(SampleError, match="positive standard deviation"):
        classify(
            study({"a": ("sparse", 1)}), boundaries="published", assumed_seed_sd={"update_sparsity": 0.0}
        )


def test_identical_seeds_are_noticed_and_establish_nothing():
    data = study({"a": ("sparse", 3)})
    copies = data.map(lambda array: array.copy(data=np.broadcast_to(array.values[:1], array.shape)))
    with pytest.warns(SmallSampleWarning, match="look like identical seeds"):
        result = classify(copies, boundaries="published")
    assert result.verdict.item() == "undetermined"
    assert "identical values" in result.verdict.reason.item()


def test_leaving_one_source_out_shows_what_a_verdict_rests_on(own, published):
    runs = [row["source"] for row in own.omitted if row["kind"] == "run" and row["recipe"] == "mine"]
    assert len(runs) == 9
    kinds = {row["kind"] for row in published.omitted}
    assert kinds == {"metric", "checkpoint"}
    opd = {row["source"]: row for row in published.omitted if row["recipe"] == "opd"}
    assert opd["RLVR-8B"]["changed"]
    assert not opd["Klear-8B"]["changed"]
    assert "checkpoint RLVR-8B" in published.leave_one_out().to_text()


def test_eta_gets_a_verdict_for_each_value():
    data = study(REFERENCES | {"mine": ("relaxed", 3)})
    dense = study({"x": ("full-space", data.sizes["run"])})["update_sparsity"].values
    both = xr.concat([data["update_sparsity"], data["update_sparsity"].copy(data=dense)], dim="eta")
    data["update_sparsity"] = both.assign_coords(eta=[1e-3, 1e-1]).assign_attrs(units="1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeostatWarning)
        result = classify(data)
    assert result.verdict.dims == ("recipe", "eta")
    assert result.established.sel(recipe="mine", eta=1e-3) == "relaxed"
    assert result.established.sel(recipe="mine", eta=1e-1) == ""
    assert "eta" not in result.cells["normalized_spectral_shift"].dims


def test_storages_are_answered_apart():
    data = study({"a": ("sparse", 6)})
    stored = data.assign_coords(storage=("run", ["bf16"] * 3 + ["fp32"] * 3))
    with pytest.warns(GeostatWarning, match="rounding changes spectra"):
        result = classify(stored, boundaries="published")
    assert result.verdict.recipe.values.tolist() == ["a [bf16]", "a [fp32]"]


def test_what_differs_beside_the_recipe_is_said():
    data = study(REFERENCES | {"mine": ("sparse", 3)})
    count = data.sizes["run"]
    confounded = data.assign_coords(
        base=("run", ["w0"] * 9 + ["w1"] * 3), learning_rate=("run", [1e-5] * 9 + [1e-6] * 3)
    )
    assert count == 12
    with pytest.warns(GeostatWarning) as given:
        classify(confounded)
    texts = [str(warning.message) for warning in given]
    assert any("start from different weights" in text and "'mine'" in text for text in texts)
    assert any("different learning rates" in text for text in texts)
    assert len(texts) == len(set(texts))


def test_data_without_displacement_are_read_at_the_end_and_say_so():
    data = study(REFERENCES | {"mine": ("relaxed", 3)}).drop_vars("relative_update_norm")
    with pytest.warns(GeostatWarning, match="could not be matched"):
        result = classify(data)
    assert "not matched in displacement" in result.reference
    assert math.isnan(result.cells["verdict"]["displacement"].sel(recipe="mine"))


def test_runs_of_different_length_and_number_are_matched():
    data = study(REFERENCES | {"mine": ("relaxed", 5)})
    for name in data.data_vars:
        data[name].values[1, -1] = np.nan
        data[name].values[9, 1] = np.nan
    assert classify(data).established.sel(recipe="mine") == "relaxed"


def test_lazy_data_give_the_same_answer(own):
    pytest.importorskip("dask")
    data = study(REFERENCES | {"mine": ("relaxed", 4), "theirs": ("sparse", 3)}).chunk({"run": 2})
    assert classify(data, leave_one_out=True).to_json() == own.to_json()


def test_excess_over_a_null_is_told_where_the_data_hold_it():
    data = study(REFERENCES | {"mine": ("relaxed", 3)})
    data["update_sparsity_excess"] = (data["update_sparsity"] * 0 + 0.07).assign_attrs(units="1")
    result = classify(data)
    assert result.excess["update_sparsity"]["mine"] == pytest.approx(0.07)
    assert "update_sparsity 0.07 (sft)" in result.sentence()


def test_the_excess_is_that_of_the_mask_whose_boundary_is_read():
    data = study(REFERENCES | {"mine": ("relaxed", 3)})
    name = "low_magnitude_mask_overlap"
    several = xr.DataArray([0.3, 0.5], dims="alpha", coords={"alpha": [0.3, 0.5]})
    attrs = data[name].attrs
    data[name] = (data[name] * (1 + 0 * several)).assign_attrs(attrs)
    data[f"{name}_excess"] = (data[name] * 0 + several).assign_attrs(units="1")
    assert classify(data).excess[name]["mine"] == pytest.approx(0.3)


def test_a_metric_that_no_file_knows_may_serve_against_own_references():
    data = study(REFERENCES | {"mine": ("sparse", 4)})
    data["stable_rank"] = (100 * data["normalized_spectral_shift"] ** 0.2).assign_attrs(units="1")
    result = classify(data, metrics=["stable_rank", "update_sparsity"])
    assert result.established.sel(recipe="mine") == "sparse"


def test_infinite_values_and_missing_runs_have_reasons():
    data = study({"a": ("relaxed", 3)})
    data["stable_rank_trend"].values[0] = np.inf
    data["normalized_spectral_shift"].values[:] = np.nan
    result = classify(data, boundaries="published")
    assert result.verdict.item() != "established"
    rows = {row["variable"]: row["reason"] for row in result.rows()}
    assert "no run has a value" in rows["normalized_spectral_shift"]
    assert "infinite" in rows["stable_rank_trend"]


def test_json_round_trip_is_exact(result):
    again = RegimeResult.from_json(result.to_json())
    assert again.to_json() == result.to_json()
    assert repr(again) == repr(result)
    assert again.to_latex() == result.to_latex()
    assert again.leave_one_out().to_text() == result.leave_one_out().to_text()
    xr.testing.assert_identical(again.to_xarray(), result.to_xarray())


def test_frame_and_table_hold_all_recipes(result):
    frame = result.to_frame()
    assert set(frame["variable"]) == {*METRICS, "verdict"}
    text = repr(result)
    assert text.count("verdict") > len(set(frame["recipe"]))
    assert "<table" in result._repr_html_()
    alone = result["update_sparsity"]
    assert set(alone.to_frame()["variable"]) == {"update_sparsity"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"references": {"full-space": "sft"}}, "name no boundary"),
        ({"references": {"dense": "sft", "sparse": "rlvr"}}, "name no boundary"),
        ({"references": {"full-space": "sft", "sparse": "sft"}}, "name no boundary"),
        ({"references": {"full-space": "sft", "sparse": "x"}}, "'x' is not among"),
        (
            {"references": {"full-space": "sft", "sparse": "rlvr"}, "boundaries": "published"},
            "Pass one of them",
        ),
        ({"metrics": "update_sparsity"}, "is one name"),
        ({"metrics": ["absent"]}, "absent was declared"),
        ({"metrics": []}, "no metric was declared"),
        ({"level": 95}, "no confidence level"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(SampleError, match=message):
        classify(study(REFERENCES), **arguments)


def test_data_without_the_default_metrics_or_without_a_name_are_refused():
    data = study(REFERENCES)
    with pytest.raises(SampleError, match="hold none of"):
        classify(data[["relative_update_norm"]])
    with pytest.raises(SampleError, match="without a name"):
        classify(data["update_sparsity"].rename(None))
    with pytest.raises(SampleError, match="list"):
        classify([1, 2])
