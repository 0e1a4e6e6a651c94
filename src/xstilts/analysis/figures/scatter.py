"""One measure against another, with a least-squares line per group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np

from xstilts.analysis.figures.figure import INK, SERIES, Figure, canvas, drawing_style, ordered, svg_of

_MOST_COLOURED = len(SERIES)
"""With more groups than this all are drawn alike and named in the data alone."""


@dataclass(frozen=True)
class Point:
    """One point: a change in one language, say."""

    group: str
    """Points of one group get one line: a language."""
    label: str
    x: float
    y: float


def scatter(name: str, title: str, caption: str, points: Sequence[Point], *, x: str, y: str) -> Figure:
    """All points; a line for every group with three points at different x."""
    groups = ordered([point.group for point in points])
    coloured = len(groups) <= _MOST_COLOURED
    with matplotlib.rc_context(drawing_style()):
        drawing = canvas(6.4, 4.2)
        axes = drawing.subplots()
        axes.axhline(0.0, color=INK, linewidth=0.6, linestyle=":")
        for i, group in enumerate(groups):
            here = [point for point in points if point.group == group]
            xs, ys = np.array([point.x for point in here]), np.array([point.y for point in here])
            colour = SERIES[i] if coloured else SERIES[0]
            axes.plot(xs, ys, "o", color=colour, markersize=3.5, alpha=0.8, label=group if coloured else None)
            if len(here) >= 3 and np.ptp(xs) > 0:
                slope, intercept = np.polyfit(xs, ys, 1)
                ends = np.array([xs.min(), xs.max()])
                axes.plot(ends, intercept + slope * ends, color=colour, linewidth=1.0, alpha=0.8)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if coloured and len(groups) > 1:
            axes.legend(fontsize=7)
    rows = tuple((point.group, point.label, point.x, point.y) for point in points)
    return Figure(name, title, caption, svg_of(drawing, title), ("group", "point", x, y), rows)
