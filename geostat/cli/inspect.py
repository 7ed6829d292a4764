"""``geostat inspect`` and ``geostat csv``: looking into a store."""

import json
import warnings
from typing import Any

import click

from geostat.errors import GeostatWarning

__all__ = ["csv", "inspect"]


@click.command()
@click.argument("store")
def inspect(store: str) -> None:
    """Say what a STORE (or an unfinished measurement) holds, and whether it is whole."""
    from geostat.trajectories import open_trajectory, validate

    dataset = open_trajectory(store)
    steps = [int(step) for step in dataset["step"].values]
    attrs = dataset.attrs
    made = json.loads(attrs.get("provenance", "{}"))
    rows = {
        "store": f"{store}{'' if attrs.get('complete', 1) else _unfinished(attrs)}",
        "protocol": f"{attrs['protocol']} ({attrs['protocol_hash']})",
        "storage": attrs["storage"],
        "steps": ", ".join(map(str, steps)) + f" of {attrs['training_steps']}",
        "matrices": f"{dataset.sizes['matrix']} ({', '.join(sorted({str(m) for m in dataset['module'].values}))})",
        "left out": ", ".join(json.loads(attrs["matrices_left_out"])) or "nothing",
        "made": f"{made['created']} by geostat {made['geostat']} on {made['device']}"
        if made
        else "not sealed yet",
    }
    for name, value in rows.items():
        click.echo(f"{name:>10}  {value}")
    click.echo()
    _show_values(dataset)
    findings = validate(dataset)
    click.echo()
    click.echo(
        "valid: every value in its bounds, every gap explained" if not findings else "\n".join(findings)
    )
    if findings:
        raise SystemExit(1)


def _unfinished(attrs: Any) -> str:
    if attrs.get("watched"):
        return "  (watched so far: unless the watch is running, run it again)"
    return "  (unfinished: run the same measurement again)"


def _show_values(dataset: Any) -> None:
    """First and last value of every diagnostic, averaged over matrices as its convention says."""
    import xarray as xr

    from geostat.statistics import mean_ci
    from geostat.statistics.runs.arguments import Weighting

    click.echo(f"{'mean over matrices':<58}{'first':>12}{'last':>12}  undefined")
    for name in sorted(str(n) for n in dataset["diagnostic"].values):
        variable = dataset[name]
        label = f"{name} [{variable.attrs['units']}]" if variable.attrs["units"] != "1" else name
        weighting: Weighting | None = "parameters" if variable.attrs["weighting"] == "both" else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GeostatWarning)  # the last column says what is undefined
            mean = xr.DataArray(mean_ci(variable, weighting=weighting).estimate)
        shown_setting = {
            dim: "right" if dim == "side" else mean[dim].values[0] for dim in mean.dims if dim != "step"
        }
        mean = mean.sel(shown_setting)
        label += "".join(f", {dim} {value}" for dim, value in shown_setting.items())
        missing = int(variable.isnull().sum())
        given = mean.dropna("step") if mean.notnull().any() else mean
        shown = "".join(f"{float(given.isel(step=i)):>12.5g}" for i in (0, -1))
        click.echo(f"{label:<58}{shown}  {missing or ''}")


@click.command()
@click.argument("store")
@click.option("-o", "--output", required=True, help="The table to write, for example run.csv.")
def csv(store: str, output: str) -> None:
    """Write a STORE as a table with one line per value."""
    from geostat.trajectories import to_csv

    to_csv(store, output)
    click.echo(f"{output} written.")
