"""HF Trainer on the data of a recipe of `trainer.py`; JSON lines: seconds, real tokens and places of each step.

    python benchmarks/hf_trainer.py RECIPE FOLDER default|best TASK|mix plain|deepspeed

On a GPU in bf16. `default`: what TrainingArguments says, padded to the longest of a batch. `best`: batches of like
length, fused AdamW. These are cut as `group_by_length` cuts them and drawn at random: HF's sampler gives the longest of
fifty batches first, and a few steps would have no others. Nothing is measured where they pad more than half as much as
batches cut at random.
`deepspeed`: ZeRO-2, started by its launcher. `plain`: several ranks, which `torchrun` starts, have DDP. `mix` shares
one encoder between HF's heads, a task a batch. Where batches are made here, those of all ranks in a step are of one
task and of like length.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from xstilts.config.recipe import Data
from xstilts.data.catalogue import Catalogue
from xstilts.tasks import find_task
from xstilts.text.tokenizer import Tokenizer

NUM_EXAMPLES = 2000
Row = dict[str, Any]


def main() -> None:
    given = [argument for argument in sys.argv[1:] if not argument.startswith("--local_rank")]  # of the launcher
    recipe_path, folder, (flags, task, engine) = given[0], Path(given[1]), given[2:]
    recipe = yaml.safe_load(Path(recipe_path).read_text(encoding="utf-8"))
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    encoder = recipe["model"]["pretrained"]
    tasks = recipe["arms"]["measured"][0]["tasks"]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(encoder)
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    batch = recipe["training"]["batch_size"] // world_size
    rows = {name: read_rows(recipe, folder, name) for name in tasks}
    models = {name: read_model(encoder, found) for name, found in rows.items()}
    best, on_gpu = flags == "best", torch.cuda.is_available()
    mixed = task == "mix"
    made = mixed or best
    """Whether the batches are made here."""
    data: Any = rows[task] if not made else batches(rows, batch, world_size, grouped=best)
    if best:
        check_grouped(data, batches(rows, batch, world_size, grouped=False))
    clock = Clock()
    arguments = TrainingArguments(
        output_dir=str(folder / "out"),
        max_steps=recipe["training"]["steps"],
        per_device_train_batch_size=1 if made else batch,
        learning_rate=recipe["training"]["lr"],
        use_cpu=not on_gpu,
        bf16=on_gpu,
        logging_steps=1000,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        deepspeed={"zero_optimization": {"stage": 2}, "train_micro_batch_size_per_gpu": "auto"}
        if engine == "deepspeed"
        else None,
        ddp_backend="gloo" if not on_gpu and world_size > 1 else None,
        remove_unused_columns=False,
        **({"train_sampling_strategy": "sequential"} if made else {}),
        **({"optim": "adamw_torch_fused", "ddp_find_unused_parameters": mixed} if best else {}),
    )

    def collate(chosen: list[Any]) -> dict[str, Any]:
        padded = pad(chosen[0] if made else chosen, tokenizer.pad_token_id)
        clock.sizes.append((int(padded["attention_mask"].sum()), padded["attention_mask"].numel()))
        return padded | ({"task": chosen[0][0]["task"]} if mixed else {})

    Trainer(
        Mixed(models) if mixed else models[task], arguments, train_dataset=data, data_collator=collate,
        callbacks=[clock], processing_class=tokenizer,
    ).train()  # fmt: skip
    mine = torch.tensor(clock.sizes[: len(clock.seconds)])
    if world_size > 1:
        torch.distributed.all_reduce(mine)
    if int(os.environ.get("RANK", "0")) == 0:
        steps = zip(clock.seconds, mine.tolist(), strict=True)
        records = ({"seconds": seconds, "loss": None, "tokens": n, "places": places} for seconds, (n, places) in steps)
        lines = [json.dumps(record) for record in records]
        (folder / "steps.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


class Clock(TrainerCallback):
    """Times from the end of one step to the end of the next, so that loading and collating count."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.sizes: list[tuple[int, int]] = []
        """Real tokens and places of each batch in the order of collation, which runs ahead of the steps."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._last = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now


class Mixed(nn.Module):
    """HF's heads over one encoder."""

    def __init__(self, models: dict[str, Any]) -> None:
        super().__init__()
        encoder = next(iter(models.values())).roberta
        for model in models.values():
            model.roberta = encoder
        self.models = nn.ModuleDict(models)
        self.config = next(iter(models.values())).config

    def forward(self, task: str, **inputs: Any) -> Any:
        return self.models[task](**inputs)


def read_model(encoder: str, rows: Sequence[Row]) -> Any:
    first = rows[0]
    if "start_positions" in first:
        return AutoModelForQuestionAnswering.from_pretrained(encoder)
    if isinstance(first["labels"], list):
        num_labels = 1 + max(max(row["labels"]) for row in rows)
        return AutoModelForTokenClassification.from_pretrained(encoder, num_labels=num_labels)
    if len(first["input_ids"]) == 1:
        num_labels = 1 + max(row["labels"] for row in rows)
        return AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=num_labels)
    return AutoModelForMultipleChoice.from_pretrained(encoder)


def read_rows(recipe: dict[str, Any], folder: Path, name: str, num_examples: int = NUM_EXAMPLES) -> list[Row]:
    """The same examples as here, as lists of ids. A window of a long context is a row, as in HF's own scripts."""
    data, encoder = recipe["data"], recipe["model"]["pretrained"]
    options = {key: value for key, value in data.items() if key not in ("root", "cache")}
    root, cache = Path(data["root"]), folder.parent / "cache-hf"
    catalogue = Catalogue(Data.model_validate({"root": root, **options}), root, cache, Tokenizer(encoder))
    task = find_task(name)
    stored = catalogue.train(task, ["eng_Latn"])
    rows: list[Row] = []
    for feature in stored.load(range(min(num_examples, len(stored)))):
        ends = [sum(feature.lengths[: i + 1]) for i in range(len(feature.lengths))]
        segments = [list(feature.tokens[end - n : end]) for end, n in zip(ends, feature.lengths, strict=True)]
        if task.kind.name == "span":
            for i, segment in enumerate(segments):
                start, end = feature.targets[2 * i : 2 * i + 2]
                rows.append({"input_ids": [segment], "start_positions": start, "end_positions": end})
        elif task.kind.name == "tagging":
            of_token = [-100] * len(feature.tokens)
            for position, target in zip(feature.positions, feature.targets, strict=True):
                of_token[position] = target if target >= 0 else -100
            rows.append({"input_ids": segments, "labels": of_token})
        else:
            rows.append({"input_ids": segments, "labels": feature.targets[0]})
    return [{**row, "task": name, "length": max(map(len, row["input_ids"]))} for row in rows]


def batches(rows: dict[str, list[Row]], batch: int, world_size: int = 1, *, grouped: bool) -> list[list[Row]]:
    """Batches of one task each in a random order, of like length if `grouped` (within 50 steps, as HF's sampler does).
    Those of a step, one for each rank, follow each other; they share the task and its lengths."""
    generator = random.Random(0)
    steps: list[list[Row]] = []
    together = batch * world_size
    for found in rows.values():
        order = generator.sample(found, len(found))
        if grouped:
            stretch = 50 * together
            pieces = [order[i : i + stretch] for i in range(0, len(order), stretch)]
            order = [row for piece in pieces for row in sorted(piece, key=lambda row: -row["length"])]
        whole = len(order) // together * together
        steps += [order[i : i + together] for i in range(0, whole, together)]
    generator.shuffle(steps)
    return [step[rank::world_size] for step in steps for rank in range(world_size)]


def check_grouped(grouped: list[list[Row]], drawn: list[list[Row]]) -> None:
    """Refuses batches said to be of like length where what brings their rows to the longest of a batch is not less than
    half of what it is in batches cut at random."""
    own, other = (
        sum(max(row["length"] for row in batch) - row["length"] for batch in made for row in batch)
        for made in (grouped, drawn)
    )
    if own > other / 2:
        raise SystemExit(f"batches are not grouped by length: {own:,} places of padding, {other:,} at random")


def pad(rows: Sequence[Row], pad_id: int) -> dict[str, Any]:
    """To the longest of the batch; choices of one example stand in a dimension of their own."""
    longest = max(row["length"] for row in rows)
    ids = torch.tensor([[ids + [pad_id] * (longest - len(ids)) for ids in row["input_ids"]] for row in rows])
    if "start_positions" in rows[0]:
        targets = {key: torch.tensor([row[key] for row in rows]) for key in ("start_positions", "end_positions")}
    elif isinstance(rows[0]["labels"], list):
        targets = {"labels": torch.tensor([row["labels"] + [-100] * (longest - row["length"]) for row in rows])}
    else:
        targets = {"labels": torch.tensor([row["labels"] for row in rows])}
    if ids.shape[1] == 1:  # one segment, not options
        ids = ids.squeeze(1)
    return {"input_ids": ids, "attention_mask": (ids != pad_id).long(), **targets}


if __name__ == "__main__":
    main()
