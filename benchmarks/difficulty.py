"""The page of the difficulty of four English tasks with the real encoder, and what recording visits costs there.

    XSTILTS_DATA=FOLDER python benchmarks/difficulty.py ENCODER > benchmarks/difficulty.md

ENCODER is what `make encoder TEXTS=FOLDER` has made. The run goes into runs/difficulty and is continued there.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from page import begin
from rich.console import Console

from xstilts.config.load import load_recipe
from xstilts.distributed import dist
from xstilts.study.difficulty.of_run import difficulty_of_run
from xstilts.study.difficulty.table import show
from xstilts.study.open import open_study
from xstilts.study.run import run_study
from xstilts.training import step

RECIPE = Path(__file__).with_suffix(".yaml")
RUN_DIR = Path("runs/difficulty")
NUM_DEV = 64


class _Clock:
    """CPU seconds of functions that it stands in for."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def timed(self, owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def stand_in(*arguments: Any, **options: Any) -> Any:
            begun = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[name] += time.process_time() - begun
                self.calls[name] += 1

        setattr(owner, name, stand_in)


def main(encoder: str) -> None:
    """Runs what of the recipe is not there yet, and prints the page."""
    clock = _Clock()
    clock.timed(step.Stepper, "take")
    clock.timed(step, "record_step")
    dist.set_up()
    with redirect_stdout(sys.stderr):
        study = open_study(load_recipe(str(RECIPE), [f"model.pretrained={encoder}"]), RUN_DIR, device="cpu")
        caveats = study.caveats()
        run_study(study)
        rows = difficulty_of_run(RUN_DIR, NUM_DEV, print)
    begin("Difficulty of four English tasks", "make proof-difficulty DATA=FOLDER")
    print(" ".join(caveats), end="\n\n```\n")
    show(rows, Console(file=sys.stdout, width=80))
    print("```\n")
    if clock.calls["take"]:
        each, recording = (clock.seconds[name] / clock.calls[name] for name in ("take", "record_step"))
        print(
            f"Recording took {1e3 * recording:.2f} ms of CPU of a step's {1e3 * each:.0f} ms: {recording / each:.3%}."
        )
    dist.tear_down()


if __name__ == "__main__":
    main(*sys.argv[1:])
