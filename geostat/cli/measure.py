"""``geostat measure``."""

import json
from typing import Any

import click

from geostat.cli.plan import show_plan

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
@click.option(
    "--tier",
    type=click.Choice(["exact", "angles", "top", "elementwise"]),
    default="exact",
    show_default=True,
    help="What it may cost; cheaper tiers measure fewer diagnostics.",
)
@click.option("--budget", metavar="TIME", help="Take the richest tier that fits 2h, 1h30m, 90m, 45s.")
@click.option(
    "--io",
    type=click.Choice(["mmap", "read"]),
    default="mmap",
    show_default=True,
    help="Map weights into memory, or read them into buffers (network disks).",
)
@click.option(
    "--engine",
    default="serial",
    show_default=True,
    help="serial, processes, dask, or the address of a dask scheduler (tcp://host:8786).",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes of the engine.  [default: one per core or accelerator]",
)
@click.option(
    "--shard", metavar="I/N", help="Measure the I-th of N shares only; join them with geostat seal."
)
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
    tier: Any,
    budget: str | None,
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
        tier=tier,
    )
    workers = running["workers"] or 1
    if budget is not None:
        planned = _richest(planned, budget, workers)
    if dry_run:
        show_plan(planned, workers=workers, device=running["device"], only=True)
        return
    _hint_at_horizon(planned)
    dataset = run_plan(planned, store=output, **running)
    if "shard" in dataset.attrs:
        _report_share(output, dataset)
        return
    click.echo(
        f"{output}: {dataset.sizes['matrix']} matrices at {dataset.sizes['step']} checkpoints, "
        f"{len(planned.diagnostics)} diagnostics, protocol {planned.protocol.name}, storage {planned.storage}."
    )
    click.echo(f"See it with: geostat inspect {output}")


def _richest(planned: Any, budget: str, workers: int) -> Any:
    from geostat.errors import ProtocolError
    from geostat.trajectories import richest_within
    from geostat.trajectories.durations import seconds_of

    chosen, table = richest_within(planned, seconds_of(budget), workers=workers)
    if chosen is None:
        raise ProtocolError(table.advice)
    click.echo(f"tier {chosen.tier}: the richest that fits {budget}.", err=True)
    return chosen


def _report_share(output: str, dataset: Any) -> None:
    missing = json.loads(dataset.attrs["missing"])
    click.echo(
        f"share {dataset.attrs['shard']}: {dataset.sizes['matrix']} matrices are in the journal of {output}."
    )
    if missing:
        click.echo(f"{len(missing)} matrices of other shares are missing still, {missing[0]} for one.")
    else:
        click.echo(f"Nothing is missing. Join the shares with: geostat seal {output}")


def _one_or_many(matrices: tuple[str, ...]) -> str | list[str] | None:
    if len(matrices) > 1:
        return list(matrices)
    return matrices[0] if matrices else None


def _vectors(given: str) -> bool | int | str:
    words: dict[str, bool | str] = {"auto": "auto", "all": True, "none": False}
    if given in words:
        return words[given]
    if not given.isdecimal():
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
