"""``geostat nulls``."""

import sys
from typing import Any

import click

__all__ = ["nulls"]


@click.command()
@click.argument("run")
@click.option("--base", help="Where the weights of the start lie now.  [default: where they were measured]")
@click.option(
    "--checkpoints",
    multiple=True,
    help="Where the checkpoints lie now; a quoted glob, or repeated.  [default: where they were measured]",
)
@click.option("-o", "--output", help="Write the dataset there, for example run-nulls.zarr; resumable.")
@click.option(
    "--statistic",
    "statistics",
    multiple=True,
    help="Null of this only; may be repeated.  [default: sparsity and overlaps]",
)
@click.option(
    "--method",
    type=click.Choice(["law-free", "law", "permutation", "strata"]),
    default="law-free",
    show_default=True,
    help="What the gate null rests on.",
)
@click.option("--matrices", multiple=True, help="attention, linear, all, or a glob; may be repeated.")
@click.option("--steps", help="Checkpoints, such as 63,127 or last.  [default: all]")
@click.option("--floors/--no-floors", default=None, help="Noise floors.  [default: where stored in 16 bits]")
@click.option("--latent", is_flag=True, help="Estimate figures before rounding too: minutes for each matrix.")
@click.option("--draws", "n", type=int, default=999, show_default=True, help="Draws behind a p-value.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--trust", is_flag=True, help="Allow formats that need unpickling.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on from finished matrices.")
@click.option("--progress/--no-progress", default=True, show_default=True)
def nulls(
    run: str,
    base: str | None,
    checkpoints: tuple[str, ...],
    output: str | None,
    statistics: tuple[str, ...],
    matrices: tuple[str, ...],
    steps: str | None,
    seed: int,
    **asked: Any,
) -> None:
    """Say what rounding alone would give, for every matrix of the measured RUN.

    RUN is a store that geostat measure wrote; it names the weights that it was measured from. The table averages
    over matrices as the diagnostics are averaged, at the last of the steps.
    """
    from geostat.nulls.whole_runs.loop import run_nulls
    from geostat.nulls.whole_runs.table import run_nulls_table
    from geostat.trajectories import open_trajectory

    measured = open_trajectory(run)
    wanted = _steps(steps, measured["step"].values.tolist())
    try:
        found = run_nulls(
            base,
            _one_or_many(checkpoints),
            store=measured,
            statistics=statistics or None,
            matrices=_one_or_many(matrices),
            steps=wanted,
            output=output,
            rng=seed,
            **asked,
        )
    except KeyboardInterrupt:
        if output is not None:
            raise
        click.echo(
            "\nStopped. Nothing was kept: with -o finished matrices are, and the next call goes on.", err=True
        )
        sys.exit(130)
    click.echo(run_nulls_table(found, measured).to_text())
    if output is not None:
        click.echo(f"\n{output} written. Join it with: run.assign(nulls.data_vars)")


def _one_or_many(given: tuple[str, ...]) -> str | list[str] | None:
    if len(given) > 1:
        return list(given)
    return given[0] if given else None


def _steps(given: str | None, known: list[int]) -> list[int] | None:
    if given is None:
        return None
    words = [word.strip() for word in given.split(",")]
    if not all(word == "last" or word.isdecimal() for word in words):
        raise click.BadParameter(
            f"{given!r} is no list of steps, such as 63,127 or last.", param_hint="--steps"
        )
    return [known[-1] if word == "last" else int(word) for word in words]
