"""The command line: ``geostat measure``, ``inspect``, ``csv``, ``demo``."""

from geostat.cli.main import main

__all__ = ["main"]
