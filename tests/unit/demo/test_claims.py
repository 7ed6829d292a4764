"""Claims: verdicts that follow from intervals, records that come back, and a page that is made from them."""

import math
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from geostat.demo.claims import Claim, Figure, ask, read_claims, read_records, write_claims
from geostat.demo.claims.__main__ import main
from geostat.demo.claims.changes import mixed, off_policy, sparsified
from geostat.demo.claims.geometry import ORDERS, moves, order, selective, trend
from geostat.demo.claims.matched import COMPARED, matched
from geostat.demo.claims.picture import draw_retained
from geostat.demo.claims.record import record
from geostat.demo.claims.records import Records, read_archive, write_archive
from geostat.demo.claims.twins import disturbed, particular, sufficient
from geostat.errors import StoreError
from geostat.lab import PERTURBATIONS, Sufficiency, train_runs
from geostat.lab.arms import ARMS
from geostat.lab.laboratory import LABORATORY
from geostat.lab.recipes import Scale
from geostat.lab.sufficiency_table import ARM

ROOT = Path(__file__).parents[3]
RECORDED = ROOT / "fixtures" / "laboratory"
pytestmark = pytest.mark.filterwarnings(
    "ignore::geostat.errors.GeostatWarning"
)  # margins, few runs, their lengths
RECIPES = ("sft", "opd", "rlvr", "continued_sft")


def text(words):
    return np.array(list(words), dtype=np.dtypes.StringDType())


def known(values, seeds=5, recipes=RECIPES):
    """Runs whose figures are given for each recipe at the end, with a little noise; half as much halfway, and so on."""
    rng = np.random.default_rng(0)
    labels = [(recipe, seed) for recipe in recipes for seed in range(seeds)]
    share = np.array([0.125, 0.25, 0.5, 1.0])

    def of(table):
        ends = np.array([table[recipe] for recipe, _ in labels])
        ends = ends + 0.01 * (np.abs(ends) + 1e-3) * rng.standard_normal(len(labels))
        return ("run", "step", "matrix"), ends[:, None, None] * share[:, None] * np.ones(2), {"units": "1"}

    return xr.Dataset(
        {name: of(dict(zip(recipes, table, strict=True))) for name, table in values.items()},
        {
            "run": text(f"{recipe}-{seed}" for recipe, seed in labels),
            "recipe": ("run", text(recipe for recipe, _ in labels)),
            "seed": ("run", [seed for _, seed in labels]),
            "step": [10, 20, 40, 80],
            "progress": (("run", "step"), np.tile(share, (len(labels), 1))),
            "matrix": text("ab"),
            "rows": ("matrix", [4, 4]),
            "cols": ("matrix", [4, 12]),
        },
    )


MOVED = (0.4, 0.2, 0.1, 0.2)


@pytest.mark.parametrize(
    ("values", "verdict", "control"),
    [
        ((4.0, 2.0, 1.0, 2.0), "supported", "undetermined"),  # proportional to displacement: nothing is left
        ((4.0, 2.0, 0.5, 2.0), "supported", "supported"),
        ((4.0, 2.0, 3.0, 2.0), "contradicted", "contradicted"),
        ((2.0, 2.0, 1.0, 2.0), "undetermined", "undetermined"),
    ],
)
def test_an_order_is_judged_by_paired_intervals_and_at_equal_displacement(values, verdict, control):
    runs = known({"normalized_spectral_shift": values, "relative_update_norm": MOVED})
    found = order(runs, next(each for each in ORDERS if each.metric == "normalized_spectral_shift"))
    assert (found.verdict, found.control) == (verdict, control)
    assert moves(runs).verdict == "supported"
    assert moves(runs).control is None


def test_matched_sft_is_like_opd_only_where_every_figure_is():
    def found(angle, reach=0.2):
        figures = dict.fromkeys(COMPARED, (4.0, 2.0, 1.0, 2.0)) | {"mean_principal_angle": (4, 2, 1, angle)}
        return matched(known(figures | {"relative_update_norm": (0.4, 0.2, 0.1, reach)}))

    assert found(2.0).verdict == "supported"
    assert found(3.0).verdict == "contradicted"
    assert found(2.2).verdict == "undetermined"
    assert found(2.0, reach=0.0) is None


def test_unchanged_entries_are_weighted_by_size():
    runs = known({"update_sparsity": (0.1, 0.5, 0.8, 0.5), "relative_update_norm": MOVED})
    runs["update_sparsity"][:, :, 1] = 0.0
    found = order(runs, ORDERS[0])
    opd = next(figure for figure in found.figures if figure.what == "unchanged entries: opd")
    assert opd.estimate == pytest.approx(0.5 / 4, rel=0.02)


def test_a_selection_within_what_does_not_matter_is_none():
    def found(principal, small):
        names = ("principal_mask_overlap_excess", "low_magnitude_mask_overlap_excess")
        return selective(known(dict(zip(names, ((principal,) * 4, (small,) * 4), strict=True)))).verdict

    assert found(-0.02, 0.03) == "supported"
    assert found(-0.0001, 0.0001) == "contradicted"
    assert found(0.02, 0.03) == "contradicted"


def test_stable_ranks_are_judged_by_direction_and_by_a_band():
    def found(*values):
        return trend(known({"stable_rank_trend": values, "stable_rank": (4.0, 3.0, 2.0, 3.0)})).verdict

    assert found(1.0, 0.1, -1.0, 0.0) == "supported"
    assert found(1.0, 0.9, -1.0, 0.0) == "contradicted"
    assert found(-1.0, 0.1, -1.0, 0.0) == "contradicted"


def twins(gains, seeds=5):
    """Twins whose gains in each arm are given for every recipe, with noise that twins of a seed share."""
    rng = np.random.default_rng(0)
    labels = [(recipe, seed) for recipe in RECIPES for seed in range(seeds)]
    arms = {arm.name: arm for arm in ARMS}
    values = np.array([[gains(recipe, arm) for arm in arms] for recipe, _ in labels])
    values = values + 0.01 * rng.standard_normal((len(labels), 1)) + 5e-4 * rng.standard_normal(values.shape)
    free = values[:, [list(arms).index("free")]]
    both = ("run", "arm")
    return Sufficiency(
        xr.Dataset(
            {
                "gain": (both, values, {"units": "1"}),
                "difference": (both, values - free, {"units": "1"}),
                "retained": (both, values / free, {"units": "1"}),
            },
            {
                "run": [f"{recipe}-{seed}" for recipe, seed in labels],
                "recipe": ("run", [recipe for recipe, _ in labels]),
                "seed": ("run", [seed for _, seed in labels]),
                "arm": list(arms),
                **{name: ("arm", [getattr(arm, name) for arm in arms.values()]) for name in ARM},
            },
        )
    )


def test_sufficiency_needs_equivalence_and_its_controls():
    found = sufficient(twins(lambda recipe, arm: 0.2 if arm.startswith(("free", "channel")) else 0.1))
    assert (found.verdict, found.control) == ("supported", "supported")
    found = sufficient(twins(lambda recipe, arm: 0.2))
    assert (found.verdict, found.control) == ("supported", "undetermined")
    found = sufficient(twins(lambda recipe, arm: 0.2 if arm == "free" else 0.1))
    assert found.verdict == "contradicted"


def test_what_every_recipe_has_is_not_particular_to_one():
    assert particular(twins(lambda recipe, arm: 0.2)).verdict == "undetermined"
    own = particular(twins(lambda recipe, arm: 0.2 if arm == "free" or recipe == "opd" else 0.1))
    assert own.verdict == "supported"
    other = particular(twins(lambda recipe, arm: 0.2 if arm == "free" or recipe != "opd" else 0.1))
    assert other.verdict == "contradicted"


def test_disturbances_of_opd_are_what_counts():
    found = disturbed(twins(lambda recipe, arm: 0.2))
    assert found.verdict == "supported"
    assert len([figure for figure in found.figures if figure.role == "claim"]) == 2
    hurt = disturbed(twins(lambda recipe, arm: 0.1 if arm.startswith("noise_outside") else 0.2))
    assert hurt.verdict == "contradicted"


PERTURBED = ("opd_sampled", *PERTURBATIONS)


def perturbed(changes):
    """Stable ranks of 4 and gains of .2, but where they are changed."""
    columns = {"stable_rank": 4.0, "gain": 0.2, "relative_update_norm": 0.1}
    tables = {
        name: tuple(usual * changes.get((name, recipe), 1.0) for recipe in PERTURBED)
        for name, usual in columns.items()
    }
    return known(tables, recipes=PERTURBED)


@pytest.mark.parametrize(
    ("changes", "tokens", "teacher", "mixture"),
    [
        ({}, ("supported", "contradicted"), ("supported", "contradicted"), "contradicted"),
        (
            {("stable_rank", "opd_mixed0"): 2.0, ("stable_rank", "opd_mixed1"): 2.0},
            ("supported", "supported"),
            ("supported", "supported"),
            "supported",
        ),
        (
            {("stable_rank", "opd_mixed0"): 2.0, ("stable_rank", "opd_top25"): 1.5},
            ("contradicted", "supported"),
            ("supported", "supported"),
            "contradicted",
        ),
        (
            {("stable_rank", "opd_off_policy"): 1.105, ("stable_rank", "opd_mixed0"): 1.105},
            ("supported", "undetermined"),
            ("undetermined", "undetermined"),
            "contradicted",
        ),
        (
            {("gain", "opd_off_policy"): 0.1},
            ("supported", "contradicted"),
            ("supported", "contradicted"),
            "contradicted",
        ),
    ],
)
def test_what_is_preserved_counts_where_another_objective_does_not_preserve_it(
    changes, tokens, teacher, mixture
):
    runs = perturbed(changes)
    found = [(claim.verdict, claim.control) for claim in (sparsified(runs), off_policy(runs))]
    assert found == [tokens, teacher]
    assert (mixed(runs).verdict, mixed(runs).control) == (mixture, None)


def test_claims_come_back_from_their_file(tmp_path):
    figures = [
        Figure("a", 0.5, 0.25, 0.75, 5, "claim", True, ".5"),
        Figure("b", 1.0, role="control", holds=False),
        Figure("c", -1.0),
    ]
    claim = Claim("k", "It is so.", "somewhere", "Because.", figures)
    write_claims([claim], tmp_path / "claims.csv")
    (found,) = read_claims(tmp_path / "claims.csv")
    assert (found.verdict, found.control) == ("supported", "contradicted")
    assert found.figures[0] == figures[0]
    assert math.isnan(found.figures[1].low)
    assert found.figures[2].holds is None


def test_an_archive_is_the_same_bytes_and_comes_back(tmp_path):
    data = known({"stable_rank": (4.0, 3.0, 2.0, 3.0)})
    for name in ("a", "b"):
        write_archive(data, tmp_path / f"{name}.zarr.zip")
    assert (tmp_path / "a.zarr.zip").read_bytes() == (tmp_path / "b.zarr.zip").read_bytes()
    xr.testing.assert_equal(read_archive(tmp_path / "a.zarr.zip"), data)
    assert read_archive(tmp_path / "a.zarr.zip").sel(recipe="opd").sizes["run"] == 5
    (tmp_path / "a.zarr.zip").write_bytes((tmp_path / "b.zarr.zip").read_bytes()[:500])
    with pytest.raises(StoreError, match=r"a\.zarr\.zip was expected to hold recorded runs"):
        read_archive(tmp_path / "a.zarr.zip")
    with pytest.raises(StoreError, match="holds no recorded runs"):
        read_records(tmp_path)


@pytest.mark.slow
def test_a_study_is_recorded_and_its_claims_answered(tmp_path, capsys):
    scale = Scale(
        "short",
        LABORATORY.pretraining.shortened(steps=4, batch=8),
        tuple(recipe.shortened(steps=6, batch=8) for recipe in LABORATORY.recipes),
        checkpoints=2,
        problems=32,
    )
    study, folder = tmp_path / "study", tmp_path / "recorded"
    train_runs(study, 1, (*RECIPES, "opd_sampled"), scale=scale, dtypes=("bf16", "fp32"))
    found = record(study, folder)
    assert (found.rates, found.perturbed, found.sufficiency) == (None, None, None)
    told = (folder / "README.md").read_text()
    assert "seeds 0\n" in told
    assert "scale 'short'" in told
    xr.testing.assert_identical(read_records(folder).masters, found.masters)
    assert main([str(folder), "-o", str(tmp_path / "claims.csv")]) == 0
    assert "SFT moves farthest" in capsys.readouterr().out
    claims = {claim.key: claim for claim in read_claims(tmp_path / "claims.csv")}
    assert len(claims) == 10
    assert all(figure.n in (0, 1) for claim in claims.values() for figure in claim.figures)
    assert main([str(tmp_path), "-o", str(tmp_path / "none.csv")]) == 2


def test_the_picture_is_the_same_file_each_time(tmp_path):
    known = twins(lambda recipe, arm: 0.2)
    for name in ("a.svg", "b.svg"):
        draw_retained(known, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"</svg>" in (tmp_path / "a.svg").read_bytes()


def test_the_page_shows_what_the_records_say():
    records = read_records(RECORDED)
    shown = {claim.key: claim for claim in read_claims(ROOT / "docs" / "data" / "claims.csv")}
    without_walks = Records(
        masters=records.masters, sufficiency=records.sufficiency, perturbed=records.perturbed
    )
    found = [
        moves(records.published),
        *(order(records.published, each) for each in ORDERS),
        *ask(without_walks),
    ]
    for claim in found:
        assert (claim.verdict, claim.control) == (shown[claim.key].verdict, shown[claim.key].control)
        for ours, theirs in zip(claim.figures, shown[claim.key].figures, strict=True):
            assert ours.estimate == pytest.approx(theirs.estimate, rel=1e-4, abs=1e-7)
