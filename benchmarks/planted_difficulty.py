"""Whether the measures of difficulty see what is planted: wrong labels in an artificial world, more and more of them.

    python benchmarks/planted_difficulty.py > benchmarks/planted_difficulty.md

On two ranks, some minutes. It ends with an error where the order is not the planted one.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "distributed"))

import page
import yaml
from launch import run_study

from xstilts.distributed import dist
from xstilts.study.difficulty.of_run import difficulty_of_run
from xstilts.study.difficulty.table import MEASURES, Difficulty
from xstilts.study.open_run import open_run
from xstilts.study.record import read_record

NOISE = (0.0, 0.15, 0.3, 0.45)
PARTS_AT = 0.3
NUM_TRAIN, NUM_DEV = 300, 100
SEEDS = [1, 2]
TASK = "ccg"


def recipe(noise: float, *, parts: bool = False) -> dict[str, Any]:
    """All examples, or with `parts` the easiest and the hardest third in equal steps: a study of their own, for code
    lengths of a table are of as many items as its smallest stage has."""
    training = {"steps": 60, "batch_size": 16, "lr": 3e-3}
    arms: dict[str, Any] = {"none": []}
    if not parts:
        arms["whole"] = [{"tasks": [TASK], "training": {"epochs": 4}}]
    else:
        for part in ("easiest", "hardest"):
            subset = {"part": part, "fraction": 0.333, "reference": {"seed": 1000, "epochs": 4}}
            dev = {"every": training["steps"], "num_examples": NUM_DEV}
            arms[part] = [{"tasks": [TASK], "subset": subset, "training": {"dev": dev}}]
    sizes = {
        "num_train": NUM_TRAIN,
        "num_dev": NUM_DEV,
        "num_test": 10,
        "num_text": 50,
        "num_bitext": 10,
        "num_pieces": 400,
    }
    shape = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
    return {
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


def main() -> None:
    """Trains, measures, prints the page and checks it."""
    measured: dict[float, dict[str, float]] = {}
    num_items = set()
    with tempfile.TemporaryDirectory(prefix="xstilts-planted-") as name, redirect_stdout(sys.stderr):
        runs = {noise: trained(Path(name), str(noise), recipe(noise)) for noise in NOISE}
        thirds = trained(Path(name), "thirds", recipe(PARTS_AT, parts=True))
        dist.set_up()
        for noise, run_dir in runs.items():
            rows = difficulty_of_run(run_dir, NUM_DEV, print)
            measured[noise] = {measure: of_seeds(rows, measure) for measure in MEASURES}
            num_items |= {row.num_items for row in rows}
        parts = {part: dev_score(thirds, part) for part in ("easiest", "hardest")}
        dist.tear_down()
    assert num_items == {NUM_TRAIN}, f"code lengths of unequal numbers: {num_items}"
    show(measured, parts)
    for measure in ("normalised_error", "code_length"):
        values = [measured[noise][measure] for noise in NOISE]
        assert values == sorted(values), f"{measure} does not rise with noise: {values}"
    assert parts["hardest"] < parts["easiest"], parts


def trained(folder: Path, name: str, values: dict[str, Any]) -> Path:
    """The folder of a run on two ranks."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    print(run_study(path, folder / name, 2, timeout=3600))
    return folder / name


def of_seeds(rows: list[Difficulty], measure: str) -> float:
    return fmean(getattr(row, measure) for row in rows)


def dev_score(run_dir: Path, arm: str) -> float:
    """Mean over seeds of the arm's own dev score, percent."""
    study = open_run(run_dir)
    stages = [stage for stage in study.graph.stages() if stage.label == arm]
    assert len(stages) == len(SEEDS)
    scores = [read_record(study.workspace.stage(stage.id)).dev_score for stage in stages]
    return fmean(score for score in scores if score is not None)


def show(measured: dict[float, dict[str, float]], parts: dict[str, float]) -> None:
    page.begin("Difficulty that was planted", "make proof-planted-difficulty")
    print(f"An artificial world; of CCG's supertags in training and dev data a share is wrong. {len(SEEDS)} seeds, a")
    print(
        f"model of two layers from random weights, {NUM_TRAIN} sentences, four passes, two ranks. Code length is of the"
    )
    print("first visits of all sentences in every row, as `train.py difficulty` has it.\n")
    rows = [[f"{noise:.0%}", *(f"{values[measure]:.3f}" for measure in MEASURES)] for noise, values in measured.items()]
    page.table(["wrong labels", *MEASURES], rows)
    print(f"Trained in equal steps on a third of the sentences of the world with {PARTS_AT:.0%} of wrong labels, as a")
    print("reference stage of another seed ranks them by confidence; score on dev data, token accuracy:\n")
    page.table(["third", "dev score"], [[part, f"{score:.1f}"] for part, score in parts.items()])


if __name__ == "__main__":
    main()
