"""Sphinx configuration; `make docs` builds the site into docs/_build/html without any network."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import generated  # noqa: E402

project = "vislang-toolkit"
author = "the vislang-toolkit authors"
copyright = "2026, the vislang-toolkit authors"  # noqa: A001

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_generated"]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "vislang-toolkit"


def setup(app):
    """Write the generated pages before Sphinx reads them."""
    app.connect("builder-inited", lambda _: generated.write_pages(ROOT))
