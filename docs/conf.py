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
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "vislang-toolkit"
html_static_path = ["_static"]
html_css_files = ["custom.css"]


def setup(app):
    """Write the generated pages before Sphinx reads them."""
    app.connect("builder-inited", lambda _: generated.write_pages(ROOT))
    app.connect("autodoc-process-signature", valid_signature)


def valid_signature(app, what, name, obj, options, signature, returned):
    """Write "..." for the default of a dataclass's list, whose representation Sphinx cannot read."""
    if signature is None:
        return None
    return signature.replace("<factory>", "..."), returned
