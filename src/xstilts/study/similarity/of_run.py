"""`train.py similarity RUN_DIR`: from what a run says of itself to the table beside its results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xstilts.core.errors import UserError
from xstilts.study.open_run import open_run
from xstilts.study.similarity.measure import measure
from xstilts.study.similarity.table import Measurement, write


def similarity_of_run(
    run_dir: Path, num_examples: int, say: Callable[[str], None]
) -> tuple[list[Measurement], list[Path]]:
    """Measures all intermediate stages on this process's device and writes the table; returns its rows and files.

    Raises:
        UserError: the directory is no run's, or none of its intermediate stages has weights.
    """
    rows = measure(open_run(run_dir), num_examples, say)
    if not rows:
        raise UserError(f"{run_dir}: no intermediate stage whose weights are there; train an arm that has one")
    return rows, write(run_dir, rows)
