"""How many runs a claim takes."""
