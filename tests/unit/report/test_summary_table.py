import re
import shutil
import subprocess

import numpy as np
import pytest
import xarray as xr

from geostat.errors import SampleError
from geostat.report import summary_table
from geostat.statistics import lock_brackets, mean_ci


@pytest.fixture
def dataset():
    rng = np.random.default_rng(3)
    attrs = {"units": "1"}
    return xr.Dataset(
        {
            "accuracy": (("run", "step"), rng.uniform(0.4, 0.6, (5, 4)), attrs | {"long_name": "Accuracy"}),
            "rotation": (("run", "step", "matrix"), rng.uniform(0, 9, (5, 4, 3)), {"units": "degree"}),
        },
        {
            "run": [f"r{i}" for i in range(5)],
            "recipe": ("run", ["sft", "sft", "opd", "opd", "rlvr"]),
            "step": [10, 20, 30, 40],
        },
    )


def test_every_number_is_one_of_the_results(dataset):
    result = mean_ci(dataset)
    table = summary_table(result)
    for recipe, row in zip(("sft", "opd", "rlvr"), table.body, strict=True):
        assert row[0].plain == recipe
        for name, cell in zip(("accuracy", "rotation"), row[2:], strict=True):
            own = result[name].table().body
            labels = [(cells[0].plain, cells[1].plain) for cells in own]
            expected = own[labels.index((recipe, "40"))][2]
            assert cell == expected


def test_runs_are_counted_by_recipe(dataset):
    table = summary_table(mean_ci(dataset), lock_brackets(dataset.rotation, reference="final", margin=1.0))
    assert [row[1].plain for row in table.body] == ["2", "2", "1"]


def test_onsets_are_gathered_over_runs():
    data = xr.DataArray(
        [[9.0, 5, 5, 5], [5.0, 5, 5, 5], [5.0, 5, 5, 5], [9.0, 9, 9, 9]],
        dims=("run", "step"),
        coords={"recipe": ("run", ["opd"] * 3 + ["sft"]), "run": list("abcd"), "step": [10, 20, 30, 40]},
        attrs={"units": "1"},
        name="stable_rank",
    )
    table = summary_table(lock_brackets(data, reference=5.0, margin=1.0, dim=None))
    assert [row[2].plain for row in table.body] == ["<= 10 x2; (10, 20] x1", "never"]
    assert table.body[0][2].latex == r"$\le 10$ $\times 2$; $(10,\,20]$ $\times 1$"
    assert "no inference" in table.to_text()


def test_rows_and_columns_can_be_exchanged(dataset):
    result = mean_ci(dataset)
    wide, tall = summary_table(result), summary_table(result, rows="metric")
    flipped = [list(column) for column in zip(*[wide.header, *wide.body], strict=True)]
    assert [list(row) for row in [tall.header, *tall.body]] == flipped


def test_a_step_can_be_chosen(dataset):
    table = summary_table(mean_ci(dataset.accuracy, dim=None), step=20)
    estimate = float(dataset.accuracy.sel(step=20, run="r4"))
    assert float(re.match(r"[\d.]+", table.body[2][2].plain)[0]) == pytest.approx(estimate, abs=5e-4)
    with pytest.raises(SampleError, match=r"\[10, 20, 30, 40\]"):
        summary_table(mean_ci(dataset.accuracy, dim=None), step=25)


def test_nothing_to_show_is_refused():
    with pytest.raises(SampleError, match="no result"):
        summary_table()


def test_a_recipe_without_interval_has_a_dash_and_a_footnote(dataset):
    latex = summary_table(mean_ci(dataset)).to_latex()
    assert r"~--\textsuperscript{a}" in latex
    assert r"\textsuperscript{a}~one run" in latex


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed (texlive-latex-base)")
@pytest.mark.parametrize("rows", ["recipe", "metric"])
def test_the_summary_compiles(dataset, tmp_path, rows):
    locks = lock_brackets(dataset.rotation, reference="final", margin=1.0)
    table = summary_table(mean_ci(dataset), locks, rows=rows)
    (tmp_path / "t.tex").write_text(table.to_latex(caption="100% & more", standalone=True), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.fixture
def with_nulls():
    rng = np.random.default_rng(4)
    run = {"run": [f"r{i}" for i in range(4)], "recipe": ("run", ["sft", "sft", "rlvr", "rlvr"])}
    attrs = {"units": "1"}
    level = np.array([5.0, 5.0, 0.5, 0.5])[:, None]
    data = xr.Dataset(
        {
            "normalized_spectral_shift": (("run", "matrix"), level + 0.1 * rng.uniform(size=(4, 3)), attrs),
            "overlap": (("run", "matrix", "alpha"), rng.uniform(0.4, 0.6, (4, 3, 2)), attrs),
            "stable_rank": (("run", "matrix"), 50 / level + rng.uniform(size=(4, 3)), attrs),
            "normalized_spectral_shift_floor": (("run", "matrix"), np.ones((4, 3)), attrs),
            "stable_rank_floor": (("run", "matrix"), np.full((4, 3), 60.0), attrs),
            "overlap_excess": (("run", "matrix", "alpha"), rng.uniform(0, 0.1, (4, 3, 2)), attrs),
            "loss_excess": (("run",), rng.uniform(size=4), attrs),
        },
        run | {"alpha": [0.3, 0.5]},
    )
    return mean_ci(data)


def test_excess_and_floor_stand_right_of_their_metric(with_nulls):
    heads = [cell.plain for cell in summary_table(with_nulls).header]
    assert heads == [
        "recipe",
        "runs",
        "normalized_spectral_shift",
        "normalized_spectral_shift floor",
        "overlap (alpha 0.3)",
        "overlap excess (alpha 0.3)",
        "overlap (alpha 0.5)",
        "overlap excess (alpha 0.5)",
        "stable_rank",
        "stable_rank floor",
        "loss_excess",
    ]


def test_values_that_the_floor_covers_are_not_printed(with_nulls):
    table = summary_table(with_nulls)
    by_name = {head.plain: column for head, *column in zip(table.header, *table.body, strict=True)}
    sft, rlvr = by_name["normalized_spectral_shift"]
    assert sft.plain.startswith("5.0")
    assert (rlvr.plain, rlvr.latex) == ("<= floor", r"$\le$ floor")
    sft, rlvr = by_name["stable_rank"]
    assert sft.plain.startswith("10.")
    assert (rlvr.plain, rlvr.latex) == (">= floor", r"$\ge$ floor")
    assert "may be storage alone" in table.to_text()
    assert r"$\le$ floor" in table.to_latex()


def test_without_nulls_nothing_is_said_of_them(dataset):
    assert "floor" not in summary_table(mean_ci(dataset)).to_text()
