"""`train.py difficulty RUN_DIR`: from a run directory to the rows of its table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xstilts.core.errors import UserError
from xstilts.study.difficulty.measure import measure
from xstilts.study.difficulty.table import Difficulty
from xstilts.study.open_run import open_run
from xstilts.study.record import has_record
from xstilts.study.similarity.measure import intermediate_stages


def difficulty_of_run(run_dir: Path, num_dev: int, say: Callable[[str], None]) -> list[Difficulty]:
    """Measures the tasks of all reference and intermediate stages that have ended, on this process's device; the others
    are named.

    Raises:
        UserError: the directory is no run's, or none of its intermediate stages has ended.
    """
    study = open_run(run_dir)
    stages = intermediate_stages(study)
    references = [stage.reference for stage in stages if stage.reference]
    stages = list({stage.id: stage for stage in (*references, *stages)}.values())
    ended = [stage for stage in stages if has_record(study.workspace.stage(stage.id))]
    for stage in stages:
        if stage not in ended:
            say(f"left out: {stage.label} seed {stage.seed}, which has not ended")
    if not ended:
        raise UserError(f"{run_dir}: no intermediate stage has ended; train an arm that has one")
    return measure(study, ended, num_dev)
