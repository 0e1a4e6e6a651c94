"""Whether the measures of difficulty see what is planted: wrong labels in an artificial world, more and more of them.

    python benchmarks/planted_difficulty.py > benchmarks/planted_difficulty.md

One process, a minute or two on a core. It ends with an error where the order is not the planted one.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from statistics import fmean
from typing import Any

import page

from xstilts.config.recipe import Recipe
from xstilts.distributed import dist
from xstilts.study.difficulty.of_run import difficulty_of_run
from xstilts.study.difficulty.table import MEASURES, Difficulty
from xstilts.study.open import open_study
from xstilts.study.record import read_record
from xstilts.study.run import run_study
from xstilts.study.study import Study

NOISE = (0.0, 0.15, 0.3, 0.45)
PARTS_AT = 0.3
SEEDS = [1, 2]
TASK = "ccg"


def recipe(noise: float, *, parts: bool = False) -> Recipe:
    """All examples, or with `parts` the easiest and the hardest third in equal steps: a study of their own, for code
    lengths of a table are of as many items as its smallest stage has."""
    training = {"steps": 60, "batch_size": 16, "lr": 3e-3}
    arms: dict[str, Any] = {"none": []}
    if not parts:
        arms["whole"] = [{"tasks": [TASK], "training": {"epochs": 4}}]
    else:
        for part in ("easiest", "hardest"):
            subset = {"part": part, "fraction": 0.333, "reference": {"seed": 1000, "epochs": 4}}
            dev = {"every": training["steps"], "num_examples": 100}
            arms[part] = [{"tasks": [TASK], "subset": subset, "training": {"dev": dev}}]
    sizes = {"num_train": 300, "num_dev": 100, "num_test": 10, "num_text": 50, "num_bitext": 10, "num_pieces": 400}
    shape = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
    values = {
        "name": "planted-difficulty",
        "data": {
            "world": {"languages": {"qaa_Latn": 0.2}, "noise": {TASK: noise}, **sizes},
            "max_length": 64,
            "doc_stride": 16,
        },
        "model": {"config": shape},
        "runtime": {"deepspeed": "zero1_fp32_cpu", "tokens_per_micro_batch": 1024, "log_every": 100},
        "training": training,
        "arms": arms,
        "targets": {"tatoeba": {"languages": ["qaa_Latn"]}},
        "seeds": SEEDS,
    }
    return Recipe.model_validate(values)


def main() -> None:
    """Trains, measures, prints the page and checks it."""
    dist.set_up()
    measured: dict[float, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name, redirect_stdout(sys.stderr):
        for noise in NOISE:
            run_dir = Path(name) / str(noise)
            study = open_study(recipe(noise), run_dir, device="cpu")
            run_study(study)
            rows = difficulty_of_run(run_dir, 100, print)
            measured[noise] = {measure: of_seeds(rows, measure) for measure in MEASURES}
        study = open_study(recipe(PARTS_AT, parts=True), Path(name) / "parts", device="cpu")
        run_study(study)
        parts = {part: dev_score(study, part) for part in ("easiest", "hardest")}
    dist.tear_down()
    show(measured, parts)
    for measure in ("normalised_error", "code_length"):
        values = [measured[noise][measure] for noise in NOISE]
        assert values == sorted(values), f"{measure} does not rise with noise: {values}"
    assert parts["hardest"] < parts["easiest"], parts


def of_seeds(rows: list[Difficulty], measure: str) -> float:
    return fmean(getattr(row, measure) for row in rows)


def dev_score(study: Study, arm: str) -> float:
    """Mean over seeds of the arm's own dev score, percent."""
    stages = [stage for stage in study.graph.stages() if stage.label == arm]
    assert len(stages) == len(SEEDS)
    scores = [read_record(study.workspace.stage(stage.id)).dev_score for stage in stages]
    return fmean(score for score in scores if score is not None)


def show(measured: dict[float, dict[str, float]], parts: dict[str, float]) -> None:
    page.begin("Difficulty that was planted", "python benchmarks/planted_difficulty.py")
    print(f"An artificial world; of CCG's supertags in training and dev data a share is wrong. {len(SEEDS)} seeds, a")
    print("model of two layers from random weights, 300 sentences, four passes. Code length is of the first visits, as")
    print("`train.py difficulty` has it.\n")
    rows = [[f"{noise:.0%}", *(f"{values[measure]:.3f}" for measure in MEASURES)] for noise, values in measured.items()]
    page.table(["wrong labels", *MEASURES], rows)
    print(f"Trained in equal steps on a third of the sentences of the world with {PARTS_AT:.0%} of wrong labels, as a")
    print("reference stage of another seed ranks them by confidence; score on dev data, token accuracy:\n")
    page.table(["third", "dev score"], [[part, f"{score:.1f}"] for part, score in parts.items()])


if __name__ == "__main__":
    main()
