"""The page of the difficulty of four English tasks with the real encoder, and what recording visits costs there.

    XSTILTS_DATA=FOLDER python benchmarks/difficulty.py ENCODER > benchmarks/difficulty.md

ENCODER is what `make encoder TEXTS=FOLDER` has made. The run goes into runs/difficulty and is continued there.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import page
from rich.console import Console

from xstilts.config.load import load_recipe
from xstilts.distributed import dist
from xstilts.study.difficulty.of_run import difficulty_of_run
from xstilts.study.difficulty.table import show
from xstilts.study.open import open_study
from xstilts.study.run import run_study
from xstilts.training import loop, step

RECIPE = Path(__file__).with_suffix(".yaml")
RUN_DIR = Path("runs/difficulty")
NUM_DEV = 128


class _Clock:
    """CPU seconds of functions that it stands in for, of each stage that is trained here."""

    def __init__(self) -> None:
        self.seconds: dict[str, Counter[str]] = {}
        self.num_steps: Counter[str] = Counter()
        self._stage = ""

    def timed(self, owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def stand_in(*arguments: Any, **options: Any) -> Any:
            if name == "take":
                self._stage = arguments[0]._job.name
                self.num_steps[self._stage] += 1
            begun = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds.setdefault(self._stage, Counter())[name] += time.process_time() - begun

        setattr(owner, name, stand_in)

    def rows(self) -> list[list[object]]:
        """Stage, steps, milliseconds of a step, of what it records, of the file at the end; their share of the step."""
        found: list[list[object]] = []
        for stage, spent in self.seconds.items():
            num_steps = self.num_steps[stage]
            each, *recording = (1e3 * spent[name] / num_steps for name in ("take", "record_step", "finish_visits"))
            cells = [f"{each:.0f}", *(f"{part:.2f}" for part in recording), f"{sum(recording) / each:.3%}"]
            found.append([stage, num_steps, *cells])
        return found


def main(encoder: str) -> None:
    """Runs what of the recipe is not there yet, and prints the page."""
    clock = _Clock()
    clock.timed(step.Stepper, "take")
    clock.timed(step, "record_step")
    clock.timed(loop, "finish_visits")
    dist.set_up()
    timed = RUN_DIR / "recording.json"
    with redirect_stdout(sys.stderr):
        study = open_study(load_recipe(str(RECIPE), [f"model.pretrained={encoder}"]), RUN_DIR, device="cpu")
        caveats = study.caveats()
        run_study(study)
        recording = [*(json.loads(timed.read_text("utf-8")) if timed.exists() else ()), *clock.rows()]
        timed.write_text(json.dumps(recording), "utf-8")
        rows = difficulty_of_run(RUN_DIR, NUM_DEV, print)
    page.begin("Difficulty of four English tasks", "make proof-difficulty DATA=FOLDER TEXTS=FOLDER")
    print(INTRODUCTION)
    print(" ".join(caveats), end="\n\n```\n")
    show(rows, Console(file=sys.stdout, width=80))
    print("```\n\n## What recording visits costs\n\nIn this run: CPU milliseconds of a step of 16 examples, and")
    print("of recording them; that of the one file at a stage's end is shared among its steps.\n")
    page.table(["stage", "steps", "a step", "recording", "the file", "share of a step"], recording)
    dist.tear_down()


INTRODUCTION = f"""\
160 training examples of each task, drawn at random; three passes in 30 steps of 16 at a learning rate of 1e-4, segments
of 128 tokens; {NUM_DEV} dev items; one seed, one core, fp32. CommonsenseQA is the official release; SNLI, Cosmos QA and
SQuAD v2 are parted out of dev files (SNLI's 9,842, Cosmos QA's 2,985, a part of SQuAD v2's with 6,078).
"""


if __name__ == "__main__":
    main(*sys.argv[1:])
