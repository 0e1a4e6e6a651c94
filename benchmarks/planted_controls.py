"""Whether shuffled labels gain anything over as many steps of masked language modelling on the same sentences.

    python benchmarks/planted_controls.py > benchmarks/planted_controls.md

In the demo's artificial world, on two ranks, some ten minutes. It ends with an error where shuffled labels gain, or
where right labels, which the same design must find, do not.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "distributed"))

import page
import yaml
from launch import run_study

from xstilts.analysis.asked import asked_of
from xstilts.analysis.questions import answer
from xstilts.analysis.runs import RunResults, missing, read_results
from xstilts.analysis.statistics.answer import Answer, Verdict
from xstilts.analysis.statistics.sentence import render
from xstilts.tasks.languages import ENGLISH

TASK = "ccg"
ROOT = Path(__file__).resolve().parents[1]
RECIPE: dict[str, Any] = {
    "extends": str(ROOT / "src" / "xstilts" / "recipes" / "demo.yaml"),
    "name": "planted-controls",
    "title": "Controls, in an artificial world",
    "arms": {
        "unrelated": None,
        "nine": None,
        "mlm": [{"tasks": ["mlm_text"], "inputs_of": TASK, "match": {"steps": "shuffled"}}],
    },
    "targets": {"tatoeba": None},
    "question": {
        "ask": "Do shuffled labels prepare for word classes (null), and do right ones (planted)?",
        "contrasts": {
            "placebo": None,
            "planted": {"arm": "tags", "against": "mlm"},
            "shuffled": {"arm": "shuffled", "against": "mlm"},
        },
    },
}


def main() -> None:
    """Runs the study, prints the page and checks it."""
    with tempfile.TemporaryDirectory(prefix="xstilts-controls-") as name:
        recipe, run_dir = Path(name) / "recipe.yaml", Path(name) / "run"
        recipe.write_text(yaml.safe_dump(RECIPE, sort_keys=False), encoding="utf-8")
        print(run_study(recipe, run_dir, 2, timeout=7200), file=sys.stderr)
        results = read_results(run_dir)
    found = answers_of(results)
    show(results, found)
    right, shuffled = found["planted"], found["shuffled"]
    assert right.verdict is Verdict.YES and right.effect > 0, right
    assert shuffled.interval[0] <= 0, f"shuffled labels gain: {shuffled}"


def answers_of(results: RunResults) -> dict[str, Answer]:
    """Name of the contrast -> its answer."""
    asked = asked_of([results])
    assert asked is not None and not missing(results)
    found = answer(asked.question, results.rows, asked.scored, asked.seeds)
    return {each.name.partition(" ")[0]: each for each in found.answers}


def show(results: RunResults, found: dict[str, Answer]) -> None:
    page.begin("Shuffled labels against masked language modelling", "make proof-planted-controls")
    print("The demo's artificial world: a small model is pretrained on text, takes the steps of its arm on CCG's")
    print("sentences, then a few on UDPOS in English, and is scored in the other languages. The arms `shuffled` and")
    print(
        "`mlm` read the same sentences for equally many steps (`inputs_of`, `match`): the one with another word's tag"
    )
    print("at each word, the other without tags. Right tags (`tags`) are planted to help. Two ranks, ZeRO-2, fp32.\n")
    scored = [row for row in results.rows if row.primary and row.language != ENGLISH]
    seeds = sorted({row.seed for row in scored})
    means = {
        arm: [fmean(row.value for row in scored if (row.arm, row.seed) == (arm, seed)) for seed in seeds]
        for arm in dict.fromkeys(row.arm for row in scored)
    }
    rows = [[arm, *(f"{score:.1f}" for score in of_seeds), f"{fmean(of_seeds):.1f}"] for arm, of_seeds in means.items()]
    print("UDPOS, percent, mean over the three other languages:\n")
    page.table(["arm", *(f"seed {seed}" for seed in seeds), "mean"], rows)
    for each in found.values():
        print(f"- {render(each)}")


if __name__ == "__main__":
    main()
