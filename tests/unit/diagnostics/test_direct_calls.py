"""A diagnostic that is called directly computes as inside a measurement, whatever the process has set."""

import numpy as np
import pytest
import torch

from geostat.diagnostics import DIAGNOSTICS

OURS = sorted(name for name, spec in DIAGNOSTICS.items() if spec.function.__module__.startswith("geostat."))
SETTINGS = {"k": 5, "K": 5, "r": 5, "alpha": 0.3, "hill_k": 8, "eta": 0.01, "space": "raw"}


def _operands():
    """Weights in float32 with subnormal entries, and their differences."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(4, 36, 40, generator=generator, dtype=torch.float64)
    weights = ((drawn[0] + 0.1 * t * drawn[t]) * 2.0**-130 for t in range(4))
    initial, first, updated, final = (weight.to(torch.float32) for weight in weights)
    return {
        "initial": initial,
        "updated": updated,
        "update": updated - initial,
        "first": first - initial,
        "final": final - initial,
        "later": final - initial,
        "increment": final - updated,
        "remaining": final - updated,
    }


@pytest.mark.parametrize("name", OURS)
def test_what_the_process_has_set_changes_no_figure(name):
    spec, operands = DIAGNOSTICS[name], _operands()
    chosen = {key: SETTINGS[key] for key in spec.settings if key in SETTINGS}

    def call():
        return np.asarray(spec.function(*(operands[each] for each in spec.operands), **chosen))

    expected = call()
    assert np.isfinite(expected).all()
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush to zero")
    try:
        with torch.device("meta"), torch.autocast("cpu"):
            np.testing.assert_array_equal(call(), expected)
    finally:
        torch.set_flush_denormal(False)
