"""Sphinx: the Markdown pages of the checkout, where they are, as web pages (`make docs`)."""

project = "xstilts"
copyright = "2026, the xstilts authors"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/*.md", "benchmarks/*.md", "benchmarks/*/*.md"]
myst_heading_anchors = 3  # as on code hosts, so that `page.md#heading` leads there
html_theme = "furo"
html_title = project
