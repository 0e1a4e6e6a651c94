"""A cell of `gpu.py`: does a stage that was stopped and resumed end at the bit where one that ran through ends?

Two layers of the width of the others, dropout on, in kernels that torch knows to be deterministic; 2n steps at once
against n steps, a checkpoint, an end, a resume and n steps more. Where torch refuses a kernel for having no
deterministic form, it is named and the comparison is made all the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the first product is made

import deepspeed
import torch
from gpu_cell import run_cells
from gpu_stage import open_stage

from xstilts.distributed import dist
from xstilts.study.train_stage import train_stage
from xstilts.training import loop
from xstilts.training.checkpoint.saver import Saver
from xstilts.training.superseded import Superseded

assert deepspeed


def main() -> None:
    dist.set_up()
    torch.utils.deterministic.fill_uninitialized_memory = False
    run_cells(measure)
    dist.tear_down()


def measure(given: dict[str, Any]) -> dict[str, Any]:
    try:
        torch.use_deterministic_algorithms(True)
        return compare(given)
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        refused = str(error).splitlines()[0][:300]
    torch.use_deterministic_algorithms(True, warn_only=True)
    return {**compare(given), "refused": refused}


def compare(given: dict[str, Any]) -> dict[str, Any]:
    folder, study, stage = open_stage(given)
    through, stopped = folder / "through", folder / "stopped"
    train_stage(study, stage, through, lambda: False)
    loop.Saver = EndingSaver
    try:
        train_stage(study, stage, stopped, lambda: False)
        raise AssertionError("nothing was saved")
    except Superseded:  # by which a stage ends in the middle and frees what it holds
        pass
    finally:
        loop.Saver = Saver
    before = len(losses(stopped))
    train_stage(study, stage, stopped, lambda: False)
    ours, theirs = losses(stopped), losses(through)
    return {
        "steps": len(theirs),
        "resumed_after": before,
        "losses_equal": ours == theirs,
        "weights_equal": digest(stopped) == digest(through),
        "largest_difference": max(abs(a - b) for a, b in zip(ours, theirs, strict=True)),
    }


class EndingSaver(Saver):
    """Ends the stage at its first checkpoint."""

    def save(self, *arguments: Any) -> None:
        super().save(*arguments)
        raise Superseded


def losses(folder: Path) -> list[float]:
    lines = (folder / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    return [record["loss"] for record in map(json.loads, lines) if "seconds" in record]


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
