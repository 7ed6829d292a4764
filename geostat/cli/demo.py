"""``geostat demo``."""

import os

import click

__all__ = ["demo"]


@click.command()
@click.option(
    "--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Runs of each recipe."
)
@click.option("--out", default="geostat-demo", show_default=True, help="Folder for everything it writes.")
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Processes.")
@click.option("--retrain-teacher", is_flag=True, help="Train the teacher anew (about 3 minutes).")
@click.option("--progress/--no-progress", default=True, show_default=True)
def demo(seeds: int, out: str, workers: int, retrain_teacher: bool, progress: bool) -> None:
    """Train small SFT, OPD and RLVR runs, measure them, and sum them up with intervals.

    Real training on this machine, offline: a few minutes the first time, seconds afterwards.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from geostat.demo import run_demo

    found = run_demo(out, seeds=seeds, workers=workers, retrain_teacher=retrain_teacher, progress=progress)
    click.echo(f"\n{found.summary.table.to_text()}\n")
    click.echo(_wrapped(found.summary.paragraph))
    click.echo("\nWritten:")
    for what, path in found.files.items():
        click.echo(f"  {what:<12}{path}")
    store = next(iter(sorted(found.files["stores"].glob("*.zarr"))))
    click.echo(f"\nLook into a store with: geostat inspect {store}")


def _wrapped(text: str) -> str:
    return click.wrap_text(text, width=100)
