"""When a run, and when a recipe, enters a band and stays."""
