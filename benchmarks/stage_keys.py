"""Keys of a stage and of a study: the same on 1, 2 and 3 ranks, at ZeRO 0 to 3, and after a kill.

    python benchmarks/stage_keys.py > benchmarks/stage_keys.md

Every stage is trained by the program in real ranks over gloo and held against plain PyTorch in one process, which
shares data and modules with it alone (`tests/distributed/stage_keys.py`). Then whole studies with these keys are
launched by `deepspeed`, killed with SIGKILL at a random moment and launched again, and held against one that ran
through. Keys that only a study has (parts by a reference stage, sweeps, rules of selection) are compared between
studies on different ranks.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "distributed"))

import page
import stage_keys
import tiny
from launch import run_study, start_study

from xstilts.evaluation.rows import read_rows

KEYS: dict[stage_keys.Key, str] = {
    "adapters": "new adapters behind frozen ones, orthogonal",
    "heads": "heads on the frozen encoder",
    "code_switch": "half of the known words switched",
    "subset": "half of the pairs, labels shuffled; their inputs as text",
    "average": "mean of the weights after steps 4, 6 and 8",
}
LEGS = ((2, 2, 3), (3, 3, 6), (1, 0, None))
TOLERANCE = 1e-5
NUM_STEPS = 10
ROWS = ("results.jsonl", "selection.jsonl")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--killed", type=int, nargs="*", default=stage_keys.STAGES, help="ZeRO stages of studies killed"
    )
    killed: Sequence[int] = parser.parse_args().killed
    with tempfile.TemporaryDirectory(prefix="xstilts-keys-") as name:
        world = Path(name) / "tiny" / "world"
        tiny.make_world(world)
        page.begin("Keys of a stage on any number of ranks, at any ZeRO stage, after a kill", "make proof-stage-keys")
        sound = [_against_plain_pytorch(world, Path(name) / "stages"), _on_any_ranks(world, Path(name) / "ranks")]
        sound.append(_killed(world, Path(name) / "studies", killed))
        return int(not all(sound))


def _against_plain_pytorch(world: Path, folder: Path) -> bool:
    cases: list[stage_keys.Case] = [(key, stage, "fp32") for key in KEYS for stage in stage_keys.STAGES]
    for world_size in (1, 2, 3):
        stage_keys.run_cases(world_size, world, folder / str(world_size), cases)
    found = {(n, *case): folder / str(n) / stage_keys.name_of(case) for n in (1, 2, 3) for case in cases}
    for key in KEYS:
        stage_keys.run_legs(world, folder / "legs" / key, key, LEGS)
    path = " then ".join(f"ZeRO {stage} on {n}" for n, stage, _ in LEGS)
    print(
        f"## Against plain PyTorch\n\nTwo layers of width 32, three tasks (pairs, spans, text) mixed by example, AdamW "
        f"with decay 0.5 and clipping, dropout 0.1,\n{stage_keys.NUM_STEPS} steps, fp32. The largest deviation over 1, "
        f"2 and 3 ranks; the last row of each is one run in three legs, {path}.\n"
    )
    rows: list[list[object]] = []
    sound = True
    for key, meaning in KEYS.items():
        runs = {f"ZeRO {s}": [found[n, key, s, "fp32"] for n in (1, 2, 3)] for s in stage_keys.STAGES}
        for label, folders in {**runs, "three legs": [folder / "legs" / key]}.items():
            each = [stage_keys.deviation(world, one, key) for one in folders]
            loss, weight = max(d.loss for d in each), max(d.weight for d in each)
            num_changed, num_unmoved = sum(len(d.changed) for d in each), sum(len(d.unmoved) for d in each)
            rows.append([meaning, label, loss, weight, each[0].num_frozen, num_changed, num_unmoved])
            sound &= max(loss, weight) < TOLERANCE and num_changed == num_unmoved == 0
    columns = [
        "stage",
        "computed by",
        "loss",
        "trained weight",
        "frozen tensors",
        "of them changed",
        "trained, unmoved",
    ]
    page.table(columns, rows)
    return sound


def _on_any_ranks(world: Path, folder: Path) -> bool:
    print(
        "## Parts by a reference stage, sweeps and rules of selection\n\nWhole studies: a reference stage ranks the "
        "pairs, an arm trains on the hardest third of them at a learning rate that pilots\nchoose, and the target is "
        "scored by its last weights, the mean of two and the oracle too. Each is held against that on one rank\n"
        "at ZeRO 0: the largest deviation of a loss, and whether ranking, choice and scores are the same.\n"
    )
    runs = {}
    for stage in stage_keys.STAGES:
        recipe = controls(world, folder / str(stage), stage)
        for ranks in (1, 2, 3):
            runs[ranks, stage] = folder / str(stage) / str(ranks)
            run_study(recipe, runs[ranks, stage], ranks)
    expected = runs[1, 0]
    rows: list[list[object]] = []
    for (ranks, stage), run in runs.items():
        losses, others = tiny.all_losses(run), tiny.all_losses(expected)
        deviation = math.inf
        if losses.keys() == others.keys():
            deviation = max(
                abs(losses[key][step] - loss) for key, mine in others.items() for step, loss in mine.items()
            )
        answers = [_ranking(run) == _ranking(expected), _choice(run) == _choice(expected)]
        answers.append(_scores(run) == _scores(expected))
        rows.append([f"ZeRO {stage}", ranks, deviation, *("yes" if answer else "no" for answer in answers)])
    page.table(["computed by", "ranks", "loss", "same ranking", "same choice", "same scores"], rows)
    (_, choice), *_ = _choice(expected)
    print(f"{len(tiny.all_losses(expected))} stages; the pilots chose {choice}; {len(_scores(expected))} scores.\n")
    return all(float(str(row[2])) < TOLERANCE and row[3:] == ["yes"] * 3 for row in rows)


def _ranking(run: Path) -> list[list[str]]:
    """Ids of the examples in the order in which reference stages rank them."""
    return [
        [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()]
        for path in sorted(run.glob("rankings/*.jsonl"))
    ]


def _choice(run: Path) -> list[tuple[str, float]]:
    """What each sweep has chosen."""
    sweeps = json.loads((run / "run.json").read_text(encoding="utf-8"))["sweeps"]
    return [(sweep["label"], sweep["chosen"]) for sweep in sweeps]


def _scores(run: Path) -> list[tuple[object, ...]]:
    """Every score of a study, by every rule of selection."""
    rows = [row for name in ROWS if (run / name).exists() for row in read_rows(run / name)]
    return sorted((row.arm, row.selection, row.task, row.language, row.metric, row.value) for row in rows)


def _killed(world: Path, folder: Path, stages: Sequence[int]) -> bool:
    print(
        "## After a kill\n\nStudies on 2 ranks with a checkpoint every 3 steps. Frozen: language adapters from "
        "switched text, task adapters on these, heads alone\nfor the target. Controls: those above. Launcher and ranks "
        "are killed when so many steps are taken, and the study is launched again.\n"
    )
    rows: list[list[object]] = []
    for (name, make), stage in itertools.product({"frozen": frozen, "controls": controls}.items(), stages):
        below = folder / name / str(stage)
        recipe = make(world, below, stage)
        whole, broken = below / "whole", below / "killed"
        run_study(recipe, whole, 2)
        num_steps = sum(map(len, tiny.all_losses(whole).values()))
        moment = random.Random(f"kill {name} {stage}").randint(2, num_steps - 1)
        study = start_study(recipe, broken, 2, log=below / "log")
        while study.running and sum(map(len, tiny.all_losses(broken).values())) < moment:
            time.sleep(0.02)
        study.kill()
        went_on = "continuing after step" in run_study(recipe, broken, 2)
        answers = (went_on, *_same(whole, broken))
        place = f"{moment} of {num_steps}"
        rows.append([name, f"ZeRO {stage}", place, *("yes" if answer else "no" for answer in answers)])
    columns = [
        "study",
        "computed by",
        "killed after step",
        "went on from a checkpoint",
        "same losses",
        "same weights",
        "same rows",
    ]
    page.table(columns, rows)
    print("The same: bit for bit. Where it was killed before the first checkpoint of a stage, that stage began again.")
    return all(answer == "yes" for row in rows for answer in row[4:])


def _same(whole: Path, broken: Path) -> tuple[bool, bool, bool]:
    """Whether losses, weights and rows of two runs are, bit for bit."""
    rows = [[(run / name).read_bytes() for name in ROWS if (run / name).exists()] for run in (whole, broken)]
    pairs = [(path, broken / path.relative_to(whole)) for path in whole.glob("stages/*/weights.safetensors")]
    weights = bool(pairs) and all(mine.read_bytes() == theirs.read_bytes() for mine, theirs in pairs)
    return tiny.all_losses(broken) == tiny.all_losses(whole), weights, rows[0] == rows[1]


def controls(world: Path, folder: Path, stage: int) -> Path:
    """The recipe of a study with a part by a reference stage, a sweep and other rules of selection."""
    folder.mkdir(parents=True)
    part = {"part": "hardest", "fraction": 0.333, "reference": {"seed": 1000, "lr": 3e-3}}
    dev = {"dev": {"every": 4, "num_examples": 12}}
    return tiny.write_recipe(
        folder / "controls.yaml",
        world,
        deepspeed=f"zero{stage}_fp32_cpu",
        training={"steps": 8, "batch_size": 9, "lr": 1e-3},
        tasks=[],
        arms={"part": [{"tasks": ["mnli"], "subset": part, "training": dev, "sweep": {"training.lr": [1e-3, 1e-2]}}]},
        baseline="part",
        pilot_seeds=[101],
        selection={"also": ["last", "average", "oracle"], "every": 2, "keep": 2},
        targets={"udpos": {"languages": ["eng_Latn", "qaa_Latn"], "training": {"steps": 6, **dev}}},
    )


def frozen(world: Path, folder: Path, stage: int) -> Path:
    """The recipe of a study of adapters and heads."""
    folder.mkdir(parents=True)
    loader = stage_keys.make_loader(world, "adapters")
    text = loader.features["mlm_text"].load(range(30))
    found = {word for feature in text for *_, word in stage_keys.find_words(loader.tokenizer, feature.tokens)}
    (folder / "pairs.txt").write_text("".join(f"{word}\t{word[::-1]}\n" for word in sorted(found)), encoding="utf-8")
    adapters: dict[str, Any] = {"encoder": "none", "bottleneck": 5, "orthogonal": 0.1}
    arm = [
        {"tasks": ["mlm_text"], "code_switch": {"dictionary": "pairs.txt", "rate": 0.5}, "trainable": adapters},
        {"tasks": ["mnli", "squad_v2"], "trainable": {**adapters, "bottleneck": 3}},
    ]
    target = {"languages": ["qaa_Latn"], "training": {"steps": 4}, "trainable": {"encoder": "none"}}
    return tiny.write_recipe(
        folder / "keys.yaml",
        world,
        deepspeed=f"zero{stage}_fp32_cpu",
        training={"steps": NUM_STEPS, "batch_size": 9, "lr": 1e-2},
        tasks=[],
        arms={"keys": arm},
        baseline="keys",
        targets={"udpos": target},
    )


if __name__ == "__main__":
    sys.exit(main())
