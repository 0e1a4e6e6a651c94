"""Adapters, heads alone, switched text, parts, averages: the same on 1, 2 and 3 ranks, at ZeRO 0 to 3, after a kill.

    python benchmarks/stage_keys.py > benchmarks/stage_keys.md

Every stage is trained by the program in real ranks over gloo and held against plain PyTorch in one process, which
shares data and modules with it alone (`tests/distributed/stage_keys.py`). Then whole studies with these keys are
launched by `deepspeed`, killed with SIGKILL at a random moment and launched again, and held against one that ran
through.
"""

from __future__ import annotations

import argparse
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--killed", type=int, nargs="*", default=stage_keys.STAGES, help="ZeRO stages of studies killed"
    )
    parser.add_argument("--keys", nargs="*", choices=KEYS, default=list(KEYS), help="those of them alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xstilts-keys-") as name:
        world = Path(name) / "tiny" / "world"
        tiny.make_world(world)
        page.begin("Keys of a stage on any number of ranks, at any ZeRO stage, after a kill", "make proof-stage-keys")
        sound = _against_plain_pytorch(world, Path(name) / "stages", options.keys)
        return int(not (_killed(world, Path(name) / "studies", options.killed) and sound))


def _against_plain_pytorch(world: Path, folder: Path, keys: Sequence[stage_keys.Key]) -> bool:
    cases: list[stage_keys.Case] = [(key, stage, "fp32") for key in keys for stage in stage_keys.STAGES]
    for world_size in (1, 2, 3):
        stage_keys.run_cases(world_size, world, folder / str(world_size), cases)
    found = {(n, *case): folder / str(n) / stage_keys.name_of(case) for n in (1, 2, 3) for case in cases}
    for key in keys:
        stage_keys.run_legs(world, folder / "legs" / key, key, LEGS)
    path = " then ".join(f"ZeRO {stage} on {n}" for n, stage, _ in LEGS)
    print(
        f"## Against plain PyTorch\n\nTwo layers of width 32, three tasks (pairs, spans, text) mixed by example, AdamW "
        f"with decay 0.5 and clipping, dropout 0.1,\n{stage_keys.NUM_STEPS} steps, fp32. The largest deviation over 1, "
        f"2 and 3 ranks; the last row of each is one run in three legs, {path}.\n"
    )
    rows: list[list[object]] = []
    sound = True
    for key in keys:
        runs = {f"ZeRO {s}": [found[n, key, s, "fp32"] for n in (1, 2, 3)] for s in stage_keys.STAGES}
        for label, folders in {**runs, "three legs": [folder / "legs" / key]}.items():
            each = [stage_keys.deviation(world, one, key) for one in folders]
            loss, weight = max(d.loss for d in each), max(d.weight for d in each)
            num_changed, num_unmoved = sum(len(d.changed) for d in each), sum(len(d.unmoved) for d in each)
            rows.append([KEYS[key], label, loss, weight, each[0].num_frozen, num_changed, num_unmoved])
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


def _killed(world: Path, folder: Path, stages: Sequence[int]) -> bool:
    print(
        "## After a kill\n\nStudies on 2 ranks: language adapters from switched text, task adapters on these, heads "
        "alone for the target; a checkpoint every 3 of\n10 steps. Launcher and ranks are killed when so many steps are "
        "taken, and the study is launched again.\n"
    )
    rows: list[list[object]] = []
    for stage in stages:
        recipe = _recipe(world, folder / str(stage), f"zero{stage}_fp32_cpu")
        whole, broken = (folder / str(stage) / name for name in ("whole", "killed"))
        run_study(recipe, whole, 2)
        moment = random.Random(f"kill {stage}").randint(2, 2 * NUM_STEPS - 1)
        study = start_study(recipe, broken, 2, log=folder / str(stage) / "log")
        while study.running and sum(map(len, tiny.all_losses(broken).values())) < moment:
            time.sleep(0.02)
        study.kill()
        went_on = "continuing after step" in run_study(recipe, broken, 2)
        answers = (went_on, *_same(whole, broken))
        rows.append([f"ZeRO {stage}", moment, *("yes" if answer else "no" for answer in answers)])
    columns = [
        "computed by",
        "killed after step",
        "went on from a checkpoint",
        "same losses",
        "same weights",
        "same rows",
    ]
    page.table(columns, rows)
    print("The same: bit for bit. Where it was killed before the first checkpoint of a stage, that stage began again.")
    return all(answer == "yes" for row in rows for answer in row[3:])


def _same(whole: Path, broken: Path) -> tuple[bool, bool, bool]:
    """Whether losses, weights and rows of two runs are, bit for bit."""
    rows = [(run / "results.jsonl").read_bytes() for run in (whole, broken)]
    pairs = [(path, broken / path.relative_to(whole)) for path in whole.glob("stages/*/weights.safetensors")]
    weights = bool(pairs) and all(mine.read_bytes() == theirs.read_bytes() for mine, theirs in pairs)
    return tiny.all_losses(broken) == tiny.all_losses(whole), weights, rows[0] == rows[1]


def _recipe(world: Path, folder: Path, deepspeed: str) -> Path:
    folder.mkdir(parents=True)
    loader = stage_keys.make_loader(world, "adapters")
    text = loader.features["mlm_text"].load(range(30))
    found = {word for feature in text for *_, word in stage_keys.find_words(loader.tokenizer, feature.tokens)}
    (folder / "pairs.txt").write_text("".join(f"{word}\t{word[::-1]}\n" for word in sorted(found)), encoding="utf-8")
    frozen: dict[str, Any] = {"encoder": "none", "bottleneck": 5, "orthogonal": 0.1}
    arm = [
        {"tasks": ["mlm_text"], "code_switch": {"dictionary": "pairs.txt", "rate": 0.5}, "trainable": frozen},
        {"tasks": ["mnli", "squad_v2"], "trainable": {**frozen, "bottleneck": 3}},
    ]
    target = {"languages": ["qaa_Latn"], "training": {"steps": 4}, "trainable": {"encoder": "none"}}
    return tiny.write_recipe(
        folder / "keys.yaml",
        world,
        deepspeed=deepspeed,
        training={"steps": NUM_STEPS, "batch_size": 9, "lr": 1e-2},
        tasks=[],
        arms={"keys": arm},
        baseline="keys",
        targets={"udpos": target},
    )


if __name__ == "__main__":
    sys.exit(main())
