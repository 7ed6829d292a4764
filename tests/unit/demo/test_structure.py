"""What bf16 files say of real runs, beside the masters that they were rounded from."""

from itertools import islice

import pytest

from geostat.demo.structure import structure_or_rounding
from geostat.errors import SampleError
from geostat.lab import train_runs
from geostat.lab.recipes import PRETRAINING, RECIPES, Scale

TINY = Scale(
    "tiny",
    PRETRAINING.shortened(steps=4, batch=8),
    tuple(recipe.shortened(steps=4, batch=4) for recipe in RECIPES.values()),
    checkpoints=2,
    problems=32,
)


def test_every_figure_of_a_matrix_stands_beside_its_truth(tmp_path):
    train_runs(tmp_path, 1, ("sft",), scale=TINY, dtypes=("bf16", "fp32"))
    rows = {row.figure: row for row in islice(structure_or_rounding(tmp_path), 7)}
    assert len({row.matrix for row in rows.values()}) == 1
    assert rows["update_sparsity"].true < rows["update_sparsity"].observed  # masters move below half an ulp
    norm = rows["update_norm"]
    assert abs(norm.latent - norm.true) < 0.02 * norm.true
    for name in ("low_magnitude_mask_overlap", "principal_mask_overlap"):
        assert abs(rows[name].observed - rows[name].null) < 0.1
        assert abs(rows[name].true_excess) < 0.1
    assert 0 < rows["similarity_to_true_channel_left"].observed <= 1


def test_a_study_without_masters_is_refused(tmp_path):
    train_runs(tmp_path, 1, ("sft",), scale=TINY)
    with pytest.raises(SampleError, match="fp32"):
        next(structure_or_rounding(tmp_path))
