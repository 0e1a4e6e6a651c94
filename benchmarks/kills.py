"""A study under SIGKILL: 20 times at random moments on 2 ranks, at ZeRO 1, 2 and 3, against one that runs through.

    python benchmarks/kills.py > benchmarks/kills.md

Half of the kills end everything at once, as a loss of power does; half end one rank, and the launcher ends the other.
Every launch is the same command. At the end the last loss of every step, the results and the predictions are compared,
losses as exact floats. Dropout is on; every second study saves its checkpoints aside.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "distributed"))

import page
import psutil
import tiny
from launch import Study, run_study, start_study

TASKS = tiny.ALL_HEADS
SECTIONS = {
    "pretraining": [{"tasks": ["mlm_text"], "languages": ["eng_Latn", "qaa_Latn"], "training": {"dev": None}}],
    "arms": {"none": [], "mixed": [{"tasks": list(TASKS)}]},
    "targets": {"udpos": {"languages": ["eng_Latn", "qaa_Latn"], "training": {"steps": 12, "dev": None}}},
}
TRAINING = {"steps": 24, "batch_size": 9, "lr": 1e-3, "dev": {"every": 6, "num_examples": 6}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="of each study")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="xstilts-kills-") as name:
        folder = Path(name)
        world = folder / "tiny" / "world"
        tiny.make_world(world)
        for stage in (1, 2, 3):
            rows.append(
                suffer(folder / str(stage), world, stage, options.kills, random.Random(options.seed * 10 + stage))
            )
    page.begin(f"{options.kills} SIGKILLs in one study", "python benchmarks/kills.py")
    columns = ["ZeRO stage", "kills", "of one rank", "launches that continued from a checkpoint", "steps taken again"]
    columns += ["steps compared", "losses that differ", "files of results and predictions that differ"]
    page.table(columns, rows)
    return int(any(row[-1] or row[-2] for row in rows))


def suffer(folder: Path, world: Path, stage: int, num_kills: int, dice: random.Random) -> list[object]:
    folder.mkdir()
    runtime = {
        "deepspeed": f"zero{stage}_fp32_cpu",
        "tokens_per_micro_batch": 320,
        "checkpoint_every": 2,
        "async_checkpoint": stage % 2 == 0,
    }
    recipe = tiny.write_recipe(
        folder / "recipe.yaml", world, deepspeed="", training=TRAINING, tasks=TASKS, runtime=runtime, **SECTIONS
    )
    unbroken, killed = folder / "unbroken", folder / "killed"
    run_study(recipe, unbroken, 2, timeout=900)
    num_single, num_continued, num_again = 0, 0, 0
    done = 0
    while done < num_kills:
        before = records(killed)
        study = start_study(recipe, killed, 2, log=folder / f"log{done}")
        wait_for(killed, before + dice.randint(1, 5), study)
        time.sleep(dice.random() / 5)
        if not study.running:
            raise SystemExit(f"ZeRO-{stage}: the study was over after {done} kills; lengthen it")
        single = dice.random() < 0.5
        kill_one_rank(study, dice.randrange(2)) if single else study.kill()
        num_single += single
        num_continued += "continuing after step" in study.log.read_text(errors="replace")
        done += 1
        print(f"ZeRO-{stage}: kill {done}, {records(killed)} steps recorded", file=sys.stderr, flush=True)
    run_study(recipe, killed, 2, timeout=900)
    found, expected = tiny.all_losses(killed), tiny.all_losses(unbroken)
    assert found.keys() == expected.keys()
    num_steps = sum(map(len, expected.values()))
    num_again = records(killed) - num_steps
    different = sum(found[name].get(step) != loss for name, losses in expected.items() for step, loss in losses.items())
    return [
        stage,
        num_kills,
        num_single,
        num_continued,
        num_again,
        num_steps,
        different,
        different_files(killed, unbroken),
    ]


def records(run_dir: Path) -> int:
    """Steps recorded, those taken again included."""
    found = 0
    for path in run_dir.glob("stages/*/steps.jsonl"):
        with suppress(FileNotFoundError):  # its folder gets its own name in this moment
            found += path.read_text().count('"loss"')
    return found


def wait_for(run_dir: Path, num_records: int, study: Study) -> None:
    deadline = time.monotonic() + 600
    while study.running and records(run_dir) < num_records:
        if time.monotonic() > deadline:
            raise SystemExit(f"no progress:\n{study.log.read_text()[-3000:]}")
        time.sleep(0.005)


def kill_one_rank(study: Study, rank: int) -> None:
    ranks = [p for p in psutil.Process(study.pid).children(recursive=True) if f"--local_rank={rank}" in p.cmdline()]
    for process in ranks:
        process.kill()
    study.wait(120)


def different_files(one: Path, other: Path) -> int:
    names = {path.relative_to(run) for run in (one, other) for path in run.rglob("*") if path.is_file()}
    kept = [name for name in names if {"predictions", "labels", "evaluations"} & set(name.parts)]
    assert kept
    return sum(not same(one / name, other / name) for name in kept)


def same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()


if __name__ == "__main__":
    sys.exit(main())
