"""How the pages are built: ``python -m sphinx -W docs build/docs``; needs no network."""

import vitrail

project = "vitrail"
author = "the vitrail authors"
release = vitrail.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"vitrail {release}"
html_static_path = ["static"]
html_css_files = ["wide.css"]
highlight_language = "none"  # blocks without a language are commands and layouts of folders
exclude_patterns = ["build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# Single backticks name code of this package, most of it internal: shown as code, linked where a page documents it.
default_role = "code"
suppress_warnings = ["ref.python"]  # several settings bear one name
