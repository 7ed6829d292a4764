"""Change points whose answers stand in the literature.

The annual flow of the Nile at Aswan, 1871-1970 (statsmodels.datasets.nile), as analysed with the R package
strucchange: Zeileis, Kleiber, Kraemer and Hornik (2003), "Testing and dating of structural changes in
practice", Computational Statistics & Data Analysis 44, 109-123, and the package's own examples.
"""

import warnings

import pytest
import xarray as xr

from geostat.errors import GeostatWarning
from geostat.statistics.changepoints.changepoint import fit_changepoint
from geostat.statistics.changepoints.sup_f import sup_f_p_value


@pytest.fixture(scope="module")
def nile():
    from statsmodels.datasets import nile

    table = nile.load_pandas().data
    return xr.DataArray(
        table["volume"].to_numpy(float),
        dims="step",
        coords={"step": table["year"].to_numpy(int)},
        attrs={"units": "1e8 m^3", "long_name": "Annual flow of the Nile"},
        name="flow",
    )


def only(result):
    (row,) = result.rows()
    return row


def test_nile_breaks_in_1898(nile):
    row = only(fit_changepoint(nile, dim=None))
    assert (row["observation"], row["estimate"]) == (28, 1898)  # breakpoints(Nile ~ 1): 28, 1898
    assert round(row["rss_without"]) == 2835157  # summary(breakpoints(Nile ~ 1)), m = 0
    assert round(row["rss"]) == 1597457  # m = 1
    assert round(row["sup_f"], 2) == 75.93  # sctest(Fstats(Nile ~ 1)): sup.F = 75.93
    assert sup_f_p_value(row["sup_f"], 0.15) < 1e-12  # p-value < 2.2e-16, in the limit
    assert row["p_value"] < 1e-10  # with 98 degrees of freedom
    assert round(row["mean_before"], 2) == 1097.75  # coef(): 1871-1898 1097.75
    assert round(row["mean_after"], 4) == 849.9722  # 1899-1970 849.9722


def test_interval_of_the_nile_break_is_1895_to_1902(nile):
    """confint(breakpoints(Nile ~ 1)): 25, 28, 32; its defaults let errors differ between the segments.

    A constant is the only regressor, so het.reg plays no part; it is het.err = TRUE that gives 32. With one
    common variance (half-widths 2.93, rounded outward) the interval is 25-31.
    """
    row = only(fit_changepoint(nile, dim=None, equal_variance=False))
    assert (row["observation_low"], row["observation"], row["observation_high"]) == (25, 28, 32)
    assert (row["low"], row["estimate"], row["high"]) == (1895, 1898, 1902)
    common = only(fit_changepoint(nile, dim=None, equal_variance=True))
    assert (common["observation_low"], common["observation_high"]) == (25, 31)


@pytest.mark.parametrize(
    ("n_breaks", "rss", "observations"),
    [
        # summary(breakpoints(Nile ~ 1)), segments of at least 15 of 100 observations
        (2, 1552924, [28, 83]),
        (3, 1538097, [28, 68, 83]),
        (4, 1507888, [28, 45, 68, 83]),
        (5, 1659994, [15, 30, 45, 68, 83]),
    ],
)
def test_best_partitions_of_the_nile(nile, n_breaks, rss, observations):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeostatWarning)
        result = fit_changepoint(nile, dim=None, n_breaks=n_breaks)
    assert result.quantity("observation").values[0].tolist() == observations
    assert round(result.rows()[0]["rss"]) == rss


@pytest.mark.parametrize("rule", ["bic", "lwz", "sequential"])
def test_every_rule_finds_one_break_in_the_nile(nile, rule):
    # summary(breakpoints(Nile ~ 1)): BIC 1318, 1270, 1276, 1285, 1292, 1311 for m = 0..5, least at 1
    result = fit_changepoint(nile, dim=None, n_breaks=rule)
    assert result.quantity("observation").values.tolist() == [[28]]
