import numpy as np
import pytest

from geostat.statistics.regimes.verdicts import decide, too_few


def one(inside, outside, **arguments):
    """Metrics are rows, regimes columns, as a reader would write them."""
    return decide(np.array(inside, float).T, np.array(outside, float).T, 0.95, **arguments)


def test_a_regime_is_established_where_the_largest_p_value_is_small():
    found = one([[0.9, 0.04, 0.9], [0.9, 0.01, 0.9]], [[0.1, 0.9, 0.1], [0.1, 0.9, 0.1]])
    assert str(found.verdict) == "established"
    assert found.regime == 1
    assert found.largest == pytest.approx([0.9, 0.04, 0.9])


def test_one_metric_without_evidence_is_enough_to_leave_it_open():
    found = one([[0.9, 0.01, 0.9], [0.9, 0.06, 0.9]], [[0.5, 0.9, 0.5], [0.5, 0.9, 0.5]])
    assert str(found.verdict) == "undetermined"


def test_exclusion_pays_for_the_number_of_metrics():
    tests = [[0.9, 0.2, 0.9], [0.9, 0.2, 0.9]]
    assert str(one(tests, [[0.024, 0.9, 0.9], [0.9, 0.9, 0.9]]).verdict) == "set"
    assert str(one(tests, [[0.026, 0.9, 0.9], [0.9, 0.9, 0.9]]).verdict) == "undetermined"


def test_metrics_in_different_regimes_exclude_all_of_them():
    found = one([[0.001, 0.999, 1], [1, 0.999, 0.001]], [[0.999, 0.001, 0], [0, 0.001, 0.999]])
    assert str(found.verdict) == "mixed"
    assert not found.kept.any()


def test_a_silent_metric_neither_establishes_nor_excludes():
    nan = np.nan
    found = one([[0.9, 0.01, 0.9], [nan, nan, nan]], [[0.001, 0.9, 0.001], [nan, nan, nan]])
    assert str(found.verdict) == "set"
    assert found.kept.tolist() == [False, True, False]
    silent = one([[nan, nan, nan]] * 2, [[nan, nan, nan]] * 2)
    assert str(silent.verdict) == "undetermined"


def test_regimes_that_no_metric_tells_apart_are_not_established():
    found = one([[0.9, 0.01, 0.01], [0.9, 0.02, 0.02]], [[0.001, 0.9, 0.9], [0.001, 0.9, 0.9]])
    assert str(found.verdict) == "set"


def test_sparsity_alone_never_classifies():
    assert "sparsity alone" in too_few(["update_sparsity"])
    assert "sparsity alone" in too_few(["update_density", "update_sparsity"])
    assert "alone cannot classify" in too_few(["normalized_spectral_shift"])
    assert not too_few(["update_sparsity", "normalized_spectral_shift"])
    decisive = [[0.9, 0.9, 0.001]], [[0.001, 0.001, 0.999]]
    assert str(one(*decisive, decisive=False).verdict) == "undetermined"
    assert one(*decisive, decisive=False).kept.all()
