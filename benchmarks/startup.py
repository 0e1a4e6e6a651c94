"""How long commands take to start, warm: wall and processor time, the best of some starts.

    python benchmarks/startup.py [--before CHECKOUT] [--finished FOLDER] > benchmarks/startup.md

Needs two idle cores and the environment of `make setup`. A checkout from before is timed by turns with this one. The
study is `demo`, which is run to its end first for each checkout; `--finished` is a folder for the run directories
`now` and `before`, which are kept there, and found there the next time.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from page import begin, table

ROOT = Path(__file__).resolve().parents[1]

LEARNT = """A plan of a prepared recipe, `status` and every `--help` load neither torch nor transformers. Where nothing
is prepared, or the tokenizer is named by a hub id, a plan loads the tokenizer with transformers, which takes seconds.
Under `deepspeed` the launcher, its child and the ranks import DeepSpeed before the study is looked at, for ranks must
agree before they end: such a start keeps these seconds, and is spared the rest. `launch` looks before it starts a
rank."""


def times(command: list[str], checkout: Path) -> tuple[float, float]:
    """Wall and processor seconds of a command and all that it starts."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        command, cwd=checkout, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True
    )
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def commands(checkout: Path, run_dir: Path, hostfile: Path) -> dict[str, list[str]]:
    """What is typed -> the command, in a checkout whose study is finished in `run_dir`."""
    train = [sys.executable, str(checkout / "train.py")]
    run = ["run", "demo", "--run-dir", str(run_dir)]
    ranks = ["deepspeed", "--quiet", "--num_gpus", "2", str(checkout / "train.py"), *run]
    return {
        "--help": [*train, "--help"],
        "plan --help": [*train, "plan", "--help"],
        "launch --help": [*train, "launch", "--help"],
        "status RUN_DIR": [*train, "status", str(run_dir)],
        "plan demo, prepared": [*train, "plan", "demo", "--run-dir", str(run_dir)],
        "plan demo, from nothing": [*train, "plan", "demo"],
        "run demo, finished, one rank": [*train, *run],
        "run demo, finished, deepspeed with 2 ranks": ranks,
        "launch -- run demo, finished, 2 ranks": [*train, "launch", "--hostfile", str(hostfile), "--", *run],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="another checkout, timed by turns with this one")
    parser.add_argument("--finished", type=Path, help="where their finished studies are, or go")
    parser.add_argument("--starts", type=int, default=3, help="of each command; default 3")
    options = parser.parse_args()
    before = options.before
    checkouts = {**({"before": before.resolve()} if before else {}), "now": ROOT}
    with tempfile.TemporaryDirectory() as folder:
        hostfile = Path(folder) / "hostfile"
        hostfile.write_text("localhost slots=2\n")
        typed = {}
        for name, checkout in checkouts.items():
            typed[name] = commands(checkout, (options.finished or Path(folder)).resolve() / name, hostfile)
            times(typed[name]["run demo, finished, deepspeed with 2 ranks"], checkout)  # to its end
        rows: list[list[object]] = []
        for what in typed["now"]:
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in checkouts}
            for _ in range(options.starts):
                for name, checkout in checkouts.items():
                    found[name].append(times(typed[name][what], checkout))
            best = [min(each[i] for each in found[name]) for name in checkouts for i in (0, 1)]
            rows.append([f"`{what}`", *(f"{seconds:.2f}" for seconds in best)])
    begin("Start-up", "python benchmarks/startup.py" + (" --before CHECKOUT" if before else ""))
    print(f"Seconds, the best of {options.starts} starts each: wall, and processor time of all processes.\n")
    table(["", *(f"{name}, {of}" for name in checkouts for of in ("wall", "processor"))], rows)
    print(LEARNT)


if __name__ == "__main__":
    main()
