"""The picture of the page: what every twin retains."""

from pathlib import Path

from geostat.lab import Sufficiency

__all__ = ["draw_retained"]


def draw_retained(twins: Sufficiency, path: str | Path) -> None:
    """Draw shares of the free twin's gain, by arm and recipe.

    Parameters
    ----------
    twins : Sufficiency
        Of the recorded study.
    path : path
        SVG file; the same twins give the same bytes.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "geostat"}):
        figure = Figure(figsize=(6.8, 6.0), layout="constrained")
        twins.plot(ax=figure.add_subplot())
        figure.savefig(path, format="svg", metadata={"Date": None})
