"""Sphinx configuration: MyST pages, executed examples, and tables made from the package itself. No network."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import anisotropic  # noqa: E402

project = "anisotropic"
author = "The anisotropic developers"
copyright = author
release = version = anisotropic.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml", "generated", "gallery"]
exclude_patterns = ["_build", "_generated/*.md", "findings", "_ext", "_static"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_use_ivar = True

# A shape such as "(records, layers)" in a docstring may look like a reference to an attribute of several classes.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = "anisotropic"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["math.css", "pages.css"]
html_show_sphinx = False
html_copy_source = False
