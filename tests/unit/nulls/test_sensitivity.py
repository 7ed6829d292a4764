"""Sensitivity: does the order of recipes depend on how it was measured?"""

import json

import numpy as np
import pytest
import torch
import xarray as xr

import geostat as gs
from geostat.errors import GeostatWarning, ProtocolError, SampleError
from geostat.linalg import factored, round_to_bf16
from geostat.nulls.sensitivities.analysis import SensitivityResult, sensitivity
from geostat.nulls.sensitivities.orders import ordered_names
from geostat.trajectories import history

ATTENTION = "blocks.{}.attention.{}.weight"
MLP = "blocks.{}.mlp.{}.weight"


def weights(size, seed, *, selective=0.0, dtype=torch.float32):
    """A start and an end: `size` is the step, `selective` how much larger it is on small weights."""
    start, end = {}, {}
    generator = torch.Generator().manual_seed(99)
    for name in (ATTENTION.format(0, "query"), ATTENTION.format(0, "key"), MLP.format(0, "up_proj")):
        start[name] = torch.randn(24, 32, generator=generator, dtype=torch.float64)
    steps = torch.Generator().manual_seed(seed)
    for name, weight in start.items():
        gain = weight.abs().clamp(min=1e-3) ** -selective
        end[name] = weight + size * gain * torch.randn(24, 32, generator=steps, dtype=torch.float64)
    start, end = ({n: w.to(dtype) for n, w in each.items()} for each in (start, end))
    return start, {100: end}


@pytest.fixture(scope="module")
def runs():
    return {
        ("sft", 0): weights(3e-2, 1),
        ("sft", 1): weights(3e-2, 2),
        ("rlvr", 0): weights(1e-3, 3, selective=0.5),
        ("rlvr", 1): weights(1e-3, 4, selective=0.5),
    }


def test_an_order_that_turns_is_found_and_told():
    srank = xr.DataArray(
        [[10.0, 20.0, 30.0], [12.0, 22.0, 25.0]],
        dims=("run", "K"),
        coords={"recipe": ("run", ["opd", "sft"]), "K": [4, 16, 64]},
        attrs={"units": "1", "long_name": "Energy"},
        name="energy",
    )
    found = sensitivity(srank, {"K": (4, 16, 64)}, dim=None)
    assert found.holds.values.tolist() == [False, True, True] or found.holds.values.tolist() == [
        True,
        True,
        False,
    ]
    assert not found.holds_everywhere
    assert found.order.values.tolist() == ["sft > opd", "sft > opd", "opd > sft"]
    assert "at 2 of 3 settings; it was opd > sft at K 64" in found.sentence()


def test_the_protocols_own_setting_is_the_reference():
    data = xr.DataArray(
        [[1.0, 4.0], [2.0, 3.0]],
        dims=("run", "K"),
        coords={"recipe": ("run", ["opd", "sft"]), "K": [4, 16]},
        attrs={"units": "1"},
        name="energy",
    )
    assert sensitivity(data, {"K": (4, 16)}, dim=None).holds.values.tolist() == [False, True]
    declared = sensitivity(data, {"K": (4, 16)}, dim=None, order=("sft", "opd"))
    assert declared.holds.values.tolist() == [True, False]
    with pytest.raises(SampleError, match="Name each of them once"):
        sensitivity(data, {"K": (4, 16)}, dim=None, order=("sft",))


def test_ties_and_missing_values_are_no_order_that_holds():
    assert ordered_names(["a", "b"], [1.0, 1.0]) == "a = b"
    assert ordered_names(["a", "b"], [1.0, np.nan]) == "undefined"
    data = xr.DataArray(
        [[1.0, np.nan], [2.0, 3.0]],
        dims=("run", "K"),
        coords={"recipe": ("run", ["opd", "sft"]), "K": [16, 99]},
        attrs={"units": "1"},
        name="energy",
    )
    found = sensitivity(data, {"K": (16, 99)}, dim=None)
    assert found.holds.values.tolist() == [True, False]


def test_one_pass_gives_what_a_measurement_under_each_setting_gives(runs):
    over = {"k": (2, 8), "alpha": (0.3, 0.5), "r": (2, 6), "K": (2, 8), "hill_k": (3, 6), "eta": (1e-3, 1e-1)}
    names = [
        "update_sparsity",
        "principal_mask_overlap",
        "max_principal_angle",
        "top_k_energy",
        "hill_tail_exponent",
    ]
    found = sensitivity(runs, over, metrics=names, matrices="all", progress=False)
    assert set(found["update_sparsity"].estimate.dims) == {"eta", "recipe"}
    assert set(found["principal_mask_overlap"].estimate.dims) == {"eta", "r", "alpha", "recipe"}
    own = gs.Protocol(k=8, alpha=0.5, r=6, K=8, hill_k=3, eta=1e-1)
    (base, ends), here = runs["sft", 1], {"k": 8, "alpha": 0.5, "r": 6, "K": 8, "hill_k": 3, "eta": 1e-1}
    alone = gs.measure(base, ends, protocol=own, matrices="all", diagnostics=names, progress=False)
    one = sensitivity({("sft", 1): (base, ends)}, over, metrics=names, matrices="all", progress=False)
    for name in names:
        cells = one[name].estimate
        cells = cells.sel({axis: here[axis] for axis in here if axis in cells.dims}).squeeze("recipe")
        weighted = alone[name].weighted(alone["n_params"]) if "sparsity" in name else alone[name]
        expected = weighted.mean("matrix").isel(step=0)
        assert cells.values == pytest.approx(expected.values, rel=1e-12)


def test_each_weight_is_read_and_kept_once_whatever_is_varied(runs, monkeypatch):
    counted = []
    real = history.read_matrix

    def counting(checkpoint, ref):
        counted.append(ref.name)
        return real(checkpoint, ref)

    monkeypatch.setattr(history, "read_matrix", counting)
    over = {"k": (2, 4, 6, 8), "alpha": (0.1, 0.3, 0.5), "K": (2, 4), "r": (2, 3)}
    names = ["max_principal_angle", "principal_mask_overlap", "top_k_energy"]
    sensitivity({("a", 0): runs["sft", 0]}, over, metrics=names, progress=False)
    assert sorted(counted) == sorted(2 * list(dict.fromkeys(counted)))


def test_storage_shows_what_rounding_alone_does(runs):
    found = sensitivity(
        runs, {"storage": ("bf16", "raw")}, metrics=["update_sparsity", "stable_rank"], progress=False
    )
    sparsity = found["update_sparsity"].estimate
    start, ends = runs["rlvr", 0]
    names = [name for name in start if "attention" in name]
    rounded = np.mean(
        [float((round_to_bf16(start[n]) == round_to_bf16(ends[100][n])).double().mean()) for n in names]
    )
    one = sensitivity(
        {("rlvr", 0): runs["rlvr", 0]},
        {"storage": ("bf16", "raw")},
        metrics=["update_sparsity", "stable_rank"],
        progress=False,
    )
    assert float(one["update_sparsity"].estimate.sel(storage="bf16").squeeze()) == pytest.approx(rounded)
    assert (sparsity.sel(storage="bf16") > sparsity.sel(storage="raw") + 0.05).sel(recipe="rlvr")
    kept = round_to_bf16(start[names[0]]).double(), round_to_bf16(ends[100][names[0]]).double()
    other = round_to_bf16(start[names[1]]).double(), round_to_bf16(ends[100][names[1]]).double()
    expected = np.mean([gs.stable_rank(factored(b - a)) for a, b in (kept, other)])
    assert float(one["stable_rank"].estimate.sel(storage="bf16").squeeze()) == pytest.approx(expected)


def test_storage_of_rounded_files_is_refused():
    rounded = {("a", 0): weights(1e-2, 1, dtype=torch.bfloat16)}
    with pytest.raises(ProtocolError, match="stored in bf16"):
        sensitivity(rounded, {"storage": ("bf16", "raw")}, metrics=["stable_rank"], progress=False)


def test_sets_of_matrices_are_averaged_apart(runs):
    over = {"matrices": ("attention", "mlp", "all", "q_proj")}
    found = sensitivity({("a", 0): runs["sft", 0]}, over, metrics=["stable_rank"], progress=False)
    each = gs.measure(
        *runs["sft", 0], matrices="all", diagnostics=["stable_rank"], progress=False
    ).stable_rank
    by_module = {
        str(module): float(each.isel(step=0, matrix=i)) for i, module in enumerate(each["module"].values)
    }
    values = found.estimate.squeeze("recipe") if hasattr(found, "estimate") else found.estimate.squeeze()
    expected = {
        "attention": (by_module["q_proj"] + by_module["k_proj"]) / 2,
        "mlp": by_module["up_proj"],
        "all": sum(by_module.values()) / 3,
        "q_proj": by_module["q_proj"],
    }
    assert {str(k): float(values.sel(matrices=k)) for k in expected} == pytest.approx(expected)
    measured = gs.measure(*runs["sft", 0], matrices="all", diagnostics=["stable_rank"], progress=False)
    again = sensitivity(measured, over)
    assert again.estimate.values == pytest.approx(found.estimate.values)


def test_tolerances_below_1_256_are_one_analysis(runs):
    with pytest.warns(GeostatWarning, match=r"eta 0\.0 and 0\.001 give the same figures"):
        found = sensitivity(runs, {"eta": (0.0, 1e-3, 0.1)}, metrics=["update_sparsity"], progress=False)
    assert "3 settings (2 of them distinct)" in found.sentence()
    assert any("one analysis" in warning for warning in found.warnings)


def test_a_function_is_called_at_every_combination():
    asked = []

    def measurement(cut, kind):
        asked.append((cut, kind))
        return xr.DataArray(
            [cut, 2.0 if kind == "mean" else -2.0],
            dims="run",
            coords={"recipe": ("run", ["a", "b"])},
            attrs={"units": "1"},
            name="score",
        )

    found = sensitivity(measurement, {"cut": (0, 1, 3), "kind": ("mean", "median")}, dim=None)
    assert asked == [(c, k) for c in (0, 1, 3) for k in ("mean", "median")]
    assert found.estimate.sel(recipe="a", kind="mean").values.tolist() == [0, 1, 3]
    assert found.holds.sel(kind="mean").values.tolist() == [True, True, False]


def test_metrics_with_other_settings_are_told_together(runs):
    over = {"alpha": (0.1, 0.3), "k": (2, 8)}
    names = ["max_principal_angle", "low_magnitude_mask_overlap"]
    found = sensitivity(runs, over, metrics=names, order=("rlvr", "sft"), progress=False)
    told = found.sentence()
    assert "held at 0 of 4 settings; it was sft > rlvr at k 2, side left" in told
    assert (
        "the order rlvr > sft of Share of changed entries in the low-magnitude mask held at all 2 settings"
        in told
    )
    assert found.table().body[0][0].plain == names[0]
    assert sensitivity(runs, {"alpha": (0.1, 0.3)}, progress=False).settings["reference"] == {"alpha": 0.3}


def test_the_table_has_one_row_per_combination(runs):
    over = {"k": (2, 8), "matrices": ("attention", "all")}
    found = sensitivity(runs, over, metrics=["max_principal_angle"], progress=False)
    table = found.table()
    assert [cell.plain for cell in table.header] == ["k", "matrices", "side", "sft", "rlvr", "order", "holds"]
    assert len(table.body) == 2 * 2 * 2
    latex = found.to_latex()
    assert latex.count(r"\tabularnewline") == 1 + 8
    assert "no probability" in latex


def test_json_gives_the_result_back(runs):
    found = sensitivity(runs, {"k": (2, 8)}, metrics=["max_principal_angle"], progress=False)
    again = SensitivityResult.from_json(found.to_json())
    assert again.to_json() == found.to_json()
    assert again.table().to_text() == found.table().to_text()
    assert json.loads(found.to_json())["type"] == "SensitivityResult"


def test_the_specification_curve_shows_every_analysis(runs):
    over = {"k": (2, 8), "matrices": ("attention", "all")}
    found = sensitivity(runs, over, metrics=["max_principal_angle"], progress=False)
    axes = found.plot()
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 8]
    assert len(drawn) == 2
    sft = sorted(found.estimate.sel(recipe="sft").values.ravel())
    assert drawn[0].get_ydata() == pytest.approx(sft)
    (below,) = axes.child_axes
    assert [text.get_text() for text in below.get_yticklabels()] == [
        "k 2",
        "k 8",
        "matrices attention",
        "matrices all",
        "side left",
        "side right",
    ]
    axes.figure.canvas.draw()


@pytest.mark.parametrize(
    ("over", "metrics", "told"),
    [
        ({"depth": (1, 2)}, None, "cannot be varied here"),
        ({}, None, "names nothing to vary"),
        ({"k": 4}, None, "is one value"),
        ({"k": (4, 4)}, None, "values that differ"),
        ({"k": (0, 4)}, None, "k=0 means nothing"),
        ({"k": (2, 4)}, ["stable_rank"], "depends on no setting"),
        ({"k": (2, 4)}, ["srank"], "is no diagnostic"),
        ({"k": (2, 4)}, ["principal_angles"], "no single number"),
        ({"storage": ("fp8",)}, None, "'bf16' .* and 'raw'"),
    ],
)
def test_what_cannot_be_varied_is_refused(runs, over, metrics, told):
    with pytest.raises(ProtocolError, match=told):
        sensitivity(runs, over, metrics=metrics, progress=False)


def test_data_without_the_setting_are_refused(runs):
    measured = gs.measure(
        *runs["sft", 0], diagnostics=["stable_rank", "low_magnitude_mask_overlap"], progress=False
    )
    with pytest.raises(ProtocolError, match=r"alpha 0\.2; the data hold 0\.3, 0\.5"):
        sensitivity(measured, {"alpha": (0.2, 0.3)})
    with pytest.raises(SampleError, match="stable_rank depends on alpha: it does not"):
        sensitivity(measured, {"alpha": (0.3, 0.5)}, metrics=["stable_rank"])
    with pytest.raises(SampleError, match="selects none"):
        sensitivity(measured, {"matrices": ("mlp", "attention")})
    with pytest.raises(SampleError, match="measurement is a list"):
        sensitivity([1], {"k": (1, 2)})
    with pytest.raises(SampleError, match="returned a float"):
        sensitivity(lambda k: 1.0, {"k": (1, 2)})
