"""Cells of `gpu.py` that train: stages of one process, one after the other, whose weights are not written.

The process starts once; each stage is trained by `train_stage`, as `run` does.
"""

from __future__ import annotations

import gc
import json
from typing import Any

import deepspeed
import torch
from gpu_cell import run_cells, speed
from gpu_stage import open_stage

from xstilts.data.loader import StepLoader
from xstilts.distributed import dist
from xstilts.model.fields import shape_of
from xstilts.model.flops import training_flops
from xstilts.study.train_stage import train_stage
from xstilts.training import loop
from xstilts.training.checkpoint.format import Progress
from xstilts.training.engine import Engine
from xstilts.training.job import Folders

assert deepspeed


def main() -> None:
    dist.set_up()
    loop._finish = leave_weights
    run_cells(measure)
    dist.tear_down()


def leave_weights(engine: Engine, progress: Progress, folders: Folders, num_visits: int | None) -> loop.Outcome:
    """In place of writing 2 GB that nobody reads."""
    return loop.Outcome(progress.step, progress.step, "last", None, "", num_visits, progress.snapshots)


def measure(given: dict[str, Any]) -> dict[str, Any]:
    """Speed of the only stage of a recipe."""
    on_gpu = dist.device().type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    try:
        folder, study, stage = open_stage(given)
        train_stage(study, stage, folder / "stage", lambda: False)
    finally:
        gc.collect()
        if on_gpu:
            torch.cuda.empty_cache()
    log = (folder / "stage" / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [record for record in map(json.loads, log) if "seconds" in record]
    loader = StepLoader.of(study.steps(stage))
    shape = shape_of(study.recipe.model, study.catalogue.tokenizer)
    flops = [
        sum(training_flops(shape, micro.batch.lengths_S) for micro in loader.load(step, 0, 1))
        for step in range(len(steps))
    ]
    found = speed([step["time"] for step in steps], [step["tokens"] for step in steps], flops)
    found["last_loss"] = steps[-1]["loss"]
    if on_gpu:
        found["peak_bytes"] = torch.cuda.max_memory_allocated()
    return found


if __name__ == "__main__":
    main()
