"""The command line: ``geostat`` and its commands."""

from geostat.cli.main import main

__all__ = ["main"]
