"""Breaks in the mean of a series."""
