"""How the documentation is built: offline, warnings are errors, notebooks run."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

from sphinx.application import Sphinx  # noqa: E402

import geostat  # noqa: E402

project = "geostat"
author = "The geostat authors"
copyright = "The geostat authors, BSD-3-Clause"
version = release = geostat.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "numpydoc",
    "sphinxcontrib.bibtex",
    "geostat_reference",
    "geostat_calibration",
    "geostat_bench",
    "geostat_claims",
    "geostat_nulls",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
default_role = "py:obj"

# Notebooks: executed anew in a temporary folder, so that nothing is written beside the sources.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

bibtex_bibfiles = [os.path.relpath(HERE.parent / "geostat" / "data" / "references.bib", HERE)]
bibtex_reference_style = "author_year"

autosummary_generate = True
autosummary_imported_members = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 90
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "sphinx_book_theme"
html_title = "geostat"
html_static_path = ["_static"]
html_css_files = ["geostat.css"]
html_show_sourcelink = False
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_navbar_depth": 1,
    "collapse_navbar": True,
    "show_toc_level": 2,
    "navbar_persistent": [],
}


def setup(app: Sphinx) -> None:
    """Pages are read by several processes: the one extension that does not allow it only copies files at the end."""
    app.extensions["sphinx-mathjax-offline"].parallel_read_safe = True
