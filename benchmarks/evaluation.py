"""Prediction and scoring on two CPU cores beside HF's `Trainer.predict`, which makes the forwards alone, by turns.

    PYTHONPATH=FAISS python benchmarks/evaluation.py --data FOLDER [--encoder 4x256|FOLDER] [--rounds 2]
        [--jobs tydiqa mix mining] > benchmarks/evaluation.md

`tydiqa`: TyDi QA in Swahili, Arabic and Finnish. `mix`: four kinds of task in five languages. Here 2 ranks of one
thread predict, decode, score, bootstrap and write files. HF does no more than predict: in one process of two threads,
or in two of one thread that share the rows evenly, at every batch size of `--batch`, in the order of the data and
sorted by length, which its user has to do. All of these are tried on every tenth row; the quickest in the order of the
data, the quickest of those sorted and ours alternate on all rows. CPU seconds are those of all threads and ranks: other
load on the machine stretches them less than the clock's, but threads that wait for each other spin. `mining`: BUCC's
search against faiss's flat index on random vectors (PYTHONPATH names it), both directions, neighbours compared. On an
idle machine all of it takes some eleven minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
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
TRIED = 10
"""HF's settings are compared on every so many-th row."""


@dataclass(frozen=True)
class Setting:
    """How HF predicts."""

    processes: int
    batch: int
    sorted: bool

    def __str__(self) -> str:
        order = ", sorted by length" if self.sorted else ""
        return f"HF, batch {self.batch}{order}, {'2 threads' if self.processes == 1 else '2 processes'}"


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if not Path(options.encoder).exists():
            options.encoder = str(random_encoder(options, scratch))
        begin(f"Evaluation: {Path(options.encoder).name}", f"python benchmarks/evaluation.py {said(sys.argv[1:])}")
        for job in options.jobs:
            if job == "mining":
                subprocess.run([sys.executable, str(HERE / "benchmarks/mining.py"), "--rounds", "2"], check=True)
            else:
                compare(options, job, scratch)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", default="4x256")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--budget", type=int, default=4096, help="tokens of our batches at most")
    parser.add_argument("--jobs", nargs="+", default=["tydiqa", "mix", "mining"], choices=[*JOBS, "mining"])
    return parser.parse_args()


def compare(options: argparse.Namespace, job: str, scratch: Path) -> None:
    tried: dict[Setting, dict[str, Any]] = {}
    for processes in (1, 2):
        settings = [Setting(processes, batch, by_length) for by_length in (False, True) for batch in options.batch]
        of_settings = dict(zip(settings, hf(options, job, settings, scratch, share=TRIED), strict=True))
        tell(job, of_settings)
        tried |= of_settings
    chosen = [
        min((each for each in tried if each.sorted == by_length), key=lambda setting: seconds_of(tried[setting]))
        for by_length in (False, True)
    ]
    found: dict[Any, list[dict[str, Any]]] = {name: [] for name in (*chosen, OURS)}
    for turn in range(options.rounds):
        for name in list(found)[:: -1 if turn % 2 else 1]:
            found[name] += [here(options, job, scratch)] if name == OURS else hf(options, job, [name], scratch)
            tell(job, {name: found[name][-1]})
    profiled = here(options, job, scratch, profile=True)
    size = found[chosen[0]][0]
    print(f"## {job}: {size['num_rows']:,} rows, {size['num_tokens']:,} tokens\n")
    write_times(found)
    whole = seconds_of(profiled)
    print(f"Rank 0 under the profiler: {whole:.1f} s, {profiled['products'] / whole:.0%} of them in matrix products")
    print(f"and attention. Dearest: {', '.join(f'{name} {s:.1f} s' for s, name in profiled['dearest'][:8])}.\n")
    print(f"HF on every {TRIED}th row, s and CPU s:\n")
    seconds = (
        (setting, *(f"{seconds_of(each, what):.1f}" for what in ("seconds", "busy"))) for setting, each in tried.items()
    )
    print_table(("way", "s", "CPU s"), list(seconds))


def tell(job: str, found: dict[Any, dict[str, Any]]) -> None:
    """On stderr, for who waits."""
    for name, each in found.items():
        print(
            f"{job} {name}: {seconds_of(each):.1f} s, {seconds_of(each, 'busy'):.1f} CPU s", file=sys.stderr, flush=True
        )


def here(options: argparse.Namespace, job: str, scratch: Path, *, profile: bool = False) -> dict[str, Any]:
    """What ours took."""
    values = {"budget": options.budget, "profile": profile, "sources": {}}
    folder, path = write_job(options, job, scratch, values)
    launcher = str(Path(sys.executable).parent / "deepspeed")
    command = [launcher, "--num_gpus", "2", "--master_port", str(free_port()), str(HERE / "benchmarks/predict.py")]
    finish(start([*command, "here", str(path)], num_threads=1))
    found: dict[str, Any] = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    return found


def hf(
    options: argparse.Namespace, job: str, settings: list[Setting], scratch: Path, *, share: int = 1
) -> list[dict[str, Any]]:
    """What HF took under each of the settings, which are of equally many processes: by the clock as long as the slowest
    of them, and their CPU seconds together."""
    (num_processes,) = {setting.processes for setting in settings}
    given = [{"batch": setting.batch, "sorted": setting.sorted} for setting in settings]
    values = {"sources": {}, "settings": given, "share": share, "processes": num_processes}
    folder, running = None, []
    for process in range(num_processes):
        folder, path = write_job(options, job, scratch, {**values, "process": process}, folder)
        command = [sys.executable, str(HERE / "benchmarks/predict.py"), "hf", str(path)]
        running.append(start(command, num_threads=2 // num_processes))
    for each in running:
        finish(each)
    assert folder is not None
    told = [json.loads((folder / f"found-{i}.json").read_text(encoding="utf-8")) for i in range(num_processes)]
    found = []
    for of_processes in zip(*(each["settings"] for each in told), strict=True):
        joined: dict[str, Any] = {name: told[0][name] for name in ("num_rows", "num_tokens")}
        for what, join in (("seconds", max), ("busy", sum)):
            joined[what] = {task: join(each[what][task] for each in of_processes) for task in JOBS[job]}
        found.append(joined)
    return found


def write_job(
    options: argparse.Namespace, job: str, scratch: Path, values: dict[str, Any], folder: Path | None = None
) -> tuple[Path, Path]:
    """The folder that a process works in, and its job."""
    folder = folder or Path(tempfile.mkdtemp(dir=scratch))
    cache = scratch / "cache"
    cache.mkdir(exist_ok=True)
    values = {
        "encoder": options.encoder, "data": str(options.data.resolve()), "cache": str(cache), "folder": str(folder),
        "targets": JOBS[job], **values,
    }  # fmt: skip
    path = folder / f"job-{values.get('process', 0)}.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    return folder, path


def start(command: list[str], num_threads: int) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(HERE / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": str(num_threads)}
    environment |= {"DS_ACCELERATOR": "cpu", "TOKENIZERS_PARALLELISM": "false"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def finish(process: subprocess.Popen[str]) -> None:
    printed, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args} failed:\n{printed[-5000:]}")


def seconds_of(found: dict[str, Any], what: str = "seconds") -> float:
    return sum(found[what].values())


def write_times(found: dict[Any, list[dict[str, Any]]]) -> None:
    """Seconds by round, and the median over rounds of the ratio to ours in the same round."""
    rows: list[tuple[object, ...]] = []
    for name, rounds in found.items():
        cells = [", ".join(f"{seconds_of(each, what):.1f}" for each in rounds) for what in ("seconds", "busy")]
        ratios = [
            statistics.median(
                seconds_of(one, what) / seconds_of(other, what) for one, other in zip(rounds, found[OURS], strict=True)
            )
            for what in ("seconds", "busy")
        ]
        of_task = (f"{task} {statistics.median(r['busy'][task] for r in rounds):.1f}" for task in rounds[0]["busy"])
        rows.append((name, *cells, ", ".join(of_task), *(f"{ratio:.2f}" for ratio in ratios)))
    print_table(("way", "s", "CPU s", "CPU s of each task, median", "s over ours", "CPU s over ours"), rows)


if __name__ == "__main__":
    main()
