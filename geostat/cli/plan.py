"""``geostat plan``."""

import textwrap
from typing import Any

import click

__all__ = ["plan", "show_plan"]


@click.command()
@click.argument("base")
@click.argument("checkpoints", nargs=-1, required=True)
@click.option(
    "--matrices", multiple=True, help="attention, linear, all, or a glob on names; may be repeated."
)
@click.option("--protocol", default="shen2026", show_default=True, help="Published convention to follow.")
@click.option("--horizon", type=int, help="Steps between past and next, where checkpoints are uneven.")
@click.option("--diagnostic", "diagnostics", multiple=True, help="Only this; may be repeated.")
@click.option("--strict/--no-strict", default=True, show_default=True, help="Is a missing matrix an error?")
@click.option("--trust", is_flag=True, help="Allow formats that need unpickling.")
@click.option("--device", default="auto", show_default=True)
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes.")
@click.option("--budget", metavar="TIME", help="What it may take: 2h, 1h30m, 90m, 45s.")
def plan(
    base: str,
    checkpoints: tuple[str, ...],
    matrices: tuple[str, ...],
    protocol: str,
    horizon: int | None,
    diagnostics: tuple[str, ...],
    strict: bool,
    trust: bool,
    device: str,
    workers: int,
    budget: str | None,
) -> None:
    """Say what measuring CHECKPOINTS against BASE would cost under every tier, on this machine.

    A few pieces of the weights are measured, which takes seconds; nothing is written.
    """
    from geostat.protocols import protocol as find_protocol
    from geostat.trajectories import plan as make_plan
    from geostat.trajectories.durations import seconds_of

    convention = find_protocol(protocol)
    seconds = None if budget is None else seconds_of(budget)
    planned = make_plan(
        base,
        checkpoints[0] if len(checkpoints) == 1 else list(checkpoints),
        matrices=(list(matrices) if len(matrices) > 1 else matrices[0]) if matrices else None,
        protocol=convention if horizon is None else convention.replace(name=protocol, horizon=horizon),
        diagnostics=diagnostics or None,
        strict=strict,
        trust=trust,
    )
    show_plan(planned, workers=workers, budget=seconds, device=device)


def show_plan(
    planned: Any, *, workers: int = 1, budget: float | None = None, device: str = "cpu", only: bool = False
) -> None:
    """Print what a measurement is, and what it costs.

    Parameters
    ----------
    planned : Plan
        The measurement.
    workers : int
        Processes of one thread each.
    budget : float, optional
        Seconds that it may take.
    device : str
        Where the arithmetic will run.
    only : bool
        Whether to show the plan's own tier alone.
    """
    from geostat.trajectories.cost_table import cost_table
    from geostat.trajectories.durations import duration

    shapes = sorted({(ref.rows, ref.cols) for ref in planned.refs})
    rows = {
        "matrices": f"{len(planned.refs)}, shapes {', '.join(f'{m}x{n}' for m, n in shapes)}",
        "steps": ", ".join(str(step) for step in planned.steps),
        "protocol": f"{planned.protocol.name} ({planned.protocol.hash})",
        "storage": planned.storage,
        "left out": ", ".join(planned.missing) or "nothing",
    }
    table = cost_table(planned, workers=workers, budget=budget, device=device)
    for name, value in (rows | (_own_tier(table) if only else {})).items():
        click.echo(f"{name:>10}  {value}")
    if not only:
        click.echo(f"\n{table}")
    reading = duration(table.tiers[-1].forecast.reading)
    note = (
        f"Times are of processes of one thread, each on a core of its own. Reading all weights takes {reading}, most "
        "of it while other matrices are computed. Memory is of each process, without libraries and weights that are "
        "only mapped. While it is sealed a store needs its disk twice."
    )
    click.echo(f"\n{textwrap.fill(note, 79)}")


def _own_tier(table: Any) -> dict[str, str]:
    """What the dearest tier of a table costs, line by line."""
    from geostat.trajectories.durations import duration

    chosen = table.tiers[-1]
    parallel = "" if table.workers == 1 else f", {duration(table.seconds(chosen))} in {table.workers}"
    return {
        "tier": f"{chosen.tier}, {len(chosen.plan.diagnostics)} diagnostics",
        "time": f"{duration(chosen.forecast.seconds())} in one process{parallel}",
        "memory": f"about {chosen.cost.memory_bytes / 2**20:.0f} MiB for each process",
        "disk": f"about {chosen.cost.disk_bytes / 2**20:.1f} MiB",
    }
