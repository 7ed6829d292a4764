"""The studies of "Structure or rounding?": the demo at learning rates from which bf16 hides little, some and much."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from geostat.lab import DEMO, Scale, train_runs

__all__ = ["RATES", "main", "scale_at", "train_studies"]

RATES = (1e-4, 1e-5, 3e-6)
"""Of OPD and RLVR, the demo's own first; SFT, from whose end they start, keeps its own."""


def scale_at(rate: float, scale: Scale = DEMO) -> Scale:
    """Recipes at another learning rate, all but SFT.

    Parameters
    ----------
    rate : float
        Learning rate.
    scale : Scale
        Everything else.

    Returns
    -------
    Scale
        Named by the rate.
    """
    recipes = (each if each.name == "sft" else each.shortened(learning_rate=rate) for each in scale.recipes)
    return replace(scale, name=f"lr{rate:g}", recipes=tuple(recipes))


def train_studies(
    out: Path,
    seeds: int = 2,
    *,
    scale: Scale = DEMO,
    rates: Sequence[float] = RATES,
    report: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Train SFT, OPD and RLVR at each rate, in bf16 and fp32; what is finished is reused.

    Parameters
    ----------
    out : path
        Folder of the studies.
    seeds : int
        Runs of each recipe.
    scale : Scale
        Everything but the learning rate.
    rates : sequence of float
        Of OPD and RLVR.
    report : callable
        Takes one line for each run.

    Returns
    -------
    list of path
        One study for each rate.
    """
    studies = []
    for rate in rates:
        studies.append(out / f"lr{rate:g}")
        found = train_runs(
            studies[-1], seeds, ("sft", "opd", "rlvr"), scale=scale_at(rate, scale), dtypes=("bf16", "fp32")
        )
        for branch in found:
            report(f"{branch.directory}: accuracy {branch.start.expected:.3f} to {branch.end.expected:.3f}")
    return studies


def main(arguments: Sequence[str]) -> int:
    """Train the studies: ``python -m geostat.demo.structures.studies FOLDER``.

    Parameters
    ----------
    arguments : sequence of str
        The folder.

    Returns
    -------
    int
        Exit code: 2 where the call is wrong.
    """
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m geostat.demo.structures.studies FOLDER", file=sys.stderr)
        return 2
    train_studies(Path(arguments[0]), report=lambda line: print(line, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
