"""How many of a language's subwords an intermediate task's English inputs hold: the measure of `studies/similarity`.

    XSTILTS_DATA=FOLDER python benchmarks/similarity_texts.py > src/xstilts/recipes/studies/similarity.csv

No model is read, and no label. Sources of equal size: the first 20,000 pieces of each task's inputs.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from xstilts.measures.overlap import subword_coverage
from xstilts.tasks import find_task
from xstilts.text.tokenizer import Tokenizer

NUM_PIECES = 20_000


def main() -> int:
    root = Path(os.environ["XSTILTS_DATA"])
    tokenizer = Tokenizer(str(root / "tokenizer"))
    sources = {name: _pieces(tokenizer, texts(root)) for name, texts in TASKS.items()}
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("arm", "language", "value"))
    task = find_task("masakhapos")
    targets = {key: _pieces(tokenizer, _words(root / "masakhapos" / task.code_of(key))) for key in task.languages}
    for name, source in sources.items():
        for key, target in targets.items():
            writer.writerow((name, key, f"{subword_coverage([source], [target]):.4f}"))
    return 0


def _pieces(tokenizer: Tokenizer, texts: Iterable[str]) -> list[int]:
    return list(chain.from_iterable(tokenizer.encode(text).ids for text in texts))[:NUM_PIECES]


def _snli(root: Path) -> Iterator[str]:
    for line in (root / "snli" / "snli_1.0_dev.jsonl").open(encoding="utf-8"):
        row = json.loads(line)
        yield f"{row['sentence1']} {row['sentence2']}"


def _squad(root: Path) -> Iterator[str]:
    for article in json.loads((root / "squad_v2" / "dev-v2.0-part.json").read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            yield " ".join([paragraph["context"], *(question["question"] for question in paragraph["qas"])])


def _commonsense(root: Path) -> Iterator[str]:
    for line in (root / "commonsense_qa" / "train_rand_split.jsonl").open(encoding="utf-8"):
        question = json.loads(line)["question"]
        yield " ".join([question["stem"], *(choice["text"] for choice in question["choices"])])


def _cosmos(root: Path) -> Iterator[str]:
    with (root / "cosmos_qa" / "valid.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield " ".join([row["context"], row["question"], *(row[f"answer{i}"] for i in range(4))])


def _words(folder: Path) -> Iterator[str]:
    """The sentences of a test set, words joined by spaces."""
    for sentence in (folder / "test.txt").read_text(encoding="utf-8").split("\n\n"):
        yield " ".join(line.split(" ")[0] for line in sentence.splitlines() if line.strip())


TASKS: dict[str, Callable[[Path], Iterable[str]]] = {
    "snli": _snli,
    "squad_v2": _squad,
    "commonsense_qa": _commonsense,
    "cosmos_qa": _cosmos,
}


if __name__ == "__main__":
    sys.exit(main())
