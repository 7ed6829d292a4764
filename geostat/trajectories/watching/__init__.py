"""Measuring a run while it trains: checkpoints as they appear, before they are deleted."""
