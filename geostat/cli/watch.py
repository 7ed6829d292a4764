"""``geostat watch``."""

from typing import Any

import click

__all__ = ["watch"]


@click.command()
@click.argument("base")
@click.argument("folder")
@click.option("-o", "--output", required=True, help="The store to write in the end, for example run.zarr.")
@click.option("--until", type=click.IntRange(min=1), help="End once this step is measured.")
@click.option("--idle", metavar="TIME", help="End when nothing has changed for so long: 30m, 1h30m, 0s.")
@click.option("--interval", default="10s", show_default=True, metavar="TIME", help="Time between two looks.")
@click.option(
    "--settle",
    metavar="TIME",
    help="How long the files of a checkpoint must not change.  [default: the interval]",
)
@click.option(
    "--matrices", multiple=True, help="attention, linear, all, or a glob on names; may be repeated."
)
@click.option("--protocol", default="shen2026", show_default=True, help="Published convention to follow.")
@click.option("--horizon", type=int, help="Steps between past and next, where checkpoints are uneven.")
@click.option("--diagnostic", "diagnostics", multiple=True, help="Measure only this; may be repeated.")
@click.option("--vectors", type=click.Choice(["auto", "all", "none"]), default="auto", show_default=True)
@click.option("--training-steps", type=int, help="Length of training.  [default: the last step]")
@click.option(
    "--tier", type=click.Choice(["exact", "angles", "top", "elementwise"]), default="exact", show_default=True
)
@click.option("--strict/--no-strict", default=True, show_default=True, help="Is a missing matrix an error?")
@click.option("--trust", is_flag=True, help="Allow formats that need unpickling.")
@click.option("--device", default="auto", show_default=True)
@click.option("--progress/--no-progress", default=True, show_default=True)
def watch(
    base: str,
    folder: str,
    output: str,
    matrices: tuple[str, ...],
    protocol: str,
    horizon: int | None,
    diagnostics: tuple[str, ...],
    vectors: str,
    **running: Any,
) -> None:
    """Measure checkpoints as they appear in FOLDER, against BASE, and write a labelled store in the end.

    Checkpoints may be deleted once they are measured. Without --until or --idle the watch goes on until it
    is stopped; the same command goes on with it, and --idle 0s seals the store with what is there.
    """
    from geostat.protocols import protocol as find_protocol
    from geostat.trajectories import watch as follow

    convention = find_protocol(protocol)
    words: dict[str, bool | str] = {"auto": "auto", "all": True, "none": False}
    dataset = follow(
        base,
        folder,
        store=output,
        matrices=(list(matrices) if len(matrices) > 1 else matrices[0]) if matrices else None,
        protocol=convention if horizon is None else convention.replace(name=protocol, horizon=horizon),
        diagnostics=diagnostics or None,
        vectors=words[vectors],
        **running,
    )
    click.echo(f"{output}: {dataset.sizes['matrix']} matrices at {dataset.sizes['step']} checkpoints.")
    click.echo(f"See it with: geostat inspect {output}")
