"""Seconds of a training step on two CPU ranks: this tree, another commit's tree, and HF Trainer, by turns.

    python benchmarks/step.py --encoder FOLDER --data FOLDER [--base TREE] [--rounds 3] [--batch 16 32] \
        [--tasks udpos commonsense_qa] [--page benchmarks/step.md]

`--encoder`: a pretrained XLM-R folder. `--base`: a worktree of another commit, which brings its own `train.py`. Each
round runs every trainer once on each task and batch size, so that they share what else the machine is doing; the first
steps are not counted. HF Trainer has both cores: one process of two threads, or two ranks of one under DeepSpeed; it
needs `accelerate`, which PYTHONPATH may name.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

NUM_STEPS = 14
NUM_WARM = 4
LR = 2e-5
HERE = Path(__file__).resolve().parents[1]
TRAINERS = ("this", "base", "hf", "hf + DeepSpeed")


def main() -> None:
    options = parse()
    if options.hf:
        train_hf(options)
        return
    found: dict[tuple[str, int, str], list[float]] = {}
    losses: dict[tuple[str, int, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        for turn in range(options.rounds):
            for task in options.tasks:
                for batch in options.batch:
                    for trainer in options.trainers:
                        folder = Path(name) / f"{turn}-{task}-{batch}-{trainer.replace(' ', '')}"
                        steps = measure(options, trainer, task, batch, folder, Path(name))
                        found.setdefault((task, batch, trainer), []).append(statistics.median(steps[0][NUM_WARM:]))
                        losses[task, batch, trainer] = steps[1]
                        print(task, batch, trainer, f"{found[task, batch, trainer][-1]:.3f} s a step", flush=True)
    lines = table(options, found)
    print("\n".join(lines))
    if options.page:
        options.page.write_text("\n".join(lines) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--tasks", nargs="+", default=["udpos", "commonsense_qa"])
    parser.add_argument("--trainers", nargs="+", default=TRAINERS)
    parser.add_argument("--deepspeed", default="zero2_fp32_cpu")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--hf", type=Path, help=argparse.SUPPRESS)
    options, _ = parser.parse_known_args()  # the launcher adds --local_rank
    return options


def measure(
    options: argparse.Namespace, trainer: str, task: str, batch: int, folder: Path, scratch: Path
) -> tuple[list[float], list[float]]:
    """Seconds and loss of each step."""
    folder.mkdir()
    port = ["--num_gpus", "2", "--master_port", str(free_port())]
    launcher = str(Path(sys.executable).parent / "deepspeed")
    if trainer in ("this", "base"):
        tree = HERE if trainer == "this" else options.base
        recipe = write_recipe(options, task, batch, folder, scratch / f"cache-{trainer}")
        command = [launcher, *port, str(tree / "train.py"), "run", str(recipe), "--run-dir", str(folder / "run")]
        threads = 1
    else:
        tree = HERE
        train = [__file__, "--encoder", str(options.encoder), "--data", str(options.data), "--hf", str(folder)]
        train += ["--tasks", task, "--batch", str(batch)]
        command = [launcher, *port, *train] if "DeepSpeed" in trainer else [sys.executable, *train]
        threads = 1 if "DeepSpeed" in trainer else 2
    paths = os.pathsep.join([str(tree / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": str(threads)}
    environment |= {"DS_ACCELERATOR": "cpu", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tree)
    stages = [*folder.glob("run/stages/*/steps.jsonl"), *folder.glob("steps.jsonl")]
    if done.returncode or len(stages) != 1:
        raise SystemExit(f"{trainer} failed:\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    records = [json.loads(line) for line in stages[0].read_text(encoding="utf-8").splitlines()]
    steps = [record for record in records if "seconds" in record]
    return [step["seconds"] for step in steps], [step["loss"] for step in steps]


def write_recipe(options: argparse.Namespace, task: str, batch: int, folder: Path, cache: Path) -> Path:
    """One stage of the task; retrieval of a few sentences, because a study has a target."""
    values = {
        "name": "step",
        "model": {"pretrained": str(options.encoder)},
        "data": {"root": str(options.data), "cache": str(cache)},
        "runtime": {"deepspeed": options.deepspeed, "micro_batches_per_step": 2, "checkpoint_every": 10**6},
        "training": {"steps": NUM_STEPS, "batch_size": batch, "lr": LR},
        "arms": {"none": [], "measured": [{"tasks": [task]}]},
        "targets": {"tatoeba": {"languages": ["afr_Latn"], "max_examples": 4}},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def train_hf(options: argparse.Namespace) -> None:
    """HF Trainer at its best flags for the task: batches of like length, padded to the longest, the fused AdamW."""
    import torch
    from transformers import (
        AutoModelForMultipleChoice,
        AutoModelForTokenClassification,
        PreTrainedTokenizerFast,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    (task,), (batch,) = options.tasks, options.batch
    features, num_labels = read_features(options, task)
    auto = AutoModelForTokenClassification if num_labels else AutoModelForMultipleChoice
    model = auto.from_pretrained(str(options.encoder), **({"num_labels": num_labels} if num_labels else {}))
    seconds: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.begun = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds.append(time.perf_counter() - self.begun)

    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    zero2 = {"zero_optimization": {"stage": 2}, "train_micro_batch_size_per_gpu": "auto"}
    arguments = TrainingArguments(
        output_dir=str(options.hf / "out"),
        max_steps=NUM_STEPS,
        per_device_train_batch_size=batch // world_size,
        learning_rate=LR,
        weight_decay=0.01,
        warmup_steps=1,
        train_sampling_strategy="group_by_length",
        optim="adamw_torch_fused",
        dataloader_num_workers=0,
        use_cpu=True,
        logging_steps=1000,
        save_strategy="no",
        report_to=[],
        deepspeed=zero2 if world_size > 1 else None,
        remove_unused_columns=False,
    )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(options.encoder))
    trainer = Trainer(
        model, arguments, train_dataset=features, data_collator=lambda rows: pad(rows, tokenizer.pad_token_id),
        callbacks=[Clock()], processing_class=tokenizer,
    )  # fmt: skip
    trainer.train()
    if int(os.environ.get("RANK", "0")) == 0:
        lines = [json.dumps({"seconds": each, "loss": None}) for each in seconds]
        (options.hf / "steps.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_features(options: argparse.Namespace, task: str) -> tuple[list[dict[str, Any]], int]:
    """The same examples as here, as lists of ids: `input_ids`, `labels`, and for choices a list of both."""
    from xstilts.config.recipe import Data
    from xstilts.data.catalogue import Catalogue
    from xstilts.tasks import find_task
    from xstilts.text.tokenizer import Tokenizer

    cache = options.hf.parent / "cache-hf"
    catalogue = Catalogue(Data(root=options.data), options.data, cache, Tokenizer(str(options.encoder)))
    found, labels = find_task(task), catalogue.labels(find_task(task))
    stored = catalogue.train(found, ["eng_Latn"])
    rows = []
    for feature in stored.load(range(min(2000, len(stored)))):
        if labels is not None:
            of_token = [-100] * len(feature.tokens)
            for position, target in zip(feature.positions, feature.targets, strict=True):
                of_token[position] = target
            rows.append({"input_ids": [list(feature.tokens)], "labels": of_token})
        else:
            ends = [sum(feature.lengths[: i + 1]) for i in range(len(feature.lengths))]
            options_ids = [list(feature.tokens[e - n : e]) for e, n in zip(ends, feature.lengths, strict=True)]
            rows.append({"input_ids": options_ids, "labels": feature.targets[0]})
    return [{**row, "length": max(map(len, row["input_ids"]))} for row in rows], len(labels or ())


def pad(rows: Sequence[dict[str, Any]], pad_id: int) -> dict[str, Any]:
    """To the longest of the batch."""
    import torch

    longest = max(row["length"] for row in rows)
    ids = torch.tensor([[o + [pad_id] * (longest - len(o)) for o in row["input_ids"]] for row in rows])
    labels = [row["labels"] for row in rows]
    if isinstance(labels[0], list):
        ids, labels = ids.squeeze(1), [of + [-100] * (longest - len(of)) for of in labels]
    return {"input_ids": ids, "attention_mask": (ids != pad_id).long(), "labels": torch.tensor(labels)}


def table(options: argparse.Namespace, found: dict[tuple[str, int, str], list[float]]) -> list[str]:
    """Medians over rounds, and the median of the ratios within a round."""
    lines = ["| task | batch | trainer | s a step, by round | times this |", "|---|---|---|---|---|"]
    for (task, batch, trainer), seconds in found.items():
        mine = found[task, batch, "this"]
        ratio = statistics.median(theirs / ours for theirs, ours in zip(seconds, mine, strict=True))
        lines.append(f"| {task} | {batch} | {trainer} | {', '.join(f'{s:.2f}' for s in seconds)} | {ratio:.1f} |")
    return lines


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
