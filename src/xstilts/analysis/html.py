"""A report as one HTML file that loads nothing: figures are SVG in the page, data are links that hold them."""

from __future__ import annotations

import base64
from importlib import resources

from jinja2 import Environment, StrictUndefined

from xstilts.analysis.content import Content


def to_html(content: Content) -> str:
    """The page; it reads on a phone and on paper, in light and in dark."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["data_link"] = _data_link
    template = resources.files("xstilts.analysis").joinpath("page.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(template).render(content=content)


def _data_link(text: str) -> str:
    """CSV as a link that needs no other file."""
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode()).decode()
