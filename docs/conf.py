"""How Sphinx makes pages of the repository's Markdown. It reads from the repository's top folder, so that a link means
the same here and where the files are looked at; `docs/build` starts it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jupyterhub_mlinfn import __version__

project = "jupyterhub_mlinfn"
release = version = __version__
copyright = "The contributors of jupyterhub_mlinfn, BSD-3-Clause"
language = "en"

root_doc = "docs/index"
include_patterns = ["docs/**.md", "README.md", "SECURITY.md", "CHANGELOG.md", "config/jupyterhub_config.d/README.md"]
exclude_patterns = [".venv", ".cache", "build", "node_modules"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "autodoc_traits"]
myst_heading_anchors = 3
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # help texts of traits name classes of JupyterHub, which has pages of its own

html_theme = "furo"
html_title = "mlinfn"
html_logo = html_favicon = "../jupyterhub_mlinfn/templates/mlinfn/logo.svg"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1a5fb4", "color-brand-content": "#1a5fb4"},
    "dark_css_variables": {"color-brand-primary": "#8ab8f5", "color-brand-content": "#8ab8f5"},
}
html_static_path = ["static"]
html_css_files = ["mlinfn.css"]
html_extra_path = ["site"]
html_show_sphinx = html_copy_source = html_show_sourcelink = False
toc_object_entries_show_parents = "hide"
pygments_style = "friendly"
pygments_dark_style = "native"

default_role = "code"  # help texts of traits are written as Markdown


def setup(app):
    """Called by Sphinx. The page of traits tells those that are ours, and nothing of how Python makes these classes."""
    app.connect("autodoc-skip-member", _is_others)
    app.connect("autodoc-process-signature", _nothing)


def _is_others(app, what, name, member, skip, options):
    owner = getattr(member, "this_class", None)
    return True if owner and not owner.__module__.startswith("jupyterhub_mlinfn.") else None


def _nothing(app, what, name, member, options, signature, returns):
    return ("", None) if isinstance(member, type) else None
