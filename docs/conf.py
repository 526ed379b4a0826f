"""Builds the site: ``sphinx-build -W docs site`` (see docs/install.md)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import lossforge

project = "lossforge"
author = "the lossforge developers"
version = release = lossforge.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "myst_nb",
]
exclude_patterns = ["README.md", "_build"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 4
nb_execution_mode = "cache"
nb_execution_timeout = 600
nb_execution_raise_on_error = True

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autosummary_generate = False
napoleon_use_ivar = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# Names of fields that several classes have are not links.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = f"lossforge {version}"
html_theme_options = {
    "source_repository": "https://github.com/lossforge/lossforge/",
    "source_branch": "main",
    "source_directory": "docs/",
}
linkcheck_ignore = [r"https://github\.com/lossforge/.*"]
