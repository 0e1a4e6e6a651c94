"""Cells of `gpu.py` for many small stages: one study, several launches on one device, by `train.py launch --lanes`.

Speed is that of all lanes together while all of them train stages of one batch size. Of each such stage the first steps
do not count. The window is from when the last lane has taken these to when the first lane ends its stage; real tokens
of steps that end in it, over its seconds, by the times in `steps.jsonl`. Start-up, saving and scoring lie outside.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from gpu_cell import NUM_WARM, run_cells

HERE = Path(__file__).resolve().parents[1]


def measure(given: dict[str, Any]) -> dict[str, Any]:
    folder, lanes = Path(given["folder"]), given["lanes"]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(given["recipe"], sort_keys=False), encoding="utf-8")
    (folder / "hosts").write_text("localhost slots=1\n", encoding="utf-8")
    command = [sys.executable, "train.py", "launch", "--hostfile", folder / "hosts", "--lanes", lanes, "--"]
    command += ["run", folder / "recipe.yaml", "--run-dir", folder / "run"]
    done = subprocess.run(
        list(map(str, command)), cwd=HERE, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}")
    found = {}
    for batch, stages in stages_by_batch(folder / "run").items():
        assert len(stages) == lanes
        found[f"batch {batch}"] = speed_together(stages)
    shutil.rmtree(folder)  # 2 GB a stage
    return found


def stages_by_batch(run_dir: Path) -> dict[int, list[list[dict[str, Any]]]]:
    """Batch size -> the steps of each stage that was trained with it."""
    found: dict[int, list[list[dict[str, Any]]]] = {}
    for record in sorted(run_dir.glob("stages/*/stage.json")):
        origin = json.loads(record.read_text(encoding="utf-8"))["origin"]
        lines = (record.parent / "steps.jsonl").read_text(encoding="utf-8").splitlines()
        steps = [step for step in map(json.loads, lines) if "seconds" in step]
        found.setdefault(origin["hyperparameters"]["training"]["batch_size"], []).append(steps)
    return found


def speed_together(stages: list[list[dict[str, Any]]]) -> dict[str, Any]:
    begin = max(steps[NUM_WARM - 1]["time"] for steps in stages)
    end = min(steps[-1]["time"] for steps in stages)
    if end <= begin:
        return {"error": f"the lanes did not train at once: {begin - end:.1f} s lie between them"}
    within = [step for steps in stages for step in steps if begin < step["time"] <= end]
    return {
        "tokens_per_second": sum(step["tokens"] for step in within) / (end - begin),
        "steps_per_second": len(within) / (end - begin),
        "window_seconds": end - begin,
        "steps_in_window": len(within),
    }


if __name__ == "__main__":
    run_cells(measure)
