"""``geostat seal``."""

import click

__all__ = ["seal"]


@click.command()
@click.argument("store")
def seal(store: str) -> None:
    """Join the shares of a measurement (measure --shard) into the store STORE."""
    from geostat.trajectories import seal as join

    dataset = join(store)
    click.echo(f"{store}: {dataset.sizes['matrix']} matrices at {dataset.sizes['step']} checkpoints.")
    click.echo(f"See it with: geostat inspect {store}")
