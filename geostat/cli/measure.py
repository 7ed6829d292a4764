"""``geostat measure``."""

from typing import Any

import click

__all__ = ["measure"]


@click.command()
@click.argument("base")
@click.argument("checkpoints", nargs=-1, required=True)
@click.option("-o", "--output", required=True, help="The store to write, for example run.zarr.")
@click.option(
    "--matrices",
    multiple=True,
    help="attention, linear, all, or a glob on names; may be repeated.  [default: the protocol's]",
)
@click.option("--protocol", default="shen2026", show_default=True, help="Published convention to follow.")
@click.option("--horizon", type=int, help="Steps between past and next, where checkpoints are uneven.")
@click.option("--diagnostic", "diagnostics", multiple=True, help="Measure only this; may be repeated.")
@click.option(
    "--vectors",
    default="auto",
    show_default=True,
    help="Leading singular vectors: auto (1 GiB), all, none, or a number of bytes.",
)
@click.option("--training-steps", type=int, help="Length of training.  [default: the last step]")
@click.option("--strict/--no-strict", default=True, show_default=True, help="Is a missing matrix an error?")
@click.option("--trust", is_flag=True, help="Allow formats that need unpickling.")
@click.option("--checksum", is_flag=True, help="Put the SHA-256 of every input into the store.")
@click.option("--device", default="auto", show_default=True)
@click.option("--engine", type=click.Choice(["serial", "processes"]), default="serial", show_default=True)
@click.option("--workers", type=int, help="Processes for --engine processes.  [default: one per core]")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on from a journal or store.")
@click.option("--progress/--no-progress", default=True, show_default=True)
@click.option("--dry-run", is_flag=True, help="Say what would be done and what it would cost, then stop.")
def measure(
    base: str,
    checkpoints: tuple[str, ...],
    output: str,
    matrices: tuple[str, ...],
    protocol: str,
    horizon: int | None,
    diagnostics: tuple[str, ...],
    vectors: str,
    training_steps: int | None,
    strict: bool,
    trust: bool,
    dry_run: bool,
    **running: Any,
) -> None:
    """Measure every weight matrix of CHECKPOINTS against BASE and write a labelled store.

    BASE and CHECKPOINTS are files or folders of weights; CHECKPOINTS may be a quoted glob, such as
    'runs/opd-0/step-*'. A stopped measurement goes on where it was when the command is run again.
    """
    from geostat.protocols import protocol as find_protocol
    from geostat.trajectories import plan, run_plan

    convention = find_protocol(protocol)
    planned = plan(
        base,
        checkpoints[0] if len(checkpoints) == 1 else list(checkpoints),
        matrices=_one_or_many(matrices),
        protocol=convention if horizon is None else convention.replace(name=protocol, horizon=horizon),
        diagnostics=diagnostics or None,
        vectors=_vectors(vectors),
        training_steps=training_steps,
        strict=strict,
        trust=trust,
    )
    if dry_run:
        _show_plan(planned)
        return
    _hint_at_horizon(planned)
    dataset = run_plan(planned, store=output, **running)
    click.echo(
        f"{output}: {dataset.sizes['matrix']} matrices at {dataset.sizes['step']} checkpoints, "
        f"{len(planned.diagnostics)} diagnostics, protocol {planned.protocol.name}, storage {planned.storage}."
    )
    click.echo(f"See it with: geostat inspect {output}")


def _one_or_many(matrices: tuple[str, ...]) -> str | list[str] | None:
    if len(matrices) > 1:
        return list(matrices)
    return matrices[0] if matrices else None


def _vectors(given: str) -> bool | int | str:
    words: dict[str, bool | str] = {"auto": "auto", "all": True, "none": False}
    if given in words:
        return words[given]
    if not given.isdigit():
        raise click.BadParameter(
            f"{given!r} is not auto, all, none or a number of bytes.", param_hint="--vectors"
        )
    return int(given)


def _hint_at_horizon(planned: Any) -> None:
    if planned.horizon is None and len(planned.steps) > 1:
        click.echo(
            "The steps are uneven, so forward capture and its kin stay undefined. To have them, declare the "
            "distance between past and next, for example --horizon "
            f"{planned.steps[1] - planned.steps[0]}.",
            err=True,
        )


def _show_plan(planned: Any) -> None:
    from geostat.trajectories import estimate, estimate_seconds

    cost = estimate(planned)
    shapes = sorted({(ref.rows, ref.cols) for ref in planned.refs})
    rows = {
        "matrices": f"{len(planned.refs)}, shapes {', '.join(f'{m}x{n}' for m, n in shapes)}",
        "steps": ", ".join(str(step) for step in planned.steps),
        "protocol": f"{planned.protocol.name} ({planned.protocol.hash})",
        "storage": planned.storage,
        "diagnostics": str(len(planned.diagnostics)),
        "left out": ", ".join(planned.missing) or "nothing",
        "time": f"about {_duration(estimate_seconds(planned))} in one process, reading not counted",
        "memory": f"about {cost.memory_bytes / 2**20:.0f} MiB for each process",
        "disk": f"about {cost.disk_bytes / 2**20:.1f} MiB, twice that while the store is sealed",
    }
    for name, value in rows.items():
        click.echo(f"{name:>12}  {value}")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
