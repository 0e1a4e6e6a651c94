"""Values over training steps: loss, English dev score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib

from xstilts.analysis.figures.figure import SERIES, Figure, canvas, drawing_style, svg_of

Curve = Sequence[tuple[int, float]]
"""(step, value), in order of the steps."""


def curves(
    name: str, title: str, caption: str, panels: Mapping[str, Mapping[str, Curve]], *, y: str, log: bool = False
) -> Figure:
    """One panel a group (a target), one line a name (an arm)."""
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    colour = {line: SERIES[i % len(SERIES)] for i, line in enumerate(names)}
    num_columns = min(2, len(panels))
    num_rows = -(-len(panels) // num_columns)
    with matplotlib.rc_context(drawing_style()):
        drawing = canvas(3.4 * num_columns + 0.6, 2.3 * num_rows)
        grid = drawing.subplots(num_rows, num_columns, squeeze=False).ravel()
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        for axes, (panel, lines) in zip(grid, panels.items(), strict=False):
            for line, curve in lines.items():
                axes.plot([s for s, _ in curve], [v for _, v in curve], color=colour[line], linewidth=1.1, label=line)
            axes.set_title(panel, loc="left", fontsize=9)
            axes.set_xlabel("step")
            axes.set_ylabel(y)
            axes.ticklabel_format(useOffset=False)
            if log:
                axes.set_yscale("log")
        if len(names) > 1:
            grid[0].legend(fontsize=7)
    rows = tuple(
        (panel, line, step, value)
        for panel, lines in panels.items()
        for line, curve in lines.items()
        for step, value in curve
    )
    return Figure(name, title, caption, svg_of(drawing, title), ("panel", "line", "step", y), rows)
