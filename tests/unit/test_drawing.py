"""Pictures of results: what stands where, and that nothing is left unsaid."""

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
import xarray as xr

from geostat.errors import GeostatWarning, SampleError
from geostat.results.marks import Mark
from geostat.statistics import (
    at_least,
    compare,
    dose_response,
    equivalence,
    lock_brackets,
    mean_ci,
    power,
)
from geostat.statistics.changepoints.changepoint import fit_changepoint

STEPS = (63, 127, 191, 255, 299)


def runs(steps=STEPS, recipes=("opd", "opd", "opd", "sft", "sft", "rlvr"), name="stable_rank"):
    values = np.random.default_rng(1).normal(20, 2, (len(recipes), len(steps), 4))
    return xr.DataArray(
        values,
        dims=("run", "step", "matrix"),
        coords={
            "run": [f"{recipe}-{i}" for i, recipe in enumerate(recipes)],
            "recipe": ("run", list(recipes)),
            "step": list(steps),
        },
        attrs={"units": "nat", "long_name": "Stable rank"},
        name=name,
    )


def points(axes):
    """Markers of estimates: where they stand."""
    return [line for line in axes.lines if line.get_marker() in ("o", "s", "^", "D")]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_few_checkpoints_have_error_bars_at_their_steps():
    result = mean_ci(runs())
    axes = result.plot()
    assert not axes.collections
    assert axes.get_xlabel() == "Step"
    assert axes.get_ylabel() == "Stable rank (nat)"
    bars = {tuple(line.get_ydata()) for line in axes.lines if line.get_marker() == "_"}
    for row in result.rows():
        if not math.isnan(row["low"]):
            assert (row["low"], row["high"]) in bars
    low, high = axes.get_ylim()
    assert low < result.low.min() < result.high.max() < high


def test_many_checkpoints_have_a_band():
    result = mean_ci(runs(range(10, 310, 10)))
    axes = result.plot()
    assert len(axes.collections) == 2
    corners = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert corners.min() == pytest.approx(result.low.sel(recipe="opd").min().item())


def test_lines_are_named_with_their_runs_and_say_why_one_has_no_interval():
    told = texts(mean_ci(runs()).plot())
    assert told == ["opd (n = 3)", "sft (n = 2)", "rlvr (n = 1)\nno interval: one run"]


def test_recipes_are_told_apart_without_colour():
    axes = mean_ci(runs(range(10, 310, 10))).plot()
    lines = [line for line in axes.lines if line.get_marker() != "None"]
    assert len({(line.get_marker(), line.get_linestyle()) for line in lines}) == 3


def test_without_steps_every_answer_has_a_row():
    result = mean_ci(runs().isel(step=-1))
    axes = result.plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "opd (n = 3)",
        "sft (n = 2)",
        "rlvr (n = 1)",
    ]
    assert axes.get_xlabel() == "Stable rank (nat)"
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    bars = [tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
    assert bars == [(row["low"], row["high"]) for row in result.rows()[:2]]
    hollow = [line for line in points(axes) if line.get_markerfacecolor() == "white"]
    assert [float(line.get_xdata()[0]) for line in hollow] == [result.rows()[2]["estimate"]]
    assert [text.strip(" \N{EN DASH}") for text in texts(axes)] == ["no interval: one run"]


def test_a_contrast_has_a_line_of_no_difference():
    axes = compare(runs().isel(step=-1), "opd", "sft").plot()
    assert axes.get_xlabel() == "Stable rank (nat)\nopd against sft"
    assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"] == [0.0]
    low, high = axes.get_xlim()
    assert low < 0 < high


def test_the_method_stands_below_a_figure_of_its_own_and_not_below_others():
    from matplotlib.figure import Figure

    result = mean_ci(runs())
    assert result.plot().figure.get_supxlabel().startswith("95% t-interval over runs")
    axes = Figure().add_subplot()
    assert result.plot(axes) is axes
    assert axes.figure.get_supxlabel() == ""


def locks():
    values = [[0.1, 0.2, 0.6, 0.7, 0.8], [0.6, 0.6, 0.6, 0.7, 0.8], [0.1, 0.2, 0.1, 0.2, 0.3]]
    data = xr.DataArray(
        values,
        dims=("run", "step"),
        coords={
            "run": ["opd-0", "opd-1", "rlvr-0"],
            "recipe": ("run", ["opd", "opd", "rlvr"]),
            "step": list(STEPS),
        },
        attrs={"units": "1"},
        name="forward_capture",
    )
    return lock_brackets(data, reference=at_least(0.5), dim=None)


def test_onsets_of_runs_are_brackets():
    axes = locks().plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["opd-0", "opd-1", "rlvr-0"]
    bars = [tuple(map(float, line.get_xdata())) for line in axes.lines if len(line.get_xdata()) == 2]
    assert bars == [(127, 191), (0, 63)]
    assert [line.get_marker() for line in axes.lines if line.get_marker() == "<"] == ["<"]
    assert texts(axes) == ["(127, 191]", "\N{LESS-THAN OR EQUAL TO} 63", "never"]
    assert axes.get_xlim() == (0, 299)


def test_open_ends_are_arrows_at_the_edge():
    from geostat.results.drawing_rows import draw_rows
    from geostat.results.marks import Marks

    marks = Marks(
        (Mark({"run": "a"}, math.nan, 3.0, math.inf, ""), Mark({"run": "b"}, 4.0, -math.inf, 5.0, "")),
        None,
        "onset",
    )
    axes = draw_rows(mean_ci(runs()), marks, None)
    arrows = {
        line.get_marker(): float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() in "<>"
    }
    assert arrows == {">": axes.get_xlim()[1], "<": axes.get_xlim()[0]}
    assert axes.get_xlabel() == "Onset"


def test_change_points_are_dated_along_steps_and_missing_dates_say_why():
    values = np.random.default_rng(0).normal(size=(3, 40))
    values[0, 20:] += 5
    values[2] = 1.0
    data = xr.DataArray(
        values, dims=("run", "step"), coords={"run": ["a", "b", "c"]}, attrs={"units": "nat"}, name="m"
    )
    axes = fit_changepoint(data, dim=None, n_breaks="bic").plot()
    assert axes.get_xlabel() == "Last step before the change"
    assert texts(axes) == ["\N{EN DASH} no change", "\N{EN DASH} all 40 values are equal"]


def test_several_metrics_do_not_share_an_axis():
    two = xr.Dataset({"a": runs(), "b": runs()})
    result = mean_ci(two)
    with pytest.raises(SampleError, match=r"result\['a'\]\.plot\(\)"):
        result.plot()
    assert result["b"].plot().get_ylabel() == "Stable rank (nat)"


def test_nothing_defined_is_drawn_as_words():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeostatWarning)
        result = mean_ci(runs().isel(step=-1) * np.nan)
    axes = result.plot()
    assert all("no run has a value" in text for text in texts(axes))
    assert len(axes.get_xticks()) == 0


def test_too_many_rows_are_cut_and_counted():
    data = (
        runs()
        .isel(step=-1, run=[0, 1, 2])
        .isel(matrix=[0] * 70)
        .assign_coords(matrix=[f"m{i}" for i in range(70)])
    )
    axes = mean_ci(data, dim=None).plot()
    assert len(axes.get_yticks()) == 60
    assert "and 10 more: select some of them" in texts(axes)


@pytest.mark.parametrize(
    ("mark", "remark"),
    [
        (Mark({}, 1.0, 0.0, 2.0, ""), ""),
        (Mark({}, 1.0, math.nan, math.nan, "one run: and much more"), "no interval: one run"),
        (Mark({}, math.nan, math.nan, math.nan, "no change: BIC"), "no change"),
        (Mark({}, math.nan, math.nan, math.nan, ""), "no value"),
        (Mark({}, 0.8, math.nan, math.nan, ""), ""),
    ],
)
def test_a_missing_interval_is_told_in_a_few_words(mark, remark):
    assert mark.remark == remark


def test_pictures_are_saved_and_pyplot_is_left_alone(tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    for i, result in enumerate((mean_ci(runs()), locks(), compare(runs(), "opd", "sft"))):
        result.plot().figure.savefig(tmp_path / f"{i}.pdf")
        assert (tmp_path / f"{i}.pdf").stat().st_size > 3000
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_results_are_imported_without_matplotlib():
    code = "import sys, geostat.results; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_line_below_a_picture_names_the_interval_that_is_drawn():
    steps = [10, 20]
    values = np.random.default_rng(0).normal(20, 1, (6, 2))
    coords = {
        "recipe": ("run", ["a"] * 3 + ["b"] * 3),
        "alpha": ("run", [0.0] * 3 + [1.0] * 3),
        "step": steps,
    }
    data = xr.DataArray(values, dims=("run", "step"), coords=coords, attrs={"units": "1"}, name="m")
    same = equivalence(data, "a", "b", margin=1.0, dim=None)
    assert same.plot().figure.get_supxlabel().startswith("90% interval; two one-sided")
    plan = power("mean_ci", seed_sd=data, half_width=1.0, dim=None, n_runs=(2, 5))
    assert plan.plot().figure.get_supxlabel().startswith("power at the ends of the pilot's 95% interval")
    doses = dose_response(data.drop_vars("recipe"), "alpha", reference=0.0, margin=1.0, dim=None, rng=0)
    assert "95% Welch t-interval of the difference, pointwise" in doses.plot().figure.get_supxlabel()
