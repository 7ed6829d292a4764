"""Structure or rounding? Figures of real training as stored, under the null, through rounding, and as they were."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from geostat.checkpoints import Selection
from geostat.demo.structures.figures import merged
from geostat.demo.structures.gates import gate_figures
from geostat.demo.structures.latents import latent_figures
from geostat.demo.structures.rows import RunKey, StructureRow, append_rows, runs_in, start_file
from geostat.demo.structures.walks import walk_figures
from geostat.demo.structures.weights import halfway, matrices_of, weights_of
from geostat.errors import GeostatError, SampleError
from geostat.lab import Branch
from geostat.lab.branches import read_branch
from geostat.linalg import own_arithmetic

__all__ = ["MATRICES", "StructureRow", "main", "structure_or_rounding", "write_structure"]

MATRICES = ("*attention.query", "*attention.value")
"""Of every layer; all 12 of the demo's model take four times as long."""
RECIPES = ("sft", "opd", "rlvr")
_HALFWAY = "similarity_to_end"


def structure_or_rounding(
    studies: Sequence[str | os.PathLike[str]],
    *,
    recipes: tuple[str, ...] = RECIPES,
    seeds: int | None = None,
    matrices: Selection = MATRICES,
    without: Collection[RunKey] = (),
    rng: int = 0,
) -> Iterator[list[StructureRow]]:
    """Compare what bf16 files say of real runs with the fp32 masters that they were rounded from.

    Parameters
    ----------
    studies : sequence of path
        Written by `geostat.lab.train_runs` with ``dtypes=("bf16", "fp32")``, from the same base. A run that several
        hold (of one recipe, learning rate and seed) is taken from the first.
    recipes : tuple of str
        Which runs.
    seeds : int, optional
        How many of each; all by default.
    matrices : str, sequence of str or callable
        As in `geostat.measure`.
    without : collection of tuple
        Recipe, learning rate and seed of runs that are left out.
    rng : int
        Seed of nulls and estimates, the same for each matrix, so that a run's rows do not depend on other runs.

    Yields
    ------
    list of StructureRow
        Of one run: matrix by matrix, at the last checkpoint; similarities to it, at the last of the first half.

    Raises
    ------
    SampleError
        If the studies hold no such run in both storages.
    """
    chosen = [
        branch
        for branch in _branches([Path(study) for study in studies])
        if branch.recipe in recipes and (seeds is None or branch.seed < seeds)
    ]
    if not chosen:
        raise SampleError(
            f"{', '.join(map(str, studies))} hold no run of {', '.join(recipes)} in both bf16 and fp32. Train them "
            'with geostat.lab.train_runs(..., dtypes=("bf16", "fp32")).'
        )
    for branch in chosen:
        if _key(branch) not in without:
            yield _of_branch(branch, matrices, rng)


def _branches(studies: Sequence[Path]) -> list[Branch]:
    places = [each for study in studies for each in sorted(study.iterdir()) if each.is_dir()]
    read = [branch for branch in map(read_branch, places) if branch is not None]
    found: dict[RunKey, Branch] = {}
    for branch in read:
        if {"bf16", "fp32"} <= set(branch.dtypes):
            found.setdefault(_key(branch), branch)
    return list(found.values())


def _key(branch: Branch) -> RunKey:
    return branch.recipe, branch.settings.learning_rate, branch.seed


@own_arithmetic()
def _of_branch(branch: Branch, matrices: Selection, rng: int) -> list[StructureRow]:
    refs = matrices_of(branch, matrices)
    walks = walk_figures(branch, refs, rng=rng)
    end, middle = branch.saved_steps[-1], halfway([step for step in branch.saved_steps if step > 0])
    rows = []
    for ref in refs:
        weights = weights_of(branch, ref)
        figures = merged(gate_figures(weights, rng=rng), latent_figures(weights, rng=rng), walks[ref.name])
        for name, values in figures.items():
            step = middle if name.startswith(_HALFWAY) and middle is not None else end
            rows.append(StructureRow(*_key(branch), step, ref.name, name, rng, **values))
    return rows


def write_structure(
    studies: Sequence[str | os.PathLike[str]],
    path: str | os.PathLike[str],
    *,
    seeds: int | None = None,
    matrices: Selection = MATRICES,
    resume: bool = False,
    rng: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Write the rows of several studies to one CSV file, run by run.

    Parameters
    ----------
    studies, seeds, matrices, rng
        As in `structure_or_rounding`.
    path : path
        The file; replaced, unless it is resumed.
    resume : bool
        Keep what the file holds, and compute the runs that it lacks.
    report : callable
        Takes one line for each run.

    Raises
    ------
    SampleError
        As in `structure_or_rounding`; or if the file to be resumed holds something else.
    """
    there = resume and Path(path).exists()
    done = runs_in(path) if there else frozenset()
    found = structure_or_rounding(studies, seeds=seeds, matrices=matrices, without=done, rng=rng)
    began = time.process_time()
    for count, rows in enumerate(found):
        if not there and count == 0:
            start_file(path)
        append_rows(path, rows)
        recipe, rate, seed = rows[0].run
        report(
            f"{recipe}-{seed}, learning rate {rate:g}: {len(rows)} rows, {time.process_time() - began:.0f} s"
        )


def main(arguments: Sequence[str]) -> int:
    """Write the table: ``python -m geostat.demo.structure STUDY ... -o FILE``.

    Parameters
    ----------
    arguments : sequence of str
        Of the command.

    Returns
    -------
    int
        Exit code: 2 where the call is wrong.
    """
    parser = argparse.ArgumentParser(
        prog="python -m geostat.demo.structure",
        description="Compare what bf16 files say of real runs with the fp32 masters that they were rounded from.",
    )
    parser.add_argument("studies", nargs="+", metavar="STUDY", help="written by geostat.lab.train_runs")
    parser.add_argument("-o", "--output", required=True, help="CSV file")
    parser.add_argument("--seeds", type=int, help="runs of each recipe; all by default")
    parser.add_argument("--matrices", nargs="+", default=list(MATRICES), help="names or globs")
    parser.add_argument("--seed", type=int, default=0, help="of nulls and estimates")
    parser.add_argument("--resume", action="store_true", help="keep the runs that the file holds")
    asked = parser.parse_args(arguments)
    try:
        write_structure(
            asked.studies,
            asked.output,
            seeds=asked.seeds,
            matrices=asked.matrices,
            resume=asked.resume,
            rng=asked.seed,
            report=lambda line: print(line, flush=True),
        )
    except (GeostatError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
