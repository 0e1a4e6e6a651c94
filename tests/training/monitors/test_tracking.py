"""`steps.jsonl` after a resume."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xstilts.training.checkpoint.format import Progress
from xstilts.training.monitors.tracking import cut_back

RECORDS = [
    {"event": "starting"},
    {"step": 1, "loss": 2.0},
    {"step": 2, "loss": 1.0},
    {"step": 2, "ranks": []},
    {"step": 2, "dev": 50.0},
    {"step": 3, "loss": 0.5},
    {"event": "step 3 is skipped"},
    {"step": 4, "loss": 0.4},
]


@pytest.mark.parametrize(
    ("step", "dev_step", "kept"), [(0, 0, 1), (1, 0, 2), (2, 0, 4), (2, 2, 5), (3, 2, 7), (4, 2, 8)]
)
def test_what_the_resumed_run_will_record_again_is_dropped(tmp_path: Path, step: int, dev_step: int, kept: int) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in RECORDS), encoding="utf-8")
    cut_back(path, Progress(step=step, dev_step=dev_step))
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == RECORDS[:kept]


def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo', encoding="utf-8")
    cut_back(path, Progress(step=5))
    assert path.read_text(encoding="utf-8") == '{"step": 1, "loss": 2.0}\n'
    cut_back(tmp_path / "none", Progress())
