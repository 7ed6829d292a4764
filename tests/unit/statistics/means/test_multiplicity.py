import numpy as np
import pytest
import xarray as xr
from statsmodels.stats.multitest import multipletests

from geostat.errors import SampleError
from geostat.statistics import ComparisonResult, compare, mean_ci
from geostat.statistics.means.equivalence import EquivalenceResult, equivalence
from geostat.statistics.means.multiplicity import adjust, adjust_p_values

METHODS = {"holm": "holm", "benjamini-yekutieli": "fdr_by"}


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("size", [1, 2, 7, 200])
def test_adjusted_p_values_agree_with_statsmodels(method, size):
    p = np.random.default_rng(size).beta(0.5, 3, size).round(2)  # with ties
    expected = multipletests(p, method=METHODS[method])[1]
    np.testing.assert_allclose(adjust_p_values(p, method), expected, rtol=1e-12)


@pytest.mark.parametrize("method", list(METHODS))
def test_what_is_no_test_is_not_counted(method):
    p = np.array([[0.01, np.nan], [0.04, 0.2]])
    found = adjust_p_values(p, method)
    assert np.isnan(found[0, 1])
    np.testing.assert_allclose(found[~np.isnan(p)], multipletests(p[~np.isnan(p)], method=METHODS[method])[1])
    assert np.isnan(adjust_p_values([np.nan, np.nan], method)).all()


def test_numbers_that_are_no_p_values_are_refused():
    with pytest.raises(SampleError, match=r"found -0.1 to 1.2"):
        adjust_p_values([-0.1, 1.2])
    with pytest.raises(SampleError, match="'holm' or 'benjamini-yekutieli'"):
        adjust_p_values([0.1], "bonferroni")


def two_metrics(make_runs, recipes=None):
    data = make_runs(recipes or {"opd": 4, "sft": 4})
    other = make_runs(recipes or {"opd": 4, "sft": 4}, seed=7)
    return xr.Dataset({"stable_rank": data, "shift": other})


def test_all_cells_of_all_metrics_are_one_family(make_runs):
    plain = compare(two_metrics(make_runs), "opd", "sft")
    found = adjust(plain, "benjamini-yekutieli")
    p = [row["p_value"] for row in plain.rows()]
    np.testing.assert_allclose(
        [row["p_adjusted"] for row in found.rows()], multipletests(p, method="fdr_by")[1]
    )
    assert found.settings["adjusted"]["n_tests"] == [10]
    assert [row["p_value"] for row in found.rows()] == p
    np.testing.assert_array_equal(found["shift"].low, plain["shift"].low)


@pytest.mark.parametrize(("over", "families"), [("step", 2), ("variable", 5), (["variable", "step"], 1)])
def test_tests_are_counted_along_the_labels_that_are_named(make_runs, over, families):
    plain = compare(two_metrics(make_runs), "opd", "sft")
    found = adjust(plain, over=over)
    table = np.array([row["p_value"] for row in plain.rows()]).reshape(2, 5)  # metric, step
    groups = {"step": list(table), "variable": list(table.T)}.get(str(over), [table.ravel()])
    expected = [multipletests(group, method="holm")[1] for group in groups]
    expected = np.stack(expected).T if over == "variable" else np.stack(expected)
    np.testing.assert_allclose([row["p_adjusted"] for row in found.rows()], expected.ravel())
    assert len(found.settings["adjusted"]["n_tests"]) == families


def test_table_sentence_and_method_say_what_was_adjusted(make_runs):
    found = adjust(compare(make_runs({"opd": 3, "sft": 3}), "opd", "sft"))
    row = found.rows()[-1]
    assert "p, Holm-adjusted" in repr(found)
    assert "p-values adjusted by Holm over 5 tests" in found.method
    assert f"p = {row['p_adjusted']:.3f}" in found.sentence()
    assert found.sentence().count("adjusted by Holm over 5 tests") == 1
    assert "unadjusted" not in found.sentence()
    assert any("intervals are pointwise" in text for text in found.assumptions)
    assert not any("nothing is adjusted" in text for text in found.assumptions)


def test_cells_without_p_value_are_not_counted(make_runs):
    data = make_runs({"opd": 3, "sft": 3})
    data.values[3:, :2] = np.nan
    found = adjust(compare(data, "opd", "sft"))
    assert found.settings["adjusted"]["n_tests"] == [3]
    assert [np.isnan(row["p_adjusted"]) for row in found.rows()] == [True, True, False, False, False]


def test_outcomes_of_equivalence_are_read_off_the_adjusted_p_values(make_runs):
    data = make_runs({"opd": 3, "sft": 3})
    plain = equivalence(data, "opd", "sft", margin=3.5)
    found = adjust(plain)
    expected = multipletests([row["p_value"] for row in plain.rows()], method="holm")[1]
    assert [row["outcome"] == "equivalent" for row in found.rows()] == (expected <= 0.05).tolist()
    assert any(row["outcome"] == "equivalent" for row in plain.rows())
    assert [row["outcome"] for row in found.rows()] != [row["outcome"] for row in plain.rows()]


def test_outcomes_of_difference_are_read_off_the_adjusted_p_values(make_runs):
    data = make_runs({"opd": 4, "sft": 4})
    data = (data + 8.0 * (data["recipe"] == "opd")).assign_attrs(data.attrs)
    plain = equivalence(data, "opd", "sft", margin=5.5)
    expected = multipletests([row["p_different"] for row in plain.rows()], method="holm")[1]
    outcomes = [row["outcome"] for row in adjust(plain).rows()]
    assert [outcome == "different" for outcome in outcomes] == (expected <= 0.05).tolist()
    assert outcomes != [row["outcome"] for row in plain.rows()]


def test_adjusted_results_survive_json(make_runs):
    data = make_runs({"opd": 3, "sft": 3})
    made = (
        adjust(compare(data, "opd", "sft")),
        adjust(equivalence(data, "opd", "sft", margin=2.0), over="step"),
    )
    for result, kind in zip(made, (ComparisonResult, EquivalenceResult), strict=True):
        again = kind.from_json(result.to_json())
        assert again.to_json() == result.to_json()
        assert again.to_latex() == result.to_latex()


def test_what_cannot_be_adjusted_is_refused(make_runs):
    data = make_runs({"opd": 3, "sft": 3})
    found = compare(data, "opd", "sft")
    with pytest.raises(SampleError, match="MeanResult holds no p-values"):
        adjust(mean_ci(data))
    with pytest.raises(SampleError, match="adjusted already"):
        adjust(adjust(found))
    with pytest.raises(SampleError, match=r"over='layer' is no label.*'variable', 'step'"):
        adjust(found, over="layer")


def test_holm_bounds_any_false_rejection():
    """1,000 families of 20 true, correlated null hypotheses."""
    from scipy import stats

    rng = np.random.default_rng(0)
    z = np.sqrt(0.5) * rng.normal(size=(1000, 1)) + np.sqrt(0.5) * rng.normal(size=(1000, 20))
    families = 2 * stats.norm.sf(np.abs(z))
    rejected = np.mean([(adjust_p_values(family) <= 0.05).any() for family in families])
    assert rejected <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)
    assert (families <= 0.05).any(axis=1).mean() > 0.3


@pytest.mark.parametrize("values", [["a"], [0.1, None, "x"], [[0.1], [0.2, 0.3]]])
def test_what_is_no_number_is_no_p_value(values):
    with pytest.raises(SampleError, match="no numbers"):
        adjust_p_values(values)
