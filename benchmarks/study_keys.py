"""Keys that only a whole study has: the same on 1, 2 and 3 ranks, at ZeRO 0 to 3, and after a kill.

    python benchmarks/study_keys.py > benchmarks/study_keys.md

A tiny study with a part by a reference stage, a sweep and every rule of selection is launched by `deepspeed` on each
number of ranks at each ZeRO stage, and once more for each ZeRO stage to be killed with SIGKILL at a random moment and
launched again. All are held against the run on one rank at ZeRO 0, those killed against the one that ran through.
"""

from __future__ import annotations

import json
import math
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "distributed"))

import page
import tiny
from launch import run_study, start_study

from xstilts.evaluation.rows import read_rows

STAGES = (0, 1, 2, 3)
RANKS = (1, 2, 3)
TOLERANCE = 1e-5
ROWS = ("results.jsonl", "selection.jsonl")


def main() -> int:
    page.begin("Keys of a study on any number of ranks, at any ZeRO stage, after a kill", "make proof-study-keys")
    print(INTRODUCTION)
    with tempfile.TemporaryDirectory(prefix="xstilts-keys-") as name:
        folder = Path(name)
        tiny.make_world(folder / "tiny" / "world")
        recipes = {stage: recipe_of(folder, stage) for stage in STAGES}
        runs = {(ranks, stage): folder / f"zero{stage}-{ranks}" for stage in STAGES for ranks in RANKS}
        for (ranks, stage), run in runs.items():
            run_study(recipes[stage], run, ranks)
        sound = show_same(runs)
        return int(not (show_killed(recipes, runs) and sound))


def recipe_of(folder: Path, stage: int) -> Path:
    part = {"part": "hardest", "fraction": 0.333, "reference": {"seed": 1000, "lr": 3e-3}}
    dev = {"dev": {"every": 4, "num_examples": 12}}
    return tiny.write_recipe(
        folder / f"zero{stage}.yaml",
        folder / "tiny" / "world",
        deepspeed=f"zero{stage}_fp32_cpu",
        training={"steps": 8, "batch_size": 9, "lr": 1e-3},
        tasks=[],
        arms={"part": [{"tasks": ["mnli"], "subset": part, "training": dev, "sweep": {"training.lr": [1e-3, 1e-2]}}]},
        baseline="part",
        pilot_seeds=[101],
        selection={"also": ["last", "average", "oracle"], "every": 2, "keep": 2},
        targets={"udpos": {"languages": ["eng_Latn", "qaa_Latn"], "training": {"steps": 6, **dev}}},
    )


def show_same(runs: dict[tuple[int, int], Path]) -> bool:
    expected = runs[1, 0]
    others = tiny.all_losses(expected)
    rows: list[list[object]] = []
    sound = True
    for (ranks, stage), run in runs.items():
        losses, deviation = tiny.all_losses(run), math.inf
        if losses.keys() == others.keys():
            deviation = max(abs(losses[id_][step] - loss) for id_, own in others.items() for step, loss in own.items())
        same = (rankings(run) == rankings(expected), choices(run) == choices(expected), scores(run) == scores(expected))
        rows.append([f"ZeRO {stage}", ranks, deviation, *map(yes, same)])
        sound &= deviation < TOLERANCE and all(same)
    page.table(["computed by", "ranks", "loss", "same ranking", "same choice", "same scores"], rows)
    chosen = ", ".join(f"{value:g} for `{label}`" for label, value in choices(expected))
    print(f"{len(others)} stages of {sum(map(len, others.values()))} steps; the sweep chose {chosen};", end=" ")
    print(f"{len(rankings(expected))} ranking; {len(scores(expected))} scores by four rules.\n")
    return sound


def show_killed(recipes: dict[int, Path], runs: dict[tuple[int, int], Path]) -> bool:
    print("## After a kill\n\nOn 2 ranks, a checkpoint every 3 steps. Launcher and ranks are killed when so many steps")
    print("are taken in all, and the study is launched again.\n")
    rows: list[list[object]] = []
    sound = True
    for stage, recipe in recipes.items():
        whole = runs[2, stage]
        broken = whole.with_name(f"{whole.name}-killed")
        num_steps = sum(map(len, tiny.all_losses(whole).values()))
        moment = random.Random(f"kill {stage}").randint(2, num_steps - 1)
        study = start_study(recipe, broken, 2, log=broken.with_suffix(".log"))
        while study.running and sum(map(len, tiny.all_losses(broken).values())) < moment:
            time.sleep(0.02)
        study.kill()
        went_on = "continuing after step" in run_study(recipe, broken, 2)
        same = (tiny.all_losses(broken) == tiny.all_losses(whole), rankings(broken) == rankings(whole))
        same = (*same, choices(broken) == choices(whole), all(same_bytes(whole, broken, name) for name in ROWS))
        rows.append([f"ZeRO {stage}", f"{moment} of {num_steps}", yes(went_on), *map(yes, same)])
        sound &= all(same)
    columns = ["computed by", "killed after step", "went on from a checkpoint", "same losses", "same ranking"]
    page.table([*columns, "same choice", "same rows"], rows)
    print("The same: bit for bit. Where it was killed before the first checkpoint of a stage, that stage began again.")
    return sound


def rankings(run: Path) -> list[list[str]]:
    """Ids of the examples in the order in which each reference stage ranks them."""
    files = sorted(run.glob("rankings/*.jsonl"))
    return [[json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()] for path in files]


def choices(run: Path) -> list[tuple[str, float]]:
    """Stage and the value that its sweep has chosen."""
    sweeps = json.loads((run / "run.json").read_text(encoding="utf-8"))["sweeps"]
    return [(sweep["label"], sweep["chosen"]) for sweep in sweeps]


def scores(run: Path) -> list[tuple[object, ...]]:
    """Every score, by every rule of selection."""
    rows = [row for name in ROWS for row in read_rows(run / name)]
    return sorted((row.selection, row.task, row.language, row.metric, row.value) for row in rows)


def same_bytes(run: Path, other: Path, name: str) -> bool:
    return (run / name).read_bytes() == (other / name).read_bytes()


def yes(answer: bool) -> str:
    return "yes" if answer else "no"


INTRODUCTION = """\
Two layers of width 32, dropout 0.1, fp32. A reference stage ranks 60 pairs, an arm trains on the hardest third of them
at a learning rate that pilots choose, and the target is scored by the weights selected on English dev, the last, the
mean of two kept ones, and the oracle's. Against the study on one rank at ZeRO 0: the largest deviation of a loss, and
whether ranking, choice and scores are the same.
"""


if __name__ == "__main__":
    sys.exit(main())
