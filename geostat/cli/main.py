"""The command group, and how every error reaches the terminal."""

import os
import signal
import sys
import warnings
from typing import Any, TextIO

import click

from geostat import __version__
from geostat.cli.bench import bench
from geostat.cli.calibrate import calibrate
from geostat.cli.demo import demo
from geostat.cli.inspect import csv, inspect
from geostat.cli.lab import lab
from geostat.cli.measure import measure
from geostat.cli.nulls import nulls
from geostat.cli.plan import plan
from geostat.cli.seal import seal
from geostat.cli.signals import heeding_sigterm
from geostat.cli.watch import watch
from geostat.errors import GeostatError, GeostatWarning

__all__ = ["main"]


class _Group(click.Group):
    """Turn errors into one paragraph each, and Ctrl-C or SIGTERM into advice."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; never show a traceback for an error made on purpose."""
        with warnings.catch_warnings(), heeding_sigterm() as came:
            warnings.simplefilter("always", GeostatWarning)
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except BrokenPipeError:  # the reader, such as head, has seen enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(0)
            except (GeostatError, OSError) as error:
                click.echo(f"{type(error).__name__}: {error}", err=True)
                sys.exit(1)
            except KeyboardInterrupt:
                click.echo(f"\nStopped. {self._how_to_go_on(ctx)}", err=True)
                sys.exit(128 + (came or [signal.SIGINT])[0])

    def _how_to_go_on(self, ctx: click.Context) -> str:
        command = self.get_command(ctx, ctx.invoked_subcommand or "")
        anew = command is not None and any(option.name == "resume" for option in command.params)
        again = "run the same command again" + (" (without --no-resume)" if anew else "")
        return f"What was finished is kept: {again} to go on."


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    click.echo(f"{category.__name__}: {message}", err=True)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="geostat")
def main() -> None:
    """Measure where training runs went in parameter space, and sum it up with honest uncertainty."""


for command in (plan, measure, watch, seal, inspect, csv, nulls, calibrate, bench, demo, lab):
    main.add_command(command)
