"""The summary on the screen: the middle layer after each stage, mean over seeds and over targets, 80 columns wide."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from xstilts.model.multitask import middle_layer
from xstilts.study.similarity.table import Measurement, mean

_BY_LANGUAGE = {
    "cosine": ("embedding_cosine", 3),
    "distance": ("centroid_distance", 2),
    "CKA": ("cka_stage", 2),
    "CKA en": ("cka_english", 2),
    "Fisher": ("fisher_cosine", 2),
    "chrF": ("chrf", 1),
    "pieces": ("subword_coverage", 2),
    "syntax": ("syntactic_distance", 2),
}
_BY_TARGET = {"LogME": ("log_me", 3), "H-score": ("h_score", 3), "LEEP": ("leep", 3)}


def show(rows: Sequence[Measurement], console: Console) -> None:
    """Two small tables for each intermediate task: by language, and by target."""
    num_layers = max((row.layer for row in rows if row.layer is not None), default=0)
    middle = middle_layer(num_layers)
    kept = [row for row in rows if row.weights != "before" and row.layer in (None, middle)]
    pairs = dict.fromkeys((row.label, row.task) for row in kept if row.task)
    for label, task in pairs:
        own = [row for row in kept if row.label == label and row.task in ("", task)]
        seeds = len({row.seed for row in own})
        title = f"{label}: {task}, {seeds} seed{'s' if seeds > 1 else ''}, layer {middle} of {num_layers} after it"
        console.print(_table(title, "language", own, _BY_LANGUAGE))
        console.print(_table("", "target", own, _BY_TARGET))
    console.print(
        "cosine and distance of mean embeddings of the task's English inputs and the target's texts; CKA of these "
        "texts before and after the stage, and with their English translations; pieces: share of the texts' tokens "
        "that the task's inputs hold. - is missing: the table says why.",
        highlight=False,
    )


def _table(title: str, key: str, rows: Sequence[Measurement], columns: dict[str, tuple[str, int]]) -> Table:
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    table.add_column(key)
    for heading in columns:
        table.add_column(heading, justify="right")
    for name in dict.fromkeys(getattr(row, key) for row in rows if getattr(row, key)):
        of_name = [row for row in rows if getattr(row, key) == name]
        cells = [
            "-" if (value := mean(row for row in of_name if row.measure == measure)) is None else f"{value:.{digits}f}"
            for measure, digits in columns.values()
        ]
        table.add_row(name, *cells)
    return table
