"""Settings of diagnostics called directly: what means nothing is refused, whatever the weights."""

import numpy as np
import pytest

import geostat as gs
from geostat.diagnostics.settings import capped_rank, order_statistics
from geostat.errors import ProtocolError
from geostat.spec import Reason

WRONG = {
    "side": ("rigth", "Left", None, ("left",)),
    "rule": ("rel", None),
    "space": ("fp32", "BF16"),
    "k": (0, -1, 1.5, 0.0, True, "4"),
    "r": (0, -1, True),
    "K": (0, -2, True, 1.5),
    "energy_k": (0, -1, True, 0.5),
    "hill_k": (0, -3, 2.0, False),
    "alpha": (2, 1.0, 0.0, True),
    "eta": (-1e-3, float("nan"), True, "0"),
}
CASES = [
    (name, keyword, value)
    for name, spec in gs.DIAGNOSTICS.items()
    for keyword, field in spec.settings.items()
    if spec.function.__module__.startswith("geostat.")
    for value in WRONG[field]
]


def test_every_setting_of_every_diagnostic_is_tried():
    assert len(CASES) > 100


@pytest.mark.parametrize("operand", [np.eye(6) + 0.1, np.zeros((6, 6))], ids=["some", "zero"])
@pytest.mark.parametrize(("name", "keyword", "value"), CASES)
def test_a_setting_that_means_nothing_is_refused(name, keyword, value, operand):
    spec = gs.DIAGNOSTICS[name]
    with pytest.raises(ProtocolError, match=rf"^{keyword}=.* means nothing\. Pass .*\.$"):
        spec.function(*[operand] * len(spec.operands), **{keyword: value})


def test_the_error_names_the_choices():
    with pytest.raises(ProtocolError, match=r"side='rigth'.*'left' or 'right'"):
        gs.max_principal_angle(np.eye(4), np.eye(4), side="rigth")
    with pytest.raises(ProtocolError, match=r"rule='rel'.*'relative' or 'absolute'"):
        gs.update_sparsity(np.eye(4), np.eye(4), rule="rel")
    with pytest.raises(ProtocolError, match=r"^r=-1 .*count of 1 or more, or a share"):
        gs.principal_mask_overlap(np.eye(4), np.eye(4), r=-1)


def test_numbers_of_numpy_are_numbers():
    rng = np.random.default_rng(0)
    start, end = rng.standard_normal((2, 8, 8))
    assert gs.max_principal_angle(start, end, k=np.int64(2)) == gs.max_principal_angle(start, end, k=2)
    assert gs.max_principal_angle(start, end, k=np.float32(0.25)) == gs.max_principal_angle(start, end, k=2)
    assert gs.top_k_energy(end, K=np.int32(3)) == gs.top_k_energy(end, K=3)
    assert capped_rank(8, np.float32(0.5)) == order_statistics(8, np.float32(0.5)) == 4


def test_a_zero_first_update_is_told_from_a_zero_update():
    zero, some = np.zeros((3, 3)), np.eye(3)
    assert gs.stable_rank_trend(some, zero).reason is Reason.zero_first_update
    assert gs.stable_rank_trend(zero, some).reason is Reason.zero_update
    assert gs.stable_rank_trend(zero, zero).reason is Reason.zero_update
    assert "first checkpoint" in Reason.zero_first_update.sentence
