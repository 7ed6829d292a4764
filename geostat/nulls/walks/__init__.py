"""Random walks matched to a run: what similarity, rank and capture show without any structure."""
