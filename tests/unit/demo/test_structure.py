"""What bf16 files say of real runs, beside the masters that they were rounded from."""

import csv
from dataclasses import replace
from functools import partial

import pytest

from geostat.demo.structure import main, structure_or_rounding, write_structure
from geostat.demo.structures.rows import append_rows, runs_in, start_file
from geostat.demo.structures.studies import train_studies
from geostat.errors import SampleError
from geostat.lab import train_runs
from geostat.lab.branches import read_branch
from geostat.lab.recipes import PRETRAINING, RECIPES, Scale
from geostat.nulls.latents.update import latent_update

TINY = Scale(
    "tiny",
    PRETRAINING.shortened(steps=4, batch=8),
    tuple(recipe.shortened(steps=4, batch=4) for recipe in RECIPES.values()),
    checkpoints=2,
    problems=32,
)
QUERY = "blocks.0.attention.query"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    place = tmp_path_factory.mktemp("study")
    train_runs(place, 1, ("sft",), scale=TINY, dtypes=("bf16", "fp32"))
    return place


@pytest.fixture(scope="module")
def rows(study):
    short = partial(latent_update, n_draws=10, n_rehearsals=1, max_rank=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("geostat.demo.structures.latents.latent_update", short)
        (run,) = structure_or_rounding([study], matrices=QUERY)
    return run


def figure(rows, name):
    (found,) = (row for row in rows if row.figure == name)
    return found


def test_masters_move_where_their_files_stand_still(rows):
    sparsity = figure(rows, "update_sparsity")
    assert sparsity.true < sparsity.observed


def test_the_norm_before_rounding_is_that_of_the_masters(rows):
    norm = figure(rows, "update_norm")
    assert abs(norm.latent - norm.true) < 0.02 * norm.true


@pytest.mark.parametrize("name", ["low_magnitude_mask_overlap", "principal_mask_overlap"])
def test_overlaps_of_a_short_training_are_those_of_an_update_that_ignores_the_start(rows, name):
    row = figure(rows, name)
    assert abs(row.observed - row.null) < 0.1
    assert abs(row.true_excess) < 0.1


@pytest.mark.parametrize("side", ["left", "right"])
def test_similarity_halfway_stands_beside_its_walk_its_masters_and_its_estimate(rows, side):
    row = figure(rows, f"similarity_to_end_{side}")
    end = figure(rows, "stable_rank").step
    assert row.step == end / 2
    assert 16 / 128 < row.null < 1  # a walk is nearer to its end than chance
    assert row.latent is not None or row.reason
    assert 0 < row.observed < 1
    assert 0 < row.true < 1


def test_a_walk_has_a_far_higher_stable_rank_than_training(rows):
    row = figure(rows, "stable_rank")
    assert row.null > 20  # of 128 x 128 independent entries: about 128 / 4
    assert row.true_excess < row.true - 20


def test_a_file_is_resumed_where_it_ends(study, tmp_path, rows):
    path = tmp_path / "structure.csv"
    start_file(path)
    append_rows(path, rows)
    before = path.read_text()
    lines = []
    write_structure([study], path, matrices=QUERY, resume=True, report=lines.append)
    assert lines == []
    assert path.read_text() == before
    assert runs_in(path) == {rows[0].run}


def test_what_is_written_is_what_was_computed(tmp_path, rows):
    path = tmp_path / "structure.csv"
    start_file(path)
    append_rows(path, [replace(rows[0], reason="a reason, with a comma")])
    with path.open(newline="") as file:
        (record,) = csv.DictReader(file)
    assert float(record["observed"]) == rows[0].observed
    assert record["reason"] == "a reason, with a comma"


def test_a_file_of_other_columns_is_not_resumed(study, tmp_path, capsys):
    path = tmp_path / "other.csv"
    path.write_text("study,recipe\n")
    assert main([str(study), "-o", str(path), "--resume"]) == 2
    assert "cannot be continued" in capsys.readouterr().err
    assert path.read_text() == "study,recipe\n"


def test_a_run_that_two_studies_hold_is_read_once(study, monkeypatch):
    monkeypatch.setattr("geostat.demo.structure._of_branch", lambda branch, *_: [branch.directory])
    assert len(list(structure_or_rounding([study, study]))) == 1


def test_a_study_without_masters_is_refused(tmp_path):
    train_runs(tmp_path, 1, ("sft",), scale=TINY)
    with pytest.raises(SampleError, match="fp32"):
        next(structure_or_rounding([tmp_path]))


def test_studies_differ_in_the_learning_rate_of_what_follows_sft(tmp_path):
    studies = train_studies(tmp_path, 1, scale=TINY, rates=(1e-4, 1e-5))
    read = {
        (study.name, name): read_branch(study / name) for study in studies for name in ("sft-0", "rlvr-0")
    }
    rates = {key: branch.settings.learning_rate for key, branch in read.items()}
    assert (rates["lr0.0001", "rlvr-0"], rates["lr1e-05", "rlvr-0"]) == (1e-4, 1e-5)
    assert rates["lr0.0001", "sft-0"] == rates["lr1e-05", "sft-0"]
