import numpy as np
import pytest

from geostat.diagnostics import DIAGNOSTICS
from geostat.errors import SampleError
from geostat.protocols import PROTOCOLS
from geostat.statistics.regimes.boundaries import load_boundaries
from geostat.statistics.regimes.published import published_figures

FILE = load_boundaries()

ONE = {
    "version": "mine",
    "regimes": ["dense", "sparse"],
    "metrics": {"update_sparsity": {"direction": "increasing", "scale": "logit", "cuts": [0.4]}},
}


@pytest.mark.parametrize("name", [name for name, metric in FILE.metrics.items() if metric.points])
def test_cuts_lie_in_the_middle_of_the_gap_between_the_points(name):
    metric = FILE.metrics[name]
    for cut, derived in zip(metric.cuts, metric.derived(FILE.regimes), strict=True):
        if cut is not None:
            assert cut == pytest.approx(derived, rel=0.02, abs=6e-4)


def test_points_are_published_figures():
    percent = {
        (f.tuned, f.metric): f.value / (100 if f.units == "%" else 1)
        for f in published_figures()
        if f.source.startswith("shen2026")
    }
    for name, metric in FILE.metrics.items():
        for points in metric.points.values():
            for checkpoint, value in points.items():
                assert value == pytest.approx(percent[checkpoint, name], abs=1e-9), (name, checkpoint)


def test_the_tolerance_is_what_two_papers_disagree_by():
    by_paper = {}
    for figure in published_figures(metric="update_sparsity"):
        by_paper.setdefault(figure.tuned, {})[figure.source.split(",")[0]] = figure.value
    both = [abs(values["shen2026"] - values["zhu2025"]) for values in by_paper.values() if len(values) == 2]
    assert len(both) == 3
    assert FILE.metrics["update_sparsity"].tolerance * 100 == pytest.approx(max(both))


def test_the_convention_is_that_of_the_protocol():
    protocol = PROTOCOLS["shen2026"]
    for name in ("eta", "rule", "space", "k", "r", "matrices"):
        assert FILE.convention[name] == getattr(protocol, name)
    assert FILE.convention["alpha"] in protocol.alpha


def test_every_metric_is_a_diagnostic_and_every_source_is_in_the_bibliography():
    assert set(FILE.metrics) <= set(DIAGNOSTICS)
    assert {f.metric for f in published_figures()} <= set(DIAGNOSTICS)
    assert {f.source.split(",")[0] for f in published_figures()} == {"shen2026", "zhu2025"}


def test_half_of_the_published_rl_checkpoints_lie_in_the_range_of_distillation():
    """Why sparsity alone never classifies."""
    cuts = FILE.metrics["update_sparsity"].cuts
    rl = [
        f.value / 100 for f in published_figures(metric="update_sparsity") if f.source == "zhu2025, Table 1"
    ]
    middle = [value for value in rl if cuts[0] < value < cuts[1]]
    assert len(rl) == 12
    assert len(middle) == 6


def test_rotation_and_principal_overlap_are_not_in_the_default_set():
    assert FILE.default_set == (
        "update_sparsity",
        "normalized_spectral_shift",
        "low_magnitude_mask_overlap",
        "stable_rank_trend",
    )
    assert {name for name, metric in FILE.metrics.items() if metric.weak} == {
        "stable_rank_trend",
        "max_principal_angle",
    }
    assert FILE.metrics["principal_mask_overlap"].cuts[1] is None


def test_leaving_a_checkpoint_out_moves_the_cut_that_rests_on_it():
    metric = FILE.metrics["update_sparsity"]
    moved = metric.without("UniReason-14B-think-SFT", FILE.regimes)
    assert moved.cuts[0] == pytest.approx((0.081 + 0.486) / 2)
    assert moved.cuts[1] == pytest.approx((0.571 + 0.699) / 2)
    assert metric.without("no such checkpoint", FILE.regimes) is metric


def test_a_cut_that_rests_on_one_checkpoint_is_lost_with_it():
    lost = FILE.metrics["normalized_spectral_shift"].without("RLVR-8B", FILE.regimes)
    assert lost.cuts[0] == pytest.approx(10**-3.5)
    assert np.isnan(lost.cuts[1])


def test_your_own_file_takes_their_place(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'version = "7"\nregimes = ["dense", "sparse"]\n[metrics.stable_rank]\ndirection = "decreasing"\ncuts = [20]\n'
    )
    own = load_boundaries(path)
    assert own.label == "boundaries 'mine.toml', version 7"
    assert own.metrics["stable_rank"].cuts == (20.0,)
    assert load_boundaries(ONE).regimes == ("dense", "sparse")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": ""}, "version"),
        ({"regimes": ["one"]}, "two or more `regimes`"),
        ({"metrics": {"a": {"direction": "up", "cuts": [1]}}}, "direction 'up'"),
        ({"metrics": {"a": {"direction": "increasing", "cuts": [1, 2]}}}, "2 cuts for 2 regimes"),
        ({"metrics": {"a": {"direction": "increasing", "cuts": ["x"]}}}, "cannot be read"),
        ({"metrics": {"a": {"direction": "increasing", "cuts": [1], "tolerance": -1.0}}}, "0 or more"),
        (
            {"regimes": ["a", "b", "c"], "metrics": {"m": {"direction": "decreasing", "cuts": [1, 2]}}},
            "do not run in its direction",
        ),
    ],
)
def test_contradictory_boundaries_are_refused(change, message):
    with pytest.raises(SampleError, match=message):
        load_boundaries(ONE | change)


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(SampleError, match="no data file"):
        load_boundaries(tmp_path / "missing.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("= 3")
    with pytest.raises(SampleError, match="is not TOML"):
        load_boundaries(broken)
    with pytest.raises(SampleError, match="no list `figures`"):
        published_figures({"version": "1"})
    with pytest.raises(SampleError, match="figure 1 is incomplete"):
        published_figures({"figures": [{"tuned": "a"}]})
