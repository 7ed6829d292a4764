import numpy as np
import pytest
import xarray as xr
from scipy import optimize, stats

from geostat.statistics.regimes.evidence import Sides, mean_over_runs, regime_tests
from geostat.statistics.regimes.one_sided import upper_tail


def p_of(difference, variances, dfs):
    as_arrays = [np.array([v], dtype=float) for v in (*variances, *dfs)]
    count = len(variances)
    return float(upper_tail(np.array([difference]), as_arrays[:count], as_arrays[count:])[0])


@pytest.mark.parametrize("difference", [-3.0, -0.1, 0.2, 2.5, 40.0])
def test_with_one_mean_it_is_students_one_sided_test(difference):
    assert p_of(difference, [0.49], [4.0]) == pytest.approx(stats.t.sf(difference / 0.7, 4), rel=1e-9)


@pytest.mark.parametrize("difference", [0.3, 1.7, 6.0])
def test_with_several_means_it_solves_banerjees_equation(difference):
    variances, dfs = [0.5, 0.2, 0.1], [1.0, 4.0, 2.0]

    def excess(p):
        return sum(v * stats.t.isf(p, df) ** 2 for v, df in zip(variances, dfs, strict=True)) - difference**2

    oracle = optimize.brentq(excess, 1e-12, 0.5)
    assert p_of(difference, variances, dfs) == pytest.approx(oracle, rel=1e-6)
    assert p_of(-difference, variances, dfs) == pytest.approx(1 - oracle, rel=1e-6)


def test_a_mean_without_variance_adds_nothing():
    assert p_of(1.5, [0.4, 0.0], [3.0, 1.0]) == pytest.approx(p_of(1.5, [0.4], [3.0]), rel=1e-6)


def test_equal_degrees_of_freedom_are_not_added_up():
    """The price of never rejecting too often: two means on 3 degrees of freedom are tested on 3, not on 6."""
    assert p_of(2.0, [0.5, 0.5], [3.0, 3.0]) == pytest.approx(stats.t.sf(2.0, 3), rel=1e-6)


def test_known_variances_give_the_normal_test():
    assert p_of(1.96, [0.75, 0.25], [np.inf, np.inf]) == pytest.approx(stats.norm.sf(1.96), rel=1e-6)


@pytest.mark.parametrize(("S", "S_ref"), [(2, 5), (2, 10), (10, 2)])
@pytest.mark.parametrize("spread", [(1, 1, 1), (1, 0.3, 0.3), (1, 3, 0.1)])
def test_it_keeps_its_level_where_welch_satterthwaite_does_not(S, S_ref, spread):
    rng = np.random.default_rng([S, S_ref, *(round(10 * s) for s in spread)])
    n = 5000
    samples = [rng.normal(0, sd, (n, count)) for sd, count in zip(spread, (S, S_ref, S_ref), strict=True)]
    own, low, high = (x.mean(axis=1) for x in samples)
    factors = (1.0, 0.25, 0.25)
    variances = [f * x.var(axis=1, ddof=1) / x.shape[1] for f, x in zip(factors, samples, strict=True)]
    dfs = [np.full(n, x.shape[1] - 1.0) for x in samples]
    p = upper_tail(own - (low + high) / 2, variances, dfs)
    for level in (0.05, 0.05 / 8):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level / n)
    if (S, S_ref, spread) == (2, 10, (1, 1, 1)):
        total = np.sum(variances, axis=0)
        df = total**2 / np.sum([v**2 / d for v, d in zip(variances, dfs, strict=True)], axis=0)
        welch = stats.t.sf((own - (low + high) / 2) / np.sqrt(total), df)
        assert (welch <= 0.05).mean() > 0.07


def test_an_unknown_variance_gives_no_p_value():
    assert np.isnan(p_of(1.0, [np.nan, 0.2], [np.nan, 3.0]))
    assert np.isnan(p_of(1.0, [0.0], [2.0]))


def sides_of(past, before, exists):
    shape = (len(past), 1)
    return Sides(np.reshape(past, shape), np.reshape(before, shape), np.reshape(exists, shape))


def test_a_regime_between_two_boundaries_takes_the_larger_p_value():
    inside, outside = regime_tests(sides_of([0.01, 0.98], [0.99, 0.03], [True, True]))
    assert inside[:, 0] == pytest.approx([0.99, 0.03, 0.98])
    assert outside[:, 0] == pytest.approx([0.01, 1.0, 0.03])


def test_lying_outside_the_middle_counts_two_chances():
    _, outside = regime_tests(sides_of([0.999, 0.9995], [0.004, 0.0005], [True, True]))
    assert outside[1, 0] == pytest.approx(0.008)


def test_regimes_without_a_boundary_between_them_are_one_to_the_metric():
    inside, outside = regime_tests(sides_of([0.02, np.nan], [0.98, np.nan], [True, False]))
    assert inside[:, 0] == pytest.approx([0.98, 0.02, 0.02])
    assert outside[:, 0] == pytest.approx([0.02, 0.98, 0.98])


def test_an_unusable_boundary_leaves_its_regimes_undecided():
    inside, outside = regime_tests(sides_of([0.02, np.nan], [0.98, np.nan], [True, True]))
    assert inside[0, 0] == pytest.approx(0.98)
    assert np.isnan(inside[1:, 0]).all()
    assert np.isnan(outside[2, 0])


def test_the_mean_of_runs_has_the_standard_error_of_the_textbook():
    values = xr.DataArray([[2.0, 4.0, 9.0], [1.0, np.nan, 3.0]], dims=("metric", "run"))
    mean = mean_over_runs(values, "run", np.array([np.nan, np.nan]))
    assert mean.value == pytest.approx([5.0, 2.0])
    assert mean.part.variance == pytest.approx([np.var([2, 4, 9], ddof=1) / 3, np.var([1, 3], ddof=1) / 2])
    assert mean.part.df == pytest.approx([2, 1])
    more = mean.with_more_runs(np.array([4]))
    assert more.part.variance == pytest.approx([np.var([2, 4, 9], ddof=1) / 7, np.var([1, 3], ddof=1) / 6])
    assert more.part.df == pytest.approx([6, 5])
