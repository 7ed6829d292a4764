"""The whole path on real runs: train, measure, combine, sum up with honest uncertainty."""

from geostat.demo.run import Demo, run_demo

__all__ = ["Demo", "run_demo"]
