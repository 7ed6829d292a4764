import sys

import numpy as np
import pytest
import xarray as xr

from geostat.errors import SampleError
from geostat.report import panel, trajectory
from geostat.results import Variable
from geostat.results.axes import axis_label
from geostat.results.style import looks, spread_labels
from geostat.statistics import mean_ci


@pytest.fixture
def dataset():
    rng = np.random.default_rng(5)
    attrs = {
        "long_name": "Stable rank",
        "symbol": r"\rho",
        "units": "degree",
        "valid_min": 1.0,
        "valid_max": 4.0,
    }
    values = rng.uniform(1, 4, (4, 3, 2))
    return xr.Dataset(
        {
            "srank": (("run", "step", "matrix"), values, attrs),
            "sided": (("run", "step", "matrix", "side"), np.stack([values, values], -1), attrs),
            "accuracy": (("run", "step"), values[..., 0], {"units": "1"}),
        },
        {
            "run": list("abcd"),
            "recipe": ("run", ["sft", "sft", "sft", "opd"]),
            "step": [10, 20, 40],
            "progress": ("step", [0.25, 0.5, 1.0]),
            "side": ["left", "right"],
        },
    )


def lines_of(axes, count):
    return [line for line in axes.lines if len(line.get_xdata()) == count and line.get_marker() != "None"]


def test_lines_and_bands_are_the_means_and_intervals(dataset):
    axes = trajectory(dataset, "srank").axes[0]
    result = mean_ci(dataset.srank)
    sft, opd = lines_of(axes, 3)
    np.testing.assert_allclose(sft.get_ydata(), result.estimate.sel(recipe="sft"))
    np.testing.assert_allclose(opd.get_ydata(), result.estimate.sel(recipe="opd"))
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices[:, 1]
    assert corners.min() == pytest.approx(result.low.sel(recipe="sft").min().item())
    assert corners.max() == pytest.approx(result.high.sel(recipe="sft").max().item())


def test_a_single_run_is_a_thin_line_without_band(dataset):
    axes = trajectory(dataset.srank).axes[0]
    sft, opd = lines_of(axes, 3)
    assert opd.get_linewidth() < sft.get_linewidth()
    assert len(axes.collections) == 1


def test_recipes_are_told_apart_without_colour():
    given = looks(["a", "b", "c", "d", "e", "f"]).values()
    assert len({(str(look.dash), look.marker) for look in given}) == 6


def test_axes_say_quantity_symbol_and_units(dataset):
    axes = trajectory(dataset.srank).axes[0]
    assert axes.get_ylabel() == r"Stable rank $\rho$ (degree)"
    assert axes.get_xlabel() == "Step"
    assert {text.get_text() for text in axes.texts} == {"sft (n = 3)", "opd (n = 1)"}


def test_axes_stay_within_the_bounds_of_the_metric(dataset):
    low, high = trajectory(dataset.srank).axes[0].get_ylim()
    assert low >= 1.0
    assert high <= 4.0


def test_progress_is_used_on_request_and_where_lengths_differ(dataset):
    assert trajectory(dataset.srank, x="progress").axes[0].get_xlabel() == "Share of training"
    lengths = xr.where(dataset["recipe"] == "opd", 0.5, 1.0) * dataset["progress"]
    longer = dataset.assign_coords(progress=lengths)
    assert trajectory(longer.srank).axes[0].get_xlabel() == "Share of training"
    equal = dataset["progress"] * xr.ones_like(dataset["recipe"], dtype=float)
    assert trajectory(dataset.assign_coords(progress=equal).srank).axes[0].get_xlabel() == "Step"
    with pytest.raises(SampleError, match="no coordinate progress"):
        trajectory(dataset.srank.drop_vars("progress"), x="progress")


def test_a_missing_checkpoint_leaves_a_shorter_line(dataset):
    data = dataset.srank.copy(deep=True)
    data.values[3, 1] = np.nan
    axes = trajectory(data).axes[0]
    (opd,) = lines_of(axes, 2)
    np.testing.assert_allclose(opd.get_xdata(), [10, 40])


def test_another_dimension_must_be_selected(dataset):
    with pytest.raises(SampleError, match=r"data\.sel\(side='left'\)"):
        trajectory(dataset.sided)
    assert trajectory(dataset.sided.sel(side="left")).axes


def test_a_metric_without_steps_is_refused(dataset):
    with pytest.raises(SampleError, match="no dimension step"):
        trajectory(dataset.srank.isel(step=0))


def test_several_metrics_need_a_panel(dataset):
    with pytest.raises(SampleError, match="panel"):
        trajectory(dataset)
    assert len(panel(dataset, ["srank", "accuracy"]).axes) == 2
    with pytest.raises(SampleError, match="'entropy' is not in the dataset"):
        panel(dataset, ["entropy"])
    with pytest.raises(SampleError, match="no metric"):
        panel(dataset, [])


def test_a_result_is_drawn_as_it_is(dataset):
    result = mean_ci(dataset[["srank", "accuracy"]], level=0.5)
    figure = panel(result)
    assert len(figure.axes) == 2
    assert "50% t-interval" in figure.get_supxlabel()
    narrow, wide = (
        f.axes[0].collections[0].get_paths()[0].vertices[:, 1] for f in (figure, panel(dataset, ["srank"]))
    )
    assert np.ptp(narrow) < np.ptp(wide)


def test_a_log_scale_gets_a_logarithmic_axis(dataset):
    assert trajectory(dataset.srank, scale="log").axes[0].get_yscale() == "log"
    figure = panel(dataset, ["srank", "accuracy"], scales={"srank": "identity", "accuracy": "log"})
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "log"]


def test_figures_can_be_saved_and_leave_pyplot_alone(dataset, tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    panel(dataset, ["srank", "accuracy"]).savefig(tmp_path / "panel.pdf")
    trajectory(dataset.srank).savefig(tmp_path / "one.png")
    assert (tmp_path / "one.png").stat().st_size > 5000
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_a_symbol_that_matplotlib_cannot_set_is_left_out():
    assert axis_label(Variable("x", "Rank", "1", r"\nosuchcommand")) == "Rank"
    assert axis_label(Variable("x", "Rank", "1", r"\theta")) == r"Rank $\theta$"


@pytest.mark.parametrize("heights", [[0.5, 0.5, 0.5], [1.2, 1.1, -0.3], [0.0, 0.02, 0.9]])
def test_labels_are_kept_apart_and_inside(heights):
    placed = spread_labels(heights, 0.1)
    assert min(np.diff(sorted(placed))) >= 0.1 - 1e-12
    assert min(placed) >= 0
    assert max(placed) <= 1
    assert np.argsort(placed, kind="stable").tolist() == np.argsort(heights, kind="stable").tolist()


def test_values_that_storage_alone_may_give_are_shaded():
    values = xr.DataArray(
        [[1.0, 3.0, 9.0]],
        dims=("run", "step"),
        coords={"step": [1, 2, 3]},
        attrs={"units": "1", "long_name": "Shift"},
        name="normalized_spectral_shift",
    )
    floor = xr.DataArray([4.0], dims="run", attrs={"units": "1"})
    data = values.to_dataset().assign(normalized_spectral_shift_floor=floor)
    axes = trajectory(mean_ci(data, dim=None), "normalized_spectral_shift").axes[0]
    (shade,) = axes.patches
    assert shade.get_y() + shade.get_height() == pytest.approx(4.0)
    assert any("floor" in text.get_text() for text in axes.texts)
    bare = trajectory(values).axes[0]
    assert bare.get_ylim() == axes.get_ylim()
    assert not bare.patches
    high = trajectory(data.assign(normalized_spectral_shift_floor=floor - 4.5)).axes[0]
    assert not high.patches
