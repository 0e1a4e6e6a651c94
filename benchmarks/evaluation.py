"""Prediction and scoring on two CPU cores beside HF's `Trainer.predict`, which makes the forwards alone, by turns.

    python benchmarks/evaluation.py --data FOLDER [--encoder 4x256|FOLDER] [--rounds 2] [--jobs tydiqa mix mining]
        > benchmarks/evaluation.md

`tydiqa`: TyDi QA in Swahili, Arabic and Finnish. `mix`: four kinds of task in five languages. Here 2 ranks of one
thread predict, decode, score, bootstrap and write files; HF is one process of two threads, at every batch size of
`--batch` in the order of the data, and at the first one sorted by length, and does no more than predict. The first
round tries all of HF's settings; later ones alternate the best in the order of the data, the best of all, and ours. CPU
seconds are those of all threads and ranks: other load on the machine stretches them less than the clock's, but threads
that wait for each other spin, so HF has a run of one thread too. `mining`: BUCC's search against faiss's flat index on
random vectors (PYTHONPATH names it), both directions, neighbours compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from page import begin
from page import table as print_table
from trainer import free_port, random_encoder, said

HERE = Path(__file__).resolve().parents[1]
JOBS = {
    "tydiqa": {"tydiqa": ["swh_Latn", "arb_Arab", "fin_Latn"]},
    "mix": {
        "tydiqa": ["swh_Latn"],
        "udpos": ["afr_Latn", "yor_Latn"],
        "masakhapos": [f"{code}_Latn" for code in ("bam", "yor")],
        "xcopa": ["swh_Latn"],
        "tatoeba": ["afr_Latn", "tel_Telu"],
    },
}
OURS = "this, 2 ranks"


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if not Path(options.encoder).exists():
            options.encoder = str(random_encoder(options, scratch))
        begin(f"Evaluation: {Path(options.encoder).name}", f"python benchmarks/evaluation.py {said(sys.argv[1:])}")
        for job in options.jobs:
            if job == "mining":
                subprocess.run([sys.executable, str(HERE / "benchmarks/mining.py")], check=True)
            else:
                compare(options, job, scratch)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", default="4x256")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--budget", type=int, default=4096, help="tokens of our batches at most")
    parser.add_argument("--jobs", nargs="+", default=["tydiqa", "mix", "mining"], choices=[*JOBS, "mining"])
    return parser.parse_args()


def compare(options: argparse.Namespace, job: str, scratch: Path) -> None:
    found: dict[str, list[dict[str, Any]]] = {}

    def measure(name: str) -> None:
        found.setdefault(name, []).append(run(options, job, name, scratch))
        print(f"{job} {name}: {seconds_of(found[name][-1]):.1f} s", file=sys.stderr, flush=True)

    every = [*map(hf_name, options.batch), f"{hf_name(options.batch[0])}, sorted by length"]
    every.append(f"{hf_name(options.batch[0])}, one thread")
    for name in (*every, OURS):
        measure(name)
    plain = min(map(hf_name, options.batch), key=lambda name: seconds_of(found[name][0]))
    best = min(every, key=lambda name: seconds_of(found[name][0]))
    again = [*dict.fromkeys((plain, best)), OURS]
    for turn in range(1, options.rounds):
        for name in again[:: -1 if turn % 2 else 1]:
            measure(name)
    profiled = run(options, job, OURS, scratch, profile=True)
    size = found[plain][0]
    print(f"## {job}: {size['num_rows']:,} rows, {size['num_tokens']:,} tokens\n")
    write_times(found, options.rounds)
    whole = seconds_of(profiled)
    print(f"Rank 0 under the profiler: {whole:.1f} s, {profiled['products'] / whole:.0%} of them in matrix products")
    print(f"and attention. Dearest: {', '.join(f'{name} {s:.1f} s' for s, name in profiled['dearest'][:8])}.\n")


def hf_name(batch: int) -> str:
    return f"HF, batch {batch}"


def run(options: argparse.Namespace, job: str, name: str, scratch: Path, *, profile: bool = False) -> dict[str, Any]:
    """What one way took."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    cache = scratch / "cache"
    cache.mkdir(exist_ok=True)
    values = {
        "encoder": options.encoder, "data": str(options.data.resolve()), "cache": str(cache), "folder": str(folder),
        "sources": {}, "targets": JOBS[job], "budget": options.budget, "profile": profile,
    }  # fmt: skip
    if name != OURS:
        values |= {"batch": int(name.split()[2].strip(",")), "sorted": "sorted" in name}
    path = folder / "job.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    script = str(HERE / "benchmarks/predict.py")
    if name == OURS:
        launcher = str(Path(sys.executable).parent / "deepspeed")
        command = [launcher, "--num_gpus", "2", "--master_port", str(free_port()), script, "here", str(path)]
    else:
        command = [sys.executable, script, "hf", str(path)]
    paths = os.pathsep.join([str(HERE / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {
        **os.environ,
        "PYTHONPATH": paths,
        "OMP_NUM_THREADS": "1" if name == OURS or "one thread" in name else "2",
    }
    environment |= {"DS_ACCELERATOR": "cpu", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    return found


def seconds_of(found: dict[str, Any], what: str = "seconds") -> float:
    return sum(found[what].values())


def write_times(found: dict[str, list[dict[str, Any]]], num_rounds: int) -> None:
    """Seconds by round, and the median over rounds of the ratio to ours in the same round."""
    rows: list[tuple[object, ...]] = []
    for name, rounds in found.items():
        cells = [", ".join(f"{seconds_of(each, what):.1f}" for each in rounds) for what in ("seconds", "busy")]
        ratios = [
            statistics.median(
                seconds_of(theirs, what) / seconds_of(ours, what)
                for theirs, ours in zip(rounds, found[OURS], strict=False)
            )
            for what in ("seconds", "busy")
        ]
        of_task = (f"{task} {statistics.median(r['busy'][task] for r in rounds):.1f}" for task in rounds[0]["busy"])
        rows.append((name, *cells, ", ".join(of_task), *(f"{ratio:.2f}" for ratio in ratios)))
    print_table(("way", "s", "CPU s", "CPU s of each task, median", "s over ours", "CPU s over ours"), rows)


if __name__ == "__main__":
    main()
