"""The law-free test and the laws, each beside what it is made of."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from scipy import stats

from geostat.linalg import factored
from geostat.linalg.rounding import round_to_bf16
from geostat.nulls.gates.counts import gate_counts
from geostat.nulls.gates.interlacing import interlacing_test
from geostat.nulls.gates.laws import LAWS, fit_by_density, fit_by_steps
from geostat.nulls.gates.survival import law_free_probabilities, monotone_survival
from geostat.nulls.published.weights import heavy_tailed_weight


def _counts(update, seed=0, size=256):
    rng = np.random.default_rng(seed)
    start = heavy_tailed_weight(size, size, rng)
    end = round_to_bf16(start.double() + torch.from_numpy(update(start.double().numpy(), rng)))
    return gate_counts(factored(start), factored(end))


def _gaussian(weight, rng):
    return 1e-4 * rng.standard_normal(weight.shape)


def _selective(weight, rng):
    return _gaussian(weight, rng) * (np.abs(weight) / np.abs(weight).mean()) ** 0.1


def _student(weight, rng):
    return 5e-5 * rng.standard_t(3, weight.shape)


def test_binades_interlace_where_the_update_ignores_the_weights():
    found = interlacing_test(_counts(_gaussian), n=199, generator=np.random.default_rng(0))
    assert found.z_within < 4.5
    assert found.z_between < 4.5
    assert found.p_value > 0.01
    assert found.p_value == pytest.approx(min(1.0, found.within / 0.9, found.between / 0.1))


def test_a_tenth_power_of_the_weight_breaks_the_interlacing_by_many_standard_errors():
    found = interlacing_test(_counts(_selective), n=499, generator=np.random.default_rng(0))
    assert found.z_between > 8
    assert found.p_value <= 0.05


def test_the_weaker_the_dependence_the_less_the_readings_cross():
    crossed = []
    for power in (0.05, 0.1, 0.2):
        counts = _counts(
            lambda w, rng, power=power: _gaussian(w, rng) * (np.abs(w) / np.abs(w).mean()) ** power
        )
        crossed.append(interlacing_test(counts, n=19, generator=np.random.default_rng(0)).z_between)
    assert crossed == sorted(crossed)


def test_a_matrix_too_small_for_readings_has_no_p_value():
    found = interlacing_test(_counts(_gaussian, size=8), n=19, generator=np.random.default_rng(0))
    assert np.isnan(found.p_value)
    assert found.n_within == found.n_between == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_the_monotone_curve_is_the_minimax_of_weighted_means(shares, seed):
    """Isotonic regression is max over later, min over earlier ends of weighted means."""
    rng = np.random.default_rng(seed)
    threshold, entries = np.arange(1.0, 1 + len(shares)), rng.uniform(1, 9, len(shares))
    share, order = np.array(shares), rng.permutation(len(shares))
    fitted = monotone_survival(threshold[order], share[order], entries[order], threshold)

    def mean(a, b):
        return np.average(share[a : b + 1], weights=entries[a : b + 1])

    count = range(len(shares))
    expected = [max(min(mean(a, b) for a in range(i + 1)) for b in count if b >= i) for i in count]
    np.testing.assert_allclose(fitted, expected, atol=1e-12)
    assert monotone_survival(threshold, share, entries, np.array([0.0]))[0] == 1.0


def test_the_survival_curve_is_that_of_the_update():
    counts = _counts(_gaussian, size=512)
    expected = (stats.norm.sf(counts.bins.outer / 1e-4) + stats.norm.sf(counts.bins.inner / 1e-4)) * 1.0
    entries = counts.bins.totals(counts.total.sum(axis=0))
    many = entries > 2000
    np.testing.assert_allclose(
        law_free_probabilities(counts.bins, counts.total)[many], expected[many], atol=0.03
    )


@pytest.mark.parametrize("name", LAWS)
def test_a_law_fitted_by_density_gives_the_observed_density(name):
    counts = _counts(_student)
    law = fit_by_density(name, counts.bins, counts.total)
    entries = counts.bins.totals(counts.total)
    assert float((entries * law.visible(counts.bins)).sum()) == pytest.approx(
        counts.bins.changed(counts.total).sum(), rel=1e-6
    )


@pytest.mark.parametrize("fit", [fit_by_density, fit_by_steps])
def test_visible_steps_tell_the_degrees_of_freedom_and_the_scale(fit):
    counts = _counts(_student, size=512)
    law = fit("student-t", counts.bins, counts.total)
    assert 2.7 < law.shape < 3.3
    assert law.scale == pytest.approx(5e-5, rel=0.05)
    near = fit("student-t", counts.bins, counts.total, law)
    assert near.shape == pytest.approx(law.shape, rel=5e-3)


def test_laws_are_symmetric_laws_of_scipy():
    counts = _counts(_student)
    lengths = np.array([1e-5, 1e-4, 1e-3])
    gaussian, laplace, student = (fit_by_density(name, counts.bins, counts.total) for name in LAWS)
    known = (stats.norm, stats.laplace, stats.t(student.shape))
    for law, one in zip((gaussian, laplace, student), known, strict=True):
        np.testing.assert_allclose(law.beyond(lengths), 2 * one.sf(lengths / law.scale), rtol=1e-9)
