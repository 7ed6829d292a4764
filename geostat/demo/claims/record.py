"""``python -m geostat.demo.claims.record STUDY FOLDER``: a study's folder -> recorded runs, with how they were made."""

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import xarray as xr

from geostat.demo.claims.records import Records, write_records
from geostat.demo.structures.weights import Weights, matrices_of, weights_of
from geostat.errors import GeostatError, StoreError
from geostat.lab import PERTURBATIONS, Branch, Sufficiency
from geostat.lab.branches import read_branch
from geostat.lab.laboratory import RATED
from geostat.lab.measuring import measured_runs
from geostat.lab.perturbation_study import UNPERTURBED, labelled
from geostat.nulls.gates.gate import gate_null
from geostat.nulls.gates.request import GateStatistic

__all__ = ["main", "record"]

RECIPES = ("sft", "opd", "rlvr", "continued_sft", UNPERTURBED)
OVERLAPS: tuple[GateStatistic, ...] = ("principal_mask_overlap", "low_magnitude_mask_overlap")
ALPHA = 0.3
PERMUTATIONS = 99
ANCHOR = "sft-0"
_LEFT_OUT = ("audit", "computed_on", "method", "residual")


def record(study: str | Path, folder: str | Path, *, workers: int = 1) -> Records:
    """Measure a study's runs, and write what its claims are computed from.

    Parameters
    ----------
    study : path
        Written by ``geostat lab``. Parts that it lacks are left out.
    folder : path
        Of the records; with study.json, the anchor's weights, and README.md on how they were made.
    workers : int
        Processes.

    Returns
    -------
    Records
        What was written.

    Raises
    ------
    StoreError
        If there are no finished runs.
    """
    study, folder = Path(study), Path(folder)
    branches = [
        each for path in sorted(study.iterdir()) if (each := read_branch(path)) and each.saved_steps[-1]
    ]
    if not branches:
        raise StoreError(f"{study} holds no finished run. Train some with geostat lab.")
    found = Records(
        published=_measured(study, branches, RECIPES, "bf16", workers),
        masters=_with_excess(_measured(study, branches, RECIPES, "fp32", workers), branches),
        rates=_measured(study, branches, [r.name for each in RATED.values() for r in each], "fp32", workers),
        perturbed=_perturbed(_measured(study, branches, [UNPERTURBED, *PERTURBATIONS], "bf16", workers)),
        sufficiency=Sufficiency.read(path) if (path := study / "sufficiency.csv").is_file() else None,
    )
    write_records(found, folder)
    shutil.copytree(study / ANCHOR / "master", folder / "anchor", dirs_exist_ok=True)
    shutil.copyfile(study / "study.json", folder / "study.json")
    (folder / "README.md").write_text(_told(branches, json.loads((study / "study.json").read_text())))
    return found


def _measured(
    study: Path, branches: Sequence[Branch], names: Sequence[str], dtype: str, workers: int
) -> xr.Dataset | None:
    """Runs of all these recipes; None where one was not trained."""
    chosen = [each for each in branches if each.recipe in names and dtype in each.dtypes]
    if {each.recipe for each in chosen} != set(names):
        return None
    runs = measured_runs(chosen, study / f"stores-{dtype}", dtype=dtype, workers=workers)
    return runs.drop_vars([name for name in _LEFT_OUT if name in runs])


def _perturbed(runs: xr.Dataset | None) -> xr.Dataset | None:
    return None if runs is None else labelled(runs)


def _with_excess(runs: xr.Dataset | None, branches: Sequence[Branch]) -> xr.Dataset | None:
    """Overlaps at the end, less those of the same update with rows and columns permuted."""
    if runs is None:
        return None
    of_run = {each.directory.name: each for each in branches}
    names = [str(name) for name in runs["matrix"].values]
    values = np.array([_excess(of_run[str(run)], names) for run in runs["run"].values])
    attrs = {"units": "1", "long_name": f"excess over permuted rows and columns, alpha {ALPHA}"}
    return runs.assign(
        {f"{name}_excess": (("run", "matrix"), values[:, :, i], attrs) for i, name in enumerate(OVERLAPS)}
    )


def _excess(branch: Branch, names: Sequence[str]) -> list[list[float]]:
    refs = {ref.name: ref for ref in matrices_of(branch, "linear")}
    return [_of_matrix(weights_of(branch, refs[name])) for name in names]


def _of_matrix(weights: Weights) -> list[float]:
    """NaN where nothing moved, as in RLVR without any reward."""
    if weights.trained.minus(weights.initial).is_zero:
        return [np.nan] * len(OVERLAPS)
    return [
        float(
            gate_null(
                weights.initial,
                weights.trained,
                statistic=each,
                method="permutation",
                alpha=ALPHA,
                n=PERMUTATIONS,
            ).excess
        )
        for each in OVERLAPS
    ]


def _told(branches: Sequence[Branch], settings: dict[str, object]) -> str:
    """How the records were made: commands, runs, versions, machine."""
    recipes = sorted({each.recipe for each in branches})
    seeds = sorted({each.seed for each in branches})
    seconds = sum(each.seconds for each in branches)
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "scipy", "xarray", "zarr"))
    return f"""# Recorded runs of the laboratory

Made by

    geostat lab recipes --seeds {len(seeds)} --out STUDY
    geostat lab sufficiency --seeds {len(seeds)} --out STUDY
    geostat lab perturbations --seeds {len(seeds)} --out STUDY
    python -m geostat.demo.claims.record STUDY fixtures/laboratory
    python -m geostat.demo.claims fixtures/laboratory -o docs/data/claims.csv -p docs/data/retained.svg

- scale {settings["scale"]!r}, settings in study.json; seeds {", ".join(map(str, seeds))}
- recipes: {", ".join(recipes)}
- {len(branches)} runs, {seconds / 3600:.1f} hours of training on one core each, twins not counted
- Python {platform.python_version()}, {packages}
- {platform.machine()}, {os.cpu_count()} cores, one thread a run, no accelerator
- `anchor`: the weights of {ANCHOR} at its end, in fp32
"""


def main(arguments: Sequence[str]) -> int:
    """Record a study.

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
        prog="python -m geostat.demo.claims.record", description="Record a study of the laboratory."
    )
    parser.add_argument("study", help="folder of geostat lab")
    parser.add_argument("folder", help="of the records")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    asked = parser.parse_args(arguments)
    try:
        record(asked.study, asked.folder, workers=asked.workers)
    except (GeostatError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
