import json
import subprocess
import sys
from dataclasses import fields

import pytest

from geostat.errors import SampleError
from geostat.statistics import at_least
from geostat.statistics.plans.analysis import Analysis
from geostat.statistics.plans.frozen import FrozenAnalysis

DECLARED = {
    "metrics": ["stable_rank", "update_sparsity"],
    "contrasts": [("opd", "rlvr")],
    "margins": {"stable_rank": 2.0, "update_sparsity": 0.01},
    "level": 0.95,
    "references": {"full-space": "sft", "sparse": "rlvr"},
    "lock_reference": at_least(0.5),
    "settings": {"compare": {"paired": True}},
}

CHANGED = {
    "metrics": ["stable_rank", "update_sparsity", "update_norm"],
    "contrasts": [("opd", "sft")],
    "margins": {"stable_rank": 2.5, "update_sparsity": 0.01},
    "level": 0.9,
    "scale": "log",
    "weighting": "matrix",
    "dim": None,
    "sample_dim": "replicate",
    "references": {"full-space": "sft", "sparse": "mine"},
    "lock_reference": at_least(0.6),
    "lock_margin": 0.1,
    "persistence": 0.3,
    "settings": {"compare": {"paired": False}},
}


def frozen(**changes):
    return Analysis(**(DECLARED | changes)).freeze()


def test_the_same_plan_has_the_same_hash_in_another_process():
    code = (
        "from geostat.statistics.locking.bands import at_least\n"
        "from geostat.statistics.plans.analysis import Analysis\n"
        "plan = Analysis(settings={'compare': {'paired': True}}, lock_reference=at_least(0.5),\n"
        "    references={'sparse': 'rlvr', 'full-space': 'sft'}, level=0.95,\n"
        "    margins={'update_sparsity': 0.01, 'stable_rank': 2}, contrasts=(('opd', 'rlvr'),),\n"
        "    metrics=('update_sparsity', 'stable_rank'))\n"
        "print(plan.freeze().hash)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == frozen().hash


@pytest.mark.parametrize("name", [entry.name for entry in fields(Analysis) if entry.name != "boundaries"])
def test_any_changed_field_changes_the_hash(name):
    assert name in CHANGED
    assert frozen(**{name: CHANGED[name]}).hash != frozen().hash


def test_boundaries_count_by_their_content_and_not_by_their_place(tmp_path):
    text = (
        'version = "1"\nregimes = ["a", "b"]\n[metrics.stable_rank]\ndirection = "decreasing"\ncuts = [{}]\n'
    )
    paths = [tmp_path / name for name in ("one.toml", "two.toml", "three.toml")]
    for path, cut in zip(paths, (20, 20, 21), strict=True):
        path.write_text(text.format(cut))
    one, two, three = (frozen(references={}, boundaries=str(path)).hash for path in paths)
    assert one == two
    assert (
        len({one, three, frozen(references={}).hash, frozen(references={}, boundaries="published").hash}) == 4
    )


def test_equal_numbers_of_other_types_are_one_plan():
    import numpy as np

    assert frozen(
        level=np.float64(0.95), margins={"stable_rank": 2, "update_sparsity": np.float32(0.5)}
    ) == frozen(margins={"stable_rank": 2.0, "update_sparsity": 0.5})


def test_the_hash_covers_the_methods_behind_the_names():
    plan = frozen()
    other = FrozenAnalysis(plan.analysis, dict(plan.choices) | {"mean": "another interval"})
    assert other.hash != plan.hash


def test_the_time_of_freezing_is_told_and_not_hashed():
    plan = frozen()
    later = FrozenAnalysis(plan.analysis, plan.choices, "2031-01-01T00:00:00+00:00")
    assert later == plan
    assert hash(later) == hash(plan)
    assert "frozen 2031" in str(later)


def test_json_round_trip_keeps_plan_and_hash():
    plan = frozen()
    again = FrozenAnalysis.from_json(plan.to_json())
    assert again.hash == plan.hash
    assert again.analysis.lock_reference == at_least(0.5)
    assert again.analysis.contrasts == (("opd", "rlvr"),)
    assert again.to_json() == plan.to_json()


@pytest.mark.parametrize(
    "edit",
    [
        lambda record: record["analysis"].update(level=0.9),
        lambda record: record["analysis"]["margins"].update(stable_rank=3.0),
        lambda record: record["analysis"]["metrics"].append("update_norm"),
        lambda record: record["choices"].update(mean="percentile bootstrap"),
        lambda record: record.update(hash="0" * 12),
    ],
)
def test_an_edited_plan_is_refused(edit):
    record = json.loads(frozen().to_json())
    edit(record)
    with pytest.raises(SampleError, match="edited after it was frozen"):
        FrozenAnalysis.from_json(json.dumps(record))


def test_text_that_is_no_plan_is_refused():
    with pytest.raises(SampleError, match="not JSON"):
        FrozenAnalysis.from_json("{")
    with pytest.raises(SampleError, match="no frozen plan"):
        FrozenAnalysis.from_json("[]")
    record = json.loads(frozen().to_json())
    with pytest.raises(SampleError, match="schema version 9"):
        FrozenAnalysis.from_json(json.dumps(record | {"schema_version": 9}))
    del record["analysis"]["level"]
    with pytest.raises(SampleError, match="other fields"):
        FrozenAnalysis.from_json(json.dumps(record))


def test_a_plan_does_not_change_after_it_was_made():
    margins = {"stable_rank": 2.0}
    plan = Analysis(metrics=["stable_rank"], margins=margins)
    before = plan.freeze().hash
    margins["stable_rank"] = 5.0
    assert plan.freeze().hash == before
    with pytest.raises(TypeError):
        plan.margins["stable_rank"] = 5.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": []}, "declares nothing"),
        ({"metrics": "stable_rank"}, "declares nothing"),
        ({"contrasts": [("opd",)]}, "pair of recipes"),
        ({"contrasts": ["ab"]}, "pair of recipes"),
        ({"margins": {"absent": 1.0}}, "not among the declared metrics"),
        ({"margins": {"stable_rank": float("nan")}}, "Give a number"),
        ({"level": 95}, "no confidence level"),
        ({"persistence": 1.5}, "no share of training"),
        ({"boundaries": "published"}, "Declare one"),
    ],
)
def test_plans_that_declare_nothing_are_refused(changes, message):
    with pytest.raises(SampleError, match=message):
        Analysis(**(DECLARED | changes))


def test_what_cannot_be_written_down_cannot_be_declared():
    with pytest.raises(SampleError, match="cannot be part of a plan"):
        frozen(settings={"bootstrap_ci": {"statistic": len}})
