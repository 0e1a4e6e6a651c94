"""Intermediate x target x language: the change against the baseline as colour and number."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure as Canvas

from xstilts.analysis.figures.figure import Figure, Value, canvas, drawing_style, ordered, svg_of
from xstilts.analysis.transfer import Cell
from xstilts.tasks.languages import find_language

_TITLE = "Change by arm, target and language"
_PALETTE = "PuOr"
"""Diverging and told apart by colour-blind readers; its middle is no change."""


def heat_map(cells: Sequence[Cell]) -> Figure | None:
    """One panel a target, one row an arm, one column a language; None where no cell has a change."""
    changed = [cell for cell in cells if cell.primary and cell.change.mean is not None]
    drawing = draw_heat_map(changed)
    if drawing is None:
        return None
    rows: list[tuple[Value, ...]] = [
        (cell.task, cell.metric, cell.arm, cell.language, find_language(cell.language).name, cell.change.mean)
        for cell in changed
    ]
    caption = (
        "Mean change against the baseline arm in points, paired by seed. The same colours in every panel; "
        f"the darkest stand for {_limit(changed):.1f} points. A single cell is no finding: the answer above is."
    )
    columns = ("target", "metric", "arm", "language", "name", "change")
    return Figure("heat_map", _TITLE, caption, svg_of(drawing, _TITLE), columns, tuple(rows))


def draw_heat_map(changed: Sequence[Cell]) -> Canvas | None:
    """The drawing of cells that have a change; None where there are none."""
    if not changed:
        return None
    targets = ordered([cell.task for cell in changed])
    arms = ordered([cell.arm for cell in changed])
    limit = _limit(changed)
    widest = max(len({cell.language for cell in changed if cell.task == target}) for target in targets)
    with matplotlib.rc_context(drawing_style()):
        drawing = canvas(2.2 + 0.42 * widest, 0.9 * len(targets) + 0.28 * len(arms) * len(targets))
        panels = drawing.subplots(len(targets), 1, squeeze=False)[:, 0]
        for panel, target in zip(panels, targets, strict=True):
            here = {(cell.arm, cell.language): cell for cell in changed if cell.task == target}
            languages = ordered([cell.language for cell in changed if cell.task == target])
            values = np.array(
                [[_mean(here.get((arm, language))) for language in languages] for arm in arms], dtype=float
            )
            panel.imshow(values, cmap=_PALETTE, vmin=-limit, vmax=limit, aspect="auto")
            for (row, column), value in np.ndenumerate(values):
                if not np.isnan(value):
                    ink = "white" if abs(value) > 0.6 * limit else "#222222"
                    panel.text(column, row, f"{value:+.1f}", ha="center", va="center", fontsize=7, color=ink)
            panel.set_title(f"{target} ({next(iter(here.values())).metric})", loc="left", fontsize=9)
            panel.set_yticks(range(len(arms)), arms)
            panel.set_xticks(range(len(languages)), [key[:3] for key in languages], rotation=90)
            panel.spines[:].set_visible(False)
            panel.tick_params(length=0)
    return drawing


def _limit(changed: Sequence[Cell]) -> float:
    return max(abs(cell.change.mean or 0.0) for cell in changed) or 1.0


def _mean(cell: Cell | None) -> float:
    return float("nan") if cell is None or cell.change.mean is None else cell.change.mean
