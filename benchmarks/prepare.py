"""Memory and speed of `train.py prepare` on a corpus of the size and form of ANLI+ (1.1 million pairs).

    XSTILTS_DATA=FOLDER python benchmarks/prepare.py --folder SCRATCH > benchmarks/prepare.md

Sentences are random words of NTREX's English, as long as those of the real releases; the tokenizer is XSTILTS_DATA's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

ANLI = {"R1": 16_946, "R2": 45_460, "R3": 100_459}
MNLI, SNLI = 392_702, 549_367
"""Training pairs with a gold label of each release: 1,104,934 together."""

LABELS = ("entailment", "neutral", "contradiction")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="scratch folder for corpus and cache, 3 GB")
    folder: Path = parser.parse_args().folder
    data = Path(os.environ["XSTILTS_DATA"])
    if not (folder / "whole").exists():
        write_corpus(folder, (data / "ntrex" / "newstest2019-src.eng.txt").read_text(encoding="utf-8").split())
        (folder / "whole").touch()
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"name: anli-plus\nmodel: {{tokenizer: {data / 'tokenizer'}}}\ndata: {{root: {folder}}}\ntargets: {{}}\n"
        "training: {steps: 1}\narms: {none: [], anli: [{tasks: [anli_plus]}]}\n"
    )
    first, first_peak = timed(recipe, folder)
    second, _ = timed(recipe, folder)
    num_pairs = sum(ANLI.values()) + MNLI + SNLI
    corpus = sum(path.stat().st_size for name in ("anli", "mnli", "snli") for path in (folder / name).rglob("*.*"))
    cache = sum(path.stat().st_size for path in (folder / "run" / "cache").iterdir())
    print(f"# `prepare` on {num_pairs:,} pairs\n")
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine}, Python {platform.python_version()}.")
    print("Made by `XSTILTS_DATA=FOLDER python benchmarks/prepare.py --folder SCRATCH`; one worker.")
    print(f"Load of the machine at the end: {os.getloadavg()[1]:.1f} processes.\n")
    print("| what | value |\n|---|---|")
    print(f"| corpus | {corpus / 2**20:,.0f} MiB |")
    print(f"| Arrow cache | {cache / 2**20:,.0f} MiB |")
    print(f"| peak resident memory | {first_peak / 2**20:,.2f} GiB |")
    print(f"| time | {first:,.0f} s |")
    print(f"| speed | {num_pairs / first:,.0f} pairs/s |")
    print(f"| called again, all in the cache | {second:,.0f} s |")


def timed(recipe: Path, folder: Path) -> tuple[float, int]:
    """Seconds and the peak resident memory in KiB of one call."""
    begun = time.perf_counter()
    command = [sys.executable, str(ROOT / "train.py"), "prepare", str(recipe), "--run-dir", str(folder / "run")]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def write_corpus(folder: Path, words: list[str]) -> None:
    """ANLI in its three rounds, MNLI in the GLUE form, SNLI; average words per text as in the releases."""
    draw = random.Random(0)

    def text(mean: int) -> str:
        return " ".join(draw.choices(words, k=max(3, round(draw.gauss(mean, mean / 3)))))

    for name, number in ANLI.items():
        rows = (
            {"uid": f"{name}-{i}", "context": text(54), "hypothesis": text(10), "label": "enc"[i % 3]}
            for i in range(number)
        )
        write_lines(folder / "anli" / name / "train.jsonl", map(json.dumps, rows))
    rows = (
        {"pairID": str(i), "sentence1": text(13), "sentence2": text(8), "gold_label": LABELS[i % 3]}
        for i in range(SNLI)
    )
    write_lines(folder / "snli" / "snli_1.0_train.jsonl", map(json.dumps, rows))
    cells = (f"{i}\t{text(20)}\t{text(10)}\t{LABELS[i % 3]}" for i in range(MNLI))
    write_lines(folder / "mnli" / "train.tsv", iter(["index\tsentence1\tsentence2\tgold_label", *cells]))


def write_lines(path: Path, lines: Iterator[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
