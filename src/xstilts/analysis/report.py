"""The report of one or several runs, finished or not: HTML, Markdown with figures and data, the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from xstilts.analysis import terminal
from xstilts.analysis.asked import Asked, asked_of
from xstilts.analysis.content import Content
from xstilts.analysis.figures.curves import curves
from xstilts.analysis.figures.figure import Figure
from xstilts.analysis.figures.forest import Comparison, forest
from xstilts.analysis.figures.heat_map import heat_map
from xstilts.analysis.figures.scatter import Point, scatter
from xstilts.analysis.forgetting import forgetting
from xstilts.analysis.html import to_html
from xstilts.analysis.learning import learning_curves
from xstilts.analysis.markdown import to_markdown
from xstilts.analysis.places import pages
from xstilts.analysis.questions import Answers, answer
from xstilts.analysis.runs import (
    RunResults,
    baseline_of,
    missing,
    notes,
    read_results,
    selection_notes,
    summary,
    title_of,
)
from xstilts.analysis.slopes import measured_changes
from xstilts.analysis.tables import matrix_table, score_table, small_tables
from xstilts.analysis.transfer import Cell, Mean, compare, means
from xstilts.analysis.versus import answers_of_difference
from xstilts.core.atomic import write_whole
from xstilts.evaluation.rows import Row

_ENGLISH = "eng_Latn"
_FOLDER = "report"
"""Holds figures and data beside `report.md`."""


def build(
    run_dirs: Sequence[Path], *, baseline: str | None = None, other: Path | None = None, selection: str | None = None
) -> Content:
    """Everything that the report says of these runs; `baseline` None is that of the runs' recipe, `selection` None the
    primary rule that selects weights. With an `other` run of their question, the answers are followed by those to how
    the studies differ.

    Raises:
        UserError: a run has no scores, the baseline is none of the arms, two runs hold the same arm and seed, or the
            studies cannot be compared.
    """
    results = [read_results(run_dir, selection) for run_dir in run_dirs]
    rows = [row for each in results for row in each.rows]
    baseline = baseline_of(results, baseline)
    cells = compare(rows, baseline)
    averages = means(cells)
    asked = asked_of(results)
    answered = answer(asked.question, rows, asked.scored, asked.seeds) if asked else Answers((), ())
    if other is not None:
        differing = answers_of_difference(results, asked, read_results(other, selection))
        answered = Answers(answered.answers + differing.answers, answered.unanswered + differing.unanswered)
    return Content(
        title=title_of(results),
        question=asked.question.ask if asked else "",
        answers=answered.sentences(),
        unanswered=answered.unanswered,
        notes=(*selection_notes(run_dirs, selection), *notes(results, baseline), *(asked.notes if asked else ())),
        missing=tuple(line for each in results for line in missing(each)),
        matrix=matrix_table(averages, baseline),
        figures=(*_figures(cells, averages, results, run_dirs), *_slopes(asked, rows)),
        tables=tuple(small_tables(cells, averages)),
        scores=score_table(cells),
        runs=tuple(map(summary, results)),
    )


def write(content: Content, run_dir: Path) -> list[Path]:
    """Writes `report.html`, `report.md` and `report/` with figures and data; returns the two pages."""
    folder = run_dir / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for figure in content.figures:
        write_whole(folder / f"{figure.name}.svg", _standalone(figure).encode())
    for name, text in content.files().items():
        write_whole(folder / name, text.encode())
    made = pages(run_dir)
    for path, text in zip(made, (to_html(content), to_markdown(content, _FOLDER)), strict=True):
        write_whole(path, text.encode())
    return list(made)


def show(content: Content, console: Console) -> None:
    """Answer, matrix and what is missing, on a terminal."""
    terminal.show(content, console)


def _standalone(figure: Figure) -> str:
    """The SVG as a file: without a page around it, text is grey, which reads on light and dark ground."""
    return figure.svg.replace("<svg ", '<svg color="#7a8694" ', 1)


def _figures(
    cells: Sequence[Cell], averages: Sequence[Mean], results: Sequence[RunResults], run_dirs: Sequence[Path]
) -> list[Figure]:
    found: list[Figure | None] = []
    changed = [mean for mean in averages if mean.primary and mean.change.mean is not None]
    if changed:
        lines = [
            Comparison(mean.task, mean.arm, *_effect(mean), _counts(len(mean.change.by_seed), mean.num_languages))
            for mean in changed
        ]
        caption = (
            "Mean over languages of the change against the baseline, with the 95 % t interval over seeds: of these "
            "languages, not of others. Hollow: one seed, no interval."
        )
        found.append(forest("forest", "Change by target and arm", caption, lines))
    found.append(heat_map(cells))
    found.append(_english_against_others(cells))
    found.append(forgetting(results))
    panels = learning_curves(run_dirs)
    if panels:
        caption = "Training loss, mean over seeds, smoothed over 20 steps: one panel a stage's place, one line an arm."
        found.append(curves("learning_curves", "Learning curves", caption, panels, y="loss"))
    return [figure for figure in found if figure is not None]


def _slopes(asked: Asked | None, rows: Sequence[Row]) -> Iterator[Figure]:
    """What is measured against what changed, a figure a slope of the question."""
    if asked is None:
        return
    cells = asked.question.cells(asked.scored)
    for name, slope in asked.question.slopes.items():
        found = measured_changes(slope, rows, cells, asked.seeds)
        if not found:
            continue
        points = [Point(arm if slope.by_language else "", f"{arm} {key}", x, change) for arm, key, x, change in found]
        lines, taken = "a line per arm", "in it effects of arm and language are taken out first"
        if not slope.by_language:
            lines, taken = "a line through all", "in it an arm counts once, by its mean"
        caption = (
            f"Mean change over seeds against {slope.against}, a point per arm and language, {lines}. The slope of the "
            f"answer is another: {taken}."
        )
        title = f"{name}: {slope.of} and change"
        yield scatter(f"slope_{name}", title, caption, points, x=slope.of, y=f"change against {slope.against}")


def _effect(mean: Mean) -> tuple[float, float | None, float | None]:
    """The mean change and the ends of its interval."""
    assert mean.change.mean is not None
    low, high = mean.change.interval or (None, None)
    return mean.change.mean, low, high


def _counts(num_seeds: int, num_languages: int) -> str:
    seeds = "1 seed" if num_seeds == 1 else f"{num_seeds} seeds"
    return f"{seeds}, {'1 language' if num_languages == 1 else f'{num_languages} languages'}"


def _english_against_others(cells: Sequence[Cell]) -> Figure | None:
    """The change in English against that in each other language, a point an arm and target."""
    changes = {
        (cell.arm, cell.task, cell.language): cell.change.mean
        for cell in cells
        if cell.primary and cell.change.mean is not None
    }
    points = [
        Point(language, f"{arm} {task}", changes[arm, task, _ENGLISH], change)
        for (arm, task, language), change in changes.items()
        if language != _ENGLISH and (arm, task, _ENGLISH) in changes
    ]
    if len({point.x for point in points}) < 2:
        return None
    caption = "Each point is an arm and target in one language; a line per language that has three."
    title = "Change in English against change elsewhere"
    return scatter("english", title, caption, points, x="change in English", y="change in the language")
