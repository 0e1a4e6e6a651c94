"""Two launches of one study: how long they take beside one launch on the same cores, and what SIGKILL leaves of them.

    python benchmarks/lanes.py [--only kills|time] > benchmarks/lanes.md

A study of 24 stages and 24 evaluations in an artificial world. `time`: one launch of 2 ranks and two launches of 1
rank, by turns, on 2 cores; it wants an idle machine. `kills`: two launches of 1 rank that are killed 20 times at random
moments, one or both at once, and started again; now and then one is frozen (SIGSTOP) until what it holds was taken
over, and woken. At the end losses and rows are compared with those of one launch of 1 rank that ran through, as exact
floats.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "distributed"))

import page
import tiny
from launch import ROOT, environment, start_study

from xstilts.evaluation.rows import Row, read_rows
from xstilts.study.lease import Claim, read_leases

LEASE_SECONDS = 5
SECTIONS = {
    "seeds": [0, 1, 2],
    "pretraining": [{"tasks": ["mlm_text"], "languages": ["eng_Latn", "qaa_Latn"]}],
    "arms": {"none": [], **{task: [{"tasks": [task]}] for task in ("mnli", "squad_v2", "cosmos_qa")}},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("kills", "time"))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--freezes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=80, help="of a stage")
    parser.add_argument("--rounds", type=int, default=2, help="of the timing")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    only = f" --only {options.only}" if options.only else ""
    with tempfile.TemporaryDirectory(prefix="xstilts-lanes-") as name:
        folder = Path(name)
        recipe = make_recipe(folder, options.steps)
        page.begin("Several launches of one study", f"python benchmarks/lanes.py{only}")
        wrong = 0
        if options.only != "kills":
            wrong += compare_times(folder, recipe, options.rounds)
        if options.only != "time":
            dice = random.Random(options.seed)
            wrong += suffer(folder, recipe, options.kills, options.freezes, dice)
    return int(wrong > 0)


def make_recipe(folder: Path, num_steps: int) -> Path:
    world = folder / "tiny" / "world"
    tiny.make_world(world)
    languages = ["eng_Latn", "qaa_Latn", "qab_Cyrl"]
    targets = {"udpos": {"languages": languages}, "tatoeba": {"languages": languages[1:]}}
    runtime = {
        "deepspeed": "zero1_fp32_cpu",
        "tokens_per_micro_batch": 512,
        "micro_batches_per_step": 2,
        "checkpoint_every": 10,
        "lease_seconds": LEASE_SECONDS,
    }
    training = {"steps": num_steps, "batch_size": 8, "lr": 1e-3}
    path = folder / "recipe.yaml"
    sections = {"runtime": runtime, "targets": targets, **SECTIONS}
    return tiny.write_recipe(path, world, deepspeed="", training=training, tasks=[], **sections)


def compare_times(folder: Path, recipe: Path, num_rounds: int) -> int:
    """Seconds of both, and how many rows differ between two launches of 1 rank and one of 2 ranks or of 1 rank."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(num_rounds):
        for num_launches in (1, 2) if turn % 2 == 0 else (2, 1):
            run_dir = folder / f"{num_launches}-{turn}"
            started = time.monotonic()
            logs = [folder / f"log-{num_launches}-{turn}-{i}" for i in range(num_launches)]
            launches = [start_study(recipe, run_dir, 2 // num_launches, log=log) for log in logs]
            codes = [launch.wait(1800) for launch in launches]
            seconds[num_launches].append(time.monotonic() - started)
            if any(codes):
                raise SystemExit(f"codes {codes}:\n{logs[0].read_text()[-3000:]}")
            say(f"{num_launches} launches: {seconds[num_launches][-1]:.0f} s")
    one, two = (sorted(read_rows(folder / f"{n}-0" / "results.jsonl"), key=str) for n in (1, 2))
    columns = ["", *(f"round {turn + 1}, s" for turn in range(num_rounds))]
    names = {1: "1 launch of 2 ranks", 2: "2 launches of 1 rank"}
    page.table(columns, [[names[n], *map(round, seconds[n])] for n in (1, 2)])
    ratio = sum(seconds[1]) / sum(seconds[2])
    num_different = sum(first != second for first, second in zip(one, two, strict=True))
    print(f"Two launches are {ratio:.2f} times as fast. Of {len(one)} rows {num_different} differ between them,")
    print(f"by at most {largest_change(one, two):.3g} points.\n")
    return num_published_twice(folder / "2-0")


def largest_change(one: Sequence[Row], other: Sequence[Row]) -> float:
    return max(abs(first.value - second.value) for first, second in zip(one, other, strict=True))


def suffer(folder: Path, recipe: Path, num_kills: int, num_freezes: int, dice: random.Random) -> int:
    alone, run_dir = folder / "alone", folder / "killed"
    with (folder / "log-alone").open("wb") as log:
        if start_alone(recipe, alone, log.name).wait(1800) != 0:
            raise SystemExit((folder / "log-alone").read_text()[-3000:])
    say("one launch has run through")
    lanes = [start_alone(recipe, run_dir, folder / f"log-lane-{i}") for i in range(2)]
    started = time.monotonic()
    kills, both, freezes, woken = 0, 0, 0, 0
    while kills < num_kills:
        wait_for(run_dir, records(run_dir) + dice.randint(1, 40), lanes)
        if freezes < num_freezes * kills // num_kills + (kills > num_kills // 4) and freezes < num_freezes:
            freezes += 1
            woken += freeze_until_taken_over(run_dir, lanes, dice)
            continue
        victims = [0, 1] if dice.random() < 0.75 and num_kills - kills > 1 else [dice.randrange(2)]
        both += len(victims) == 2
        for i in victims:
            lanes[i].kill()
        for i in victims:
            lanes[i].wait()
            lanes[i] = start_alone(recipe, run_dir, folder / f"log-lane-{i}")
        kills += len(victims)
        say(f"kill {kills}, {records(run_dir)} steps recorded, {time.monotonic() - started:.0f} s")
    codes = [lane.wait(1800) for lane in lanes]
    logs = "".join((folder / f"log-lane-{i}").read_text(errors="replace") for i in range(2))
    if any(codes):
        raise SystemExit(f"codes {codes}:\n{logs[-6000:]}")
    found, expected = tiny.all_losses(run_dir), tiny.all_losses(alone)
    num_losses = sum(
        found[name].get(step) != loss for name, losses in expected.items() for step, loss in losses.items()
    )
    rows = [sorted(read_rows(run / "results.jsonl"), key=str) for run in (run_dir, alone)]
    num_rows = sum(first != second for first, second in zip(*rows, strict=True))
    twice = num_published_twice(run_dir)
    left = [path.name for kind in ("stages", "evaluations") for path in (run_dir / kind).glob("*.*")]
    measured = [
        ("kills", kills),
        ("of them both launches at once", 2 * both),
        ("launches frozen until their work was taken over, and woken", woken),
        ("claims on stages and evaluations", sum(state.claim.token for state in read_leases(run_dir))),
        ("stages", len(expected)),
        ("stages continued from a checkpoint", logs.count("continuing after step")),
        ("steps compared", sum(map(len, expected.values()))),
        ("losses that differ", num_losses),
        ("rows compared", len(rows[1])),
        ("rows that differ", num_rows),
        ("published twice", twice),
        ("folders of attempts left", len(left)),
    ]
    page.table(["two launches of 1 rank", "number"], measured)
    return num_losses + num_rows + twice + len(left) + (woken < num_freezes) + (found.keys() != expected.keys())


def freeze_until_taken_over(run_dir: Path, lanes: Sequence[subprocess.Popen[bytes]], dice: random.Random) -> int:
    """Stops a launch that is at a stage until another one has taken that over, and lets it go on; 1 if it came so."""
    victim = lanes[dice.randrange(2)]
    if not until(lambda: bool(held_by(run_dir, victim.pid)), 120):
        return 0
    victim.send_signal(signal.SIGSTOP)
    try:
        claims = held_by(run_dir, victim.pid)  # now that it cannot end one
        taken = bool(claims) and until(lambda: newest_token(run_dir, claims[0].key) > claims[0].token, 180)
    finally:
        victim.send_signal(signal.SIGCONT)
    say(f"frozen: {', '.join(claim.label for claim in claims)}; taken over: {taken}")
    return int(taken)


def held_by(run_dir: Path, pid: int) -> list[Claim]:
    """The stages that a process holds."""
    held = [state for state in read_leases(run_dir) if state.claim.kind == "stage" and state.released is None]
    return [state.claim for state in held if state.owner and state.owner.pid == pid]


def newest_token(run_dir: Path, key: str) -> int:
    return max(state.claim.token for state in read_leases(run_dir) if state.claim.key == key)


def num_published_twice(run_dir: Path) -> int:
    texts = [path for path in run_dir.glob("leases/*/*.released") if path.read_text() == "published\n"]
    return len(texts) - len({path.parent for path in texts})


def start_alone(recipe: Path, run_dir: Path, log: Path | str) -> subprocess.Popen[bytes]:
    """A launch of 1 rank without a launcher, whose process is the one that is killed."""
    command = [sys.executable, str(ROOT / "train.py"), "run", str(recipe), "--run-dir", str(run_dir)]
    with Path(log).open("ab") as stream:
        return subprocess.Popen(
            command, env=environment(), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
        )


def records(run_dir: Path) -> int:
    """Steps recorded, those taken again included."""
    found = 0
    for path in run_dir.glob("stages/*/steps.jsonl"):
        with suppress(FileNotFoundError):  # it is published in this moment
            found += path.read_text(errors="replace").count('"loss"')
    return found


def wait_for(run_dir: Path, num_records: int, lanes: Sequence[subprocess.Popen[bytes]]) -> None:
    if not until(lambda: records(run_dir) >= num_records or any(lane.poll() is not None for lane in lanes), 900):
        raise SystemExit("no progress")
    if any(lane.poll() is not None for lane in lanes):
        raise SystemExit("a launch was over before all kills; give more --steps")


def until(true: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
