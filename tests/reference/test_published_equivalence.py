"""Two one-sided tests against published digits."""

import numpy as np
import pytest
import xarray as xr

from geostat.errors import SmallSampleWarning
from geostat.statistics.means.equivalence import equivalence

# Yields of two varieties as printed in NCSS documentation, "Two-Sample T-Tests for Equivalence"
YLD_A = [452, 874, 554, 447, 356, 754, 558, 574, 664, 682, 547, 435, 245]
YLD_B = [546, 547, 774, 465, 459, 665, 467, 365, 589, 534, 456, 651, 654, 665, 546, 537]


def with_moments(mean, sd, n):
    """A sample of exactly this mean and standard deviation."""
    values = np.random.default_rng(0).normal(size=n)
    return mean + sd * (values - values.mean()) / values.std(ddof=1)


def runs(values, recipes):
    return xr.DataArray(
        values, dims="run", coords={"recipe": ("run", recipes)}, attrs={"units": "1"}, name="yield"
    )


def test_one_sample_from_summary_statistics():
    # TOSTER (Lakens 2017), tsum_TOST(m1 = .54, mu = .5, sd1 = 1.2, n1 = 100, eqb = .36):
    # t 3.333333 and -2.666667, p .0006040021 and .004474619
    data = runs(with_moments(0.54, 1.2, 100), ["all"] * 100)
    row = equivalence(data, "all", reference=0.5, margin=0.36, dim=None).rows()[0]
    assert row["t_lower"] == pytest.approx(3.333333, abs=5e-7)
    assert row["t_upper"] == pytest.approx(-2.666667, abs=5e-7)
    assert row["p_lower"] == pytest.approx(0.0006040021, abs=5e-11)
    assert row["p_upper"] == pytest.approx(0.004474619, abs=5e-10)
    assert row["p_value"] == row["p_upper"]
    assert row["df"] == 99
    assert row["outcome"] == "equivalent"


@pytest.mark.parametrize(
    ("variance", "df", "p_lower", "p_upper"),
    # NCSS, bounds -110 and 110: equal variances df 27, Aspin-Welch df 19.169
    [("pooled", 27, 0.02821, 0.01436), ("own", 19.169, 0.03628, 0.02002)],
)
def test_two_samples(variance, df, p_lower, p_upper):
    data = runs([*YLD_A, *YLD_B], ["A"] * len(YLD_A) + ["B"] * len(YLD_B))
    with pytest.warns(SmallSampleWarning, match="identical seeds"):  # some plots of B yielded the same
        result = equivalence(data, "A", "B", margin=110.0, variance=variance, dim=None)
    row = result.rows()[0]
    assert row["df"] == pytest.approx(df, abs=5e-4)
    assert row["p_lower"] == pytest.approx(p_lower, abs=5e-6)
    assert row["p_upper"] == pytest.approx(p_upper, abs=5e-6)
    assert row["outcome"] == "equivalent"
    assert -110 < row["low"] < row["high"] < 110
