import html
import json
import math
import re
import shutil
import subprocess

import numpy as np
import pytest
import xarray as xr

from geostat import statistics
from geostat.errors import SampleError
from geostat.protocols import PROTOCOLS
from geostat.results import Variable
from geostat.results.numbers import interval_text, number_text, onset_text, p_value_text
from geostat.results.table import Column, Text, build_table, escape_latex
from geostat.statistics import (
    MeanResult,
    adjust,
    at_least,
    band_entry,
    bootstrap_ci,
    classify_regime,
    compare,
    dose_response,
    equivalence,
    fit_changepoint,
    fit_onset,
    lock_brackets,
    locked_share,
    locking_onset,
    mean_ci,
    median_onset,
    onset_exists,
    power,
)


def runs(recipes=("opd", "opd", "opd", "rlvr"), name="stable_rank", scale=1.0):
    values = np.random.default_rng(1).normal(20, 2, (len(recipes), 3, 4)) * scale
    return xr.DataArray(
        values,
        dims=("run", "step", "matrix"),
        coords={
            "run": [f"run_{i}" for i in range(len(recipes))],
            "recipe": ("run", list(recipes)),
            "seed": ("run", range(len(recipes))),
            "step": [10, 50, 100],
        },
        attrs={"units": "1", "long_name": "Stable rank", "symbol": r"\mathrm{srank}", "valid_min": 1.0},
        name=name,
    )


def several():
    data = runs()
    two = xr.Dataset({"stable_rank": data, "shift": data * 1e-6}).map(lambda a: a.assign_attrs(data.attrs))
    return mean_ci(two.assign_attrs(protocol="shen2026", protocol_hash="0123"))


def capture():
    onsets, steps = np.array([63, 127, 127, 191, 127, 63]), np.array([31, 63, 127, 191, 255, 299])
    return xr.DataArray(
        (steps >= onsets[:, None]) * np.linspace(0.8, 0.9, 6)[:, None],
        dims=("run", "step"),
        coords={"step": steps},
        attrs={"units": "1"},
        name="forward_capture",
    )


def settling():
    steps = np.arange(10, 1001, 45)
    noise = 0.02 * np.random.default_rng(0).normal(size=(3, steps.size))
    return xr.DataArray(
        1 + np.exp(-steps / 150) + noise,
        dims=("run", "step"),
        coords={"step": steps},
        attrs={"units": "degree"},
        name="angle",
    )


def doses(per_dose=2):
    alpha = np.repeat([1.0, 0.5, 0.25, 0.01], per_dose)
    values = np.where(alpha < 0.1, 26.0, 20.0) + 0.1 * np.arange(alpha.size)
    return xr.DataArray(
        values, dims="run", coords={"alpha": ("run", alpha)}, attrs={"units": "1"}, name="stable_rank"
    )


def response(per_dose=2):
    return dose_response(doses(per_dose), "alpha", reference=1.0, margin=1.0, dim=None, rng=0, n_resamples=99)


def published():
    values = {
        "update_sparsity": ("run", [0.76, 0.78, 0.77, 0.79], {"units": "1"}),
        "normalized_spectral_shift": ("run", [1.1e-5, 0.9e-5, 1.0e-5, 1.2e-5], {"units": "1"}),
    }
    data = xr.Dataset(values, attrs={"protocol_hash": PROTOCOLS["shen2026"].hash})
    return classify_regime(data, boundaries="published", metrics=list(values), dim=None)


def broken():
    """Infinite and missing values, and a recipe with one run."""
    data = runs()
    data.values[0, 0, 0] = np.inf
    data.values[:, 1] = np.nan
    return data


MADE = {
    "mean": lambda: mean_ci(runs()),
    "several": several,
    "compare": lambda: compare(runs(), "opd", "rlvr"),
    "compare undefined": lambda: compare(broken(), "opd", "rlvr"),
    "equivalence": lambda: equivalence(runs(("opd", "opd", "rlvr", "rlvr")), "opd", "rlvr", margin=1.0),
    "equivalence undefined": lambda: equivalence(broken(), "opd", "rlvr", margin=1.0),
    "adjusted": lambda: adjust(compare(runs(("opd", "opd", "rlvr", "rlvr")), "opd", "rlvr")),
    "bootstrap": lambda: bootstrap_ci(runs(("opd",) * 6), n_resamples=99, rng=0),
    "bootstrap undefined": lambda: bootstrap_ci(broken(), n_resamples=99, rng=0),
    "doses": response,
    "doses untested": lambda: response(per_dose=1),
    "power": lambda: power("compare", seed_sd=1.0, effect=3.0),
    "power of a pilot": lambda: power("mean_ci", seed_sd=runs(("opd",) * 3), half_width=1.0, n_runs=(2, 5)),
    "power undefined": lambda: power("compare", seed_sd=runs(("opd",)), effect=1.0, n_runs=(2, 5)),
    "locks": lambda: lock_brackets(runs(), reference=at_least(20.0)),
    "share": lambda: locked_share(capture(), reference=at_least(0.5), dim=None),
    "share undefined": lambda: locked_share(capture().isel(run=[0]), reference=at_least(0.5), dim=None),
    "median": lambda: median_onset(capture(), reference=at_least(0.5), dim=None),
    "median undefined": lambda: median_onset(capture().isel(run=[0]), reference=at_least(0.5), dim=None),
    "entry": lambda: band_entry(settling(), reference=1.0, margin=0.2, dim=None),
    "entry undefined": lambda: band_entry(settling().isel(run=[0]), reference=1.0, margin=0.2, dim=None),
    "onset": lambda: fit_onset(settling(), dim=None),
    "existence": lambda: onset_exists(settling(), dim=None, n_null=1000),
    "locking": lambda: locking_onset(capture(), dim=None, beside=()),
    "changepoint": lambda: fit_changepoint(settling().isel(run=0), dim=None),
    "regime": published,
    "scalar": lambda: mean_ci(runs().isel(run=0, step=0)),
}


def test_every_result_type_is_among_those_tested():
    public = {name for name in vars(statistics) if name.endswith("Result")}
    assert public == {type(make()).__name__ for make in MADE.values()}


@pytest.fixture(params=list(MADE))
def result(request):
    return MADE[request.param]()


def test_json_round_trip_is_exact(result):
    again = type(result).from_json(result.to_json())
    assert again.to_json() == result.to_json()
    assert repr(again) == repr(result)
    assert again.to_latex() == result.to_latex()
    xr.testing.assert_identical(again.to_xarray(), result.to_xarray())


def test_json_holds_null_for_nan_and_a_schema_version():
    record = json.loads(MADE["scalar"]().to_json(), parse_constant=pytest.fail)
    assert (record["schema"], record["schema_version"], record["type"]) == ("geostat.result", 1, "MeanResult")
    assert record["rows"][0]["low"] is None
    assert record["sentence"] == MADE["scalar"]().sentence()


def test_an_interval_is_asked_for_of_any_result(result):
    found = result.ci
    assert found is None or "ci_bound" in found.coords


def test_numbers_of_numpy_among_the_settings_are_written_to_json():
    result = mean_ci(runs(), level=np.float32(0.9), assumed_seed_sd=np.float64(1.5))
    again = MeanResult.from_json(result.to_json())
    assert again.level == pytest.approx(0.9)
    assert again.to_json() == result.to_json()


def test_json_keeps_infinities():
    data = runs()
    data.values[0, 0, 0] = -np.inf
    again = MeanResult.from_json(mean_ci(data).to_json())
    assert again.rows()[0]["estimate"] == -math.inf


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "not a geostat result"),
        ('{"schema": "other"}', "not a geostat result"),
    ],
)
def test_other_json_is_refused(text, message):
    with pytest.raises(SampleError, match=message):
        type(MADE["mean"]()).from_json(text)


def test_json_of_another_class_or_version_is_refused():
    mean, locks = MADE["mean"](), MADE["locks"]()
    with pytest.raises(SampleError, match=r"MeanResult\.from_json"):
        type(locks).from_json(mean.to_json())
    newer = mean.to_json().replace('"schema_version": 1', '"schema_version": 99')
    with pytest.raises(SampleError, match="schema version 99"):
        type(mean).from_json(newer)


def numbers_in(text):
    return re.findall(r"-?\d+\.\d+", text)


def test_repr_html_and_latex_show_the_same_numbers(result):
    table = result.table()
    plain = [cell.plain for row in table.body for cell in row]
    cells = re.findall(r"<td[^>]*>(.*?)(?:<sup>.*?</sup>)?</td>", result._repr_html_())
    assert [html.unescape(cell) for cell in cells] == plain
    assert all(cell in repr(result) for cell in plain)
    latex = result.to_latex().split(r"\midrule")[1].split(r"\bottomrule")[0]
    mantissas = [re.sub(r"e[+-]\d+", "", cell) for cell in plain]
    assert numbers_in(latex) == [number for cell in mantissas for number in numbers_in(cell)]


def test_frame_holds_the_rows_unrounded(result):
    frame, rows = result.to_frame(), result.rows()
    assert list(frame.columns) == list(dict.fromkeys(key for row in rows for key in row))
    for key in frame.columns:
        told = [row.get(key) for row in rows]  # rows of unlike cells hold unlike quantities
        assert [v if v == v else None for v in frame[key]] == [v if v == v else None for v in told]


def test_printed_numbers_are_the_rows_rounded():
    result = MADE["mean"]()
    for row, cells in zip(result.rows(), result.table().body, strict=True):
        shown = [float(number) for number in numbers_in(cells[2].plain)]
        exact = [row["estimate"], row["low"], row["high"]] if len(shown) == 3 else [row["estimate"]]
        digits = len(numbers_in(cells[2].plain)[0].split(".")[1])
        assert shown == pytest.approx(exact, abs=0.5001 * 10**-digits)


def test_arrays_agree_with_rows():
    result = MADE["mean"]()
    assert [row["low"] for row in result.rows()] == pytest.approx(
        list(result.low.values.ravel()), nan_ok=True
    )
    assert result.low.attrs["units"] == "1"
    assert result.to_xarray()["n_runs"].attrs == {}
    assert result.estimate["reason"].sel(recipe="rlvr", step=10).item().startswith("one run")


def test_interval_is_an_array_with_bounds_or_none():
    result = MADE["mean"]()
    xr.testing.assert_equal(
        result.ci.sel(ci_bound="low").drop_vars(["ci_bound", "reason"]), result.low.drop_vars("reason")
    )
    assert set(MADE["several"]().ci) == {"stable_rank", "shift"}
    assert MADE["scalar"]().ci is None
    assert MADE["locks"]().ci is None


def test_results_are_frozen(result):
    with pytest.raises(AttributeError):
        result.level = 0.5


def test_results_survive_pickling(result):
    import pickle

    assert pickle.loads(pickle.dumps(result)).to_json() == result.to_json()


def test_a_metric_is_selected_by_name():
    several = MADE["several"]()
    assert {row["variable"] for row in several["shift"].rows()} == {"shift"}
    with pytest.raises(SampleError, match="stable_rank, shift"):
        several["entropy"]


def test_result_says_what_it_rests_on(result):
    assert result.assumptions
    assert result.versions["numpy"] == np.__version__
    assert result.estimand in repr(result)
    assert f"Scope: {result.scope}" in repr(result)


def test_sentence_names_level_method_unit_and_n():
    sentence = MADE["mean"]().sentence()
    for part in (
        "95%",
        "t-interval",
        "run being the unit of sampling",
        "n = 3 runs",
        "no interval",
        "step 100",
    ):
        assert part in sentence


def test_long_results_are_cut_on_screen_and_whole_in_latex():
    data = runs().isel(step=[0]).squeeze("step", drop=True).expand_dims(k=np.arange(50))
    result = mean_ci(data)
    assert "and 60 more rows" in repr(result)
    assert result.to_latex().count(r"\tabularnewline") == 101


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b & 50%", r"a\_b \& 50\%"),
        ("$x$ #1 {y}", r"\$x\$ \#1 \{y\}"),
        ("~^\\", r"\textasciitilde{}\textasciicircum{}\textbackslash{}"),
        ("<|>", r"\textless{}\textbar{}\textgreater{}"),
    ],
)
def test_latex_specials_are_escaped(text, escaped):
    assert escape_latex(text) == escaped


def test_html_is_escaped():
    table = build_table([{"x": 1}], [Column("<b>", lambda row: Text("a<b", note="c&d"))])
    assert "<b>" not in table.to_html()
    assert "a&lt;b" in table.to_html()
    assert "c&amp;d" in table.to_html()


@pytest.mark.parametrize(
    ("values", "plain"),
    [
        ((21.34, 19.02, 23.66), "21.3 [19.0, 23.7]"),
        ((0.5, -6.5, 7.5), "0.50 [-6.50, 7.50]"),
        ((0.0, 0.0, 0.0), "0.00 [0.00, 0.00]"),
        ((1234567.0, 1200000.0, 1269134.0), "1.235e+06 [1.200e+06, 1.269e+06]"),
        ((3.2e-5, 2.9e-5, 3.5e-5), "3.20e-05 [2.90e-05, 3.50e-05]"),
        ((-0.0001, -0.5, 0.5), "0.000 [-0.500, 0.500]"),
        ((1.0, 0.0, math.inf), "1.00 [0.00, inf]"),
        ((2.0, math.nan, math.nan), "2.00 --"),
        ((math.nan, math.nan, math.nan), "--"),
    ],
)
def test_estimates_show_the_digits_that_their_interval_supports(values, plain):
    assert interval_text(*values).plain == plain


def test_other_numbers_are_written_plainly():
    assert number_text(None).plain == "--"
    assert number_text(-0.0).plain == "0.00"
    assert number_text(1.5e-9).latex == r"$1.50\times 10^{-9}$"
    assert p_value_text(0.0).plain == "<0.001"
    assert p_value_text(0.0421).plain == "0.042"
    assert p_value_text(math.nan).plain == "--"
    assert onset_text("never", math.nan, math.nan, "why").note == "why"


def test_a_variable_is_labelled_with_its_units():
    assert Variable("angle", "Largest angle", "degree").label == "Largest angle (degree)"
    assert Variable("share", "", "1").label == "share"


def compiles(latex, folder):
    (folder / "table.tex").write_text(latex, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "table.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    return (folder / "table.pdf").stat().st_size


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed (texlive-latex-base)")
@pytest.mark.parametrize("booktabs", [True, False])
def test_latex_compiles(tmp_path, booktabs):
    nasty = runs(("50%_of $x$", "50%_of $x$", 'a&b #1 {c} ~^\\ <|>" ≤'))
    shown = [*(make() for make in MADE.values()), mean_ci(nasty)]
    tables = [result.to_latex(label=f"tab:{i}") for i, result in enumerate(shown)]
    document = shown[0].to_latex(standalone=True)
    body = "\n".join([*tables, r"\end{document}"])
    document = document.replace(r"\end{document}", body)
    if not booktabs:
        document = document.replace(r"\IfFileExists{booktabs.sty}", r"\IfFileExists{no-such-file.sty}")
    assert compiles(document, tmp_path) > 10_000
