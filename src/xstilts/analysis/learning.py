"""Training losses of a run's stages, gathered by arm and place."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from xstilts.analysis.figures.curves import Curve
from xstilts.study.provenance import Run, read_run
from xstilts.tasks import all_tasks

_WINDOW = 20
"""Steps that are averaged into one point."""


def learning_curves(run_dirs: Sequence[Path]) -> dict[str, Mapping[str, Curve]]:
    """Place -> arm -> curve. A stage's place is its label without the arm: `pretraining`, `intermediate`, a target."""
    losses: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for run_dir in run_dirs:
        targets = targets_of(read_run(run_dir))
        for folder in sorted((run_dir / "stages").glob("*")):
            label = _label(folder)
            if label is None:
                continue
            arm, place = arm_and_place(label, targets)
            losses[place, arm] += _losses(folder / "steps.jsonl")
    panels: dict[str, dict[str, Curve]] = defaultdict(dict)
    for (place, arm), steps in losses.items():
        panels[place][arm] = _smoothed(steps)
    return dict(panels)


def targets_of(run: Run | None) -> set[str]:
    """The targets that stages may be trained for: the run's, which may be tasks of a user's own."""
    return {task.name for task in all_tasks()} | set(run.expected.targets if run else ())


def arm_and_place(label: str, targets: Collection[str]) -> tuple[str, str]:
    """`nine.udpos` -> (nine, udpos); `nine-2` -> (nine-2, intermediate). An arm's name may hold dots."""
    arm, _, target = label.rpartition(".")
    if re.sub(r"-\d+$", "", target) in targets:
        return arm, target
    return label, "pretraining" if label.startswith("pretraining") else "intermediate"


def window_means(folder: Path) -> Curve:
    """(last step, mean loss) of each window of a stage's steps."""
    return _smoothed(_losses(folder / "steps.jsonl"))


def _smoothed(steps: Sequence[tuple[int, float]]) -> Curve:
    """(last step, mean loss) of each window."""
    windows: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for step, loss in steps:
        windows[(step - 1) // _WINDOW].append((step, loss))
    return [
        (max(step for step, _ in within), fmean(loss for _, loss in within)) for _, within in sorted(windows.items())
    ]


def _label(folder: Path) -> str | None:
    """The label that a finished stage says of itself."""
    try:
        label = json.loads((folder / "stage.json").read_text(encoding="utf-8")).get("label")
    except (OSError, ValueError):
        return None
    return label if isinstance(label, str) else None


def _losses(path: Path) -> list[tuple[int, float]]:
    """(step, loss) of every step that counted; none where the file is absent. A last line cut short is passed over."""
    found = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record.get("loss"), float) and "skipped" not in record:
            found.append((int(record["step"]), record["loss"]))
    return found
