"""The command line: ``geostat measure``, ``inspect``, ``csv``, ``calibrate``, ``demo``."""

from geostat.cli.main import main

__all__ = ["main"]
