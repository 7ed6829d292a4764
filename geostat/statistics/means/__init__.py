"""Means of recipes, their contrasts, and the intervals around both."""
