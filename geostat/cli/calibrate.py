"""``geostat calibrate``."""

import ast
import json
from pathlib import Path
from typing import Any

import click

__all__ = ["calibrate"]


@click.command()
@click.argument("procedure", required=False)
@click.option("--scenario", help="What is simulated.  [default: the procedure's first]")
@click.option("-S", "--seeds", type=int, multiple=True, help="Runs of a recipe; may be repeated.")
@click.option("-T", "--checkpoints", type=int, multiple=True, help="Checkpoints of a run; may be repeated.")
@click.option("-L", "--matrices", type=int, multiple=True, help="Matrices of a run; may be repeated.")
@click.option("--rho", type=float, multiple=True, help="Autocorrelation at the mean gap; may be repeated.")
@click.option(
    "--sd", type=float, multiple=True, help="Standard deviation of seeds or noise; may be repeated."
)
@click.option("--steps", help="Your own checkpoints, for example 63,127,191,255,299; replaces -T.")
@click.option(
    "--set",
    "others",
    multiple=True,
    metavar="NAME=VALUE[,VALUE]",
    help="Another setting of the scenario (see --list); may be repeated.",
)
@click.option(
    "--n-rep", type=click.IntRange(min=1), default=1000, show_default=True, help="Simulated studies."
)
@click.option("--level", type=float, default=0.95, show_default=True, help="Confidence level.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the random numbers.  [default: a fresh one]")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes.")
@click.option("-o", "--output", help="Also write the figures to a file: .zarr, .csv or .json.")
@click.option("--progress/--no-progress", default=True, show_default=True)
@click.option(
    "--list", "listed", is_flag=True, help="Say which procedures and scenarios there are, then stop."
)
def calibrate(
    procedure: str | None,
    scenario: str | None,
    others: tuple[str, ...],
    steps: str | None,
    n_rep: int,
    level: float,
    seed: int | None,
    workers: int,
    output: str | None,
    progress: bool,
    listed: bool,
    **sizes: tuple[float, ...],
) -> None:
    """Simulate how often a PROCEDURE is right in studies of your size.

    A setting given once is the same everywhere; given several times, every combination is simulated.
    """
    from geostat.statistics.calibration.calibration import calibrate as simulate
    from geostat.statistics.calibration.words import calibration_sentence, calibration_table

    if listed:
        _list()
        return
    if procedure is None:
        raise click.UsageError("name a procedure, for example mean_ci; --list says which there are.")
    _check_output(output)
    found = simulate(
        procedure,
        scenario or _default_scenario(procedure),
        _grid(sizes, others, steps),
        n_rep=n_rep,
        rng=seed,
        level=level,
        workers=workers,
        progress=progress,
    )
    click.echo(
        f"{found.attrs['procedure']} in scenario {found.attrs['scenario']}, seed {found.attrs['seed']}\n"
    )
    click.echo(f"{calibration_table(found)}\n")
    click.echo(click.wrap_text(calibration_sentence(found), width=100))
    if output is not None:
        _write(found, output)
        click.echo(f"\n{output} written.")


def _list() -> None:
    from geostat.statistics.calibration.catalogue import SCENARIOS
    from geostat.statistics.calibration.procedures import PROCEDURES

    click.echo("Procedures, and the scenarios that each can meet:")
    for procedure in PROCEDURES.values():
        fitting = [s.name for s in SCENARIOS.values() if procedure.fits(s)]
        click.echo(f"  {procedure.name:<18}{procedure.says}")
        click.echo(click.wrap_text(", ".join(fitting), 100, " " * 20, " " * 20))
    click.echo("\nScenarios, and their settings with defaults:")
    for scenario in SCENARIOS.values():
        settings = ", ".join(f"{name}={_shown(value)}" for name, value in scenario.parameters.items())
        click.echo(f"  {scenario.name:<18}{scenario.says}")
        click.echo(click.wrap_text(settings, 100, " " * 20, " " * 20))


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def _default_scenario(procedure: str) -> str:
    from geostat.statistics.calibration.catalogue import SCENARIOS
    from geostat.statistics.calibration.procedures import find_procedure

    asked = find_procedure(procedure)
    return next(scenario.name for scenario in SCENARIOS.values() if asked.fits(scenario))


def _grid(
    sizes: dict[str, tuple[float, ...]], others: tuple[str, ...], steps: str | None
) -> dict[str, list[Any] | Any]:
    names = {"seeds": "S", "checkpoints": "T", "matrices": "L"}
    given: dict[str, list[Any]] = {
        names.get(name, name): list(values) for name, values in sizes.items() if values
    }
    for text in others:
        name, separator, values = text.partition("=")
        if not separator or not values:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint="--set")
        given.setdefault(name.strip(), []).extend(_value(value) for value in values.split(","))
    grid: dict[str, Any] = {name: values[0] if len(values) == 1 else values for name, values in given.items()}
    return grid if steps is None else grid | {"steps": _steps(steps)}


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()


def _steps(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"{text!r} are no steps: pass numbers, such as 63,127,191.", param_hint="--steps"
        ) from None


_ENDINGS = (".zarr", ".csv", ".json")


def _check_output(output: str | None) -> None:
    if output is None:
        return
    path = Path(output)
    if path.suffix not in _ENDINGS:
        raise click.BadParameter(f"{output!r} ends neither in {', in '.join(_ENDINGS)}.", param_hint="-o")
    if not path.absolute().parent.is_dir():
        raise click.BadParameter(f"{output!r}: there is no folder {path.parent}.", param_hint="-o")
    if path.exists():
        raise click.BadParameter(
            f"{output!r} exists already: remove it or name another file.", param_hint="-o"
        )


def _write(found: Any, output: str) -> None:
    frame = found.to_dataframe().reset_index() if found.sizes else found.expand_dims("cell").to_dataframe()
    if output.endswith(".csv"):
        frame.to_csv(output, index=False)
    elif output.endswith(".json"):
        cells = json.loads(frame.to_json(orient="records", double_precision=15))
        Path(output).write_text(
            json.dumps({"attrs": found.attrs, "cells": cells}, indent=1), encoding="utf-8"
        )
    else:
        found.to_zarr(output, mode="w-", zarr_format=3, consolidated=False)
