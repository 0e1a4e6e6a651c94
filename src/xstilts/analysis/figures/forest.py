"""A forest plot: one line a comparison, its effect and its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib

from xstilts.analysis.figures.figure import INK, SERIES, Figure, canvas, drawing_style, ordered, svg_of


@dataclass(frozen=True)
class Comparison:
    """One line of a forest plot."""

    group: str
    """Lines of one group stand together: a target task, say."""
    label: str
    effect: float
    low: float | None
    """Ends of the interval; None where there is none."""
    high: float | None
    note: str = ""
    """Beside the line: seeds, languages."""


def forest(name: str, title: str, caption: str, lines: Sequence[Comparison], *, measure: str = "points") -> Figure:
    """All comparisons over one axis, 0 marked; an effect without an interval is hollow."""
    labels = ordered([line.label for line in lines])
    colour = {label: SERIES[i % len(SERIES)] for i, label in enumerate(labels)}
    groups = ordered([line.group for line in lines])
    with matplotlib.rc_context(drawing_style()):
        drawing = canvas(6.4, 0.5 + 0.22 * len(lines) + 0.25 * len(groups))
        axes = drawing.subplots()
        place, ticks, names = 0.0, [], []
        for group in groups:
            for line in (line for line in lines if line.group == group):
                if line.low is not None and line.high is not None:
                    axes.plot([line.low, line.high], [place, place], color=colour[line.label], linewidth=1.6)
                hollow = line.low is None
                fill = "none" if hollow else colour[line.label]
                axes.plot(line.effect, place, "o", color=colour[line.label], markerfacecolor=fill, markersize=4)
                ticks.append(place)
                names.append(f"{group}  {line.label}" + (f"  ({line.note})" if line.note else ""))
                place += 1
            place += 0.6
        axes.axvline(0.0, color=INK, linewidth=0.8, linestyle=":")
        axes.set_yticks(ticks, names)
        axes.set_ylim(place - 0.4, -0.8)
        axes.set_xlabel(f"change in {measure}")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    rows = tuple((line.group, line.label, line.effect, line.low, line.high, line.note) for line in lines)
    columns = ("group", "comparison", "effect", "low", "high", "note")
    return Figure(name, title, caption, svg_of(drawing, title), columns, rows)
