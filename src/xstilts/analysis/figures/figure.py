"""What a figure is, and how matplotlib's drawing becomes an SVG that follows the page's colours."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure as Canvas

_INK = "#123457"
"""Stands for the colour of the page's text while matplotlib draws."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "xstilts",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "axes.titlecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
}
INK = _INK

SERIES = ("#2a78b8", "#d9722b", "#3f9b5f", "#b5488f", "#8a6d3b", "#5a5fc7", "#c0392b", "#1b998b")
"""Colours of arms, legible on light and dark ground."""

Value = str | int | float | None


@dataclass(frozen=True)
class Figure:
    """One figure of a report."""

    name: str
    """Of its files, without suffix."""
    title: str
    caption: str
    """How to read it."""
    svg: str
    """One `<svg>` element, without links; text and axes take the colour of the text around it."""
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    """The numbers that are drawn."""

    def csv(self) -> str:
        """The numbers with a header; what is missing is empty."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return stream.getvalue()


def canvas(width: float, height: float) -> Canvas:
    """An empty drawing of so many inches; no display is opened."""
    with matplotlib.rc_context(_STYLE):
        return Canvas(figsize=(width, height), layout="constrained")


def drawing_style() -> matplotlib.RcParams:
    """For `matplotlib.rc_context`: the style of every figure."""
    return matplotlib.RcParams({**matplotlib.rcParams, **_STYLE})


def svg_of(drawing: Canvas, title: str) -> str:
    """The drawing as one `<svg>` element that scales with the page and is read out by its title."""
    stream = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        drawing.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = svg.replace(_INK, "currentColor")
    head, _, rest = svg.partition(">")
    size = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', head)
    assert size is not None
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    attributes = f'{spaces} {size[0]} width="{float(size[1]):.0f}pt" role="img" aria-label="{_escape(title)}"'
    return f"<svg {attributes}>{rest.strip()}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def ordered(values: Sequence[str]) -> list[str]:
    """The distinct values, in order of first appearance."""
    return list(dict.fromkeys(values))
