"""One process of `evaluation.py`: tasks predicted and scored here, or predicted by HF's `Trainer.predict`.

    python benchmarks/predict.py here|hf JOB.json

The job names encoder, data, cache, targets with their languages, and the folder where the seconds go. Heads have random
weights. `here` times `score_target`: forwards, decoding, metrics, intervals, files. `hf` times `predict` alone, of one
model for each task, on every `share`-th row and under each of `settings`; retrieval is scored by nothing there, and a
whole encoder makes its embeddings. Of several processes each has its part of the rows, and waits for the others before
each task.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from xstilts.config.recipe import Data
from xstilts.config.target import Target
from xstilts.data.catalogue import Catalogue, Part
from xstilts.data.store import FeatureSet
from xstilts.tasks import find_task
from xstilts.text.tokenizer import Tokenizer

MATRIX_PRODUCTS = (
    "mkldnn::_linear_pointwise",
    "aten::mm",
    "aten::addmm",
    "aten::bmm",
    "aten::baddbmm",
    "aten::_scaled_dot_product",
)
Row = dict[str, Any]


def main() -> None:
    given = [argument for argument in sys.argv[1:] if not argument.startswith("--local_rank")]  # of the launcher
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    job = json.loads(Path(given[1]).read_text(encoding="utf-8"))
    (here if given[0] == "here" else hf)(job)


def open_catalogue(job: dict[str, Any]) -> Catalogue:
    root = Path(job["data"])
    data = Data.model_validate({"root": root, "sources": job["sources"]})
    return Catalogue(data, root, Path(job["cache"]), Tokenizer(job["encoder"]))


def here(job: dict[str, Any]) -> None:
    from xstilts.config.recipe import Model
    from xstilts.distributed import dist
    from xstilts.evaluation.baselines import baselines_of
    from xstilts.evaluation.results import examples_of
    from xstilts.evaluation.rows import Provenance
    from xstilts.model.encoder import pretrained_encoder
    from xstilts.model.multitask import HeadSpec, MultiTaskModel
    from xstilts.study.graph import Leaf
    from xstilts.study.models import inference
    from xstilts.study.target_scores import ScoredModel, score_target
    from xstilts.study.works import works_of

    dist.set_up()
    catalogue = open_catalogue(job)
    encoder, _ = pretrained_encoder(Model(pretrained=job["encoder"]), catalogue.tokenizer)
    provenance = Provenance("none", "", 0, "0", "pretrained", "fp32")
    folder = Path(job["folder"])
    profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) if job["profile"] else None
    scored: dict[str, ScoredModel] = {}
    for target in job["targets"]:
        task = find_task(target)
        labels = {task.trained_by: catalogue.labels(find_task(task.trained_by))} if task.trained_by else {}
        specs = {name: HeadSpec(find_task(name).kind, len(found or ())) for name, found in labels.items()}
        model = MultiTaskModel(encoder, specs, seed=0)
        scored[target] = ScoredModel(inference(model, job.get("precision", "fp32"), dist.device()), labels, provenance)

    def leaf_of(target: str, languages: Sequence[str], limit: int | None = None) -> Leaf:
        return Leaf("none", target, 0, None, tuple(languages), Target(languages=list(languages), max_examples=limit))

    def score(target: str, languages: Sequence[str], limit: int | None = None) -> None:
        leaf = leaf_of(target, languages, limit)
        score_target(leaf, scored[target], catalogue, job["budget"], folder / "found", folder)

    for target, languages in job["targets"].items():  # features opened, memory touched, what no model changes known
        score(target, languages, 32)
        for work in works_of(leaf_of(target, languages), catalogue, scored[target].labels) if dist.rank() == 0 else ():
            examples = examples_of(work)
            baselines_of(work, examples, work.task.kind.references(examples, work.language), folder)
    if profiler:
        profiler.start()
    seconds, busy, num_tokens = {}, {}, 0
    for target, languages in job["targets"].items():
        works = works_of(leaf_of(target, languages), catalogue, scored[target].labels)
        num_tokens += sum(int(work.features.num_tokens.sum()) for work in works)
        dist.barrier()
        started = time.perf_counter(), time.process_time()
        score(target, languages)
        seconds[target] = time.perf_counter() - started[0]
        (busy[target],) = dist.sum_over_ranks([time.process_time() - started[1]])
    if profiler:
        profiler.stop()
    if dist.rank() == 0:
        found: dict[str, Any] = {"seconds": seconds, "busy": busy, "num_tokens": num_tokens}
        if profiler:
            times = {each.key: each.self_cpu_time_total for each in profiler.key_averages()}
            products = sum(spent for name, spent in times.items() if name.startswith(MATRIX_PRODUCTS))
            found["products"] = products / 1e6
            found["dearest"] = sorted(((spent / 1e6, name) for name, spent in times.items()), reverse=True)[:12]
        (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")
    dist.tear_down()


def hf(job: dict[str, Any]) -> None:
    from transformers import Trainer, TrainingArguments

    catalogue, folder = open_catalogue(job), Path(job["folder"])
    number, num_processes = job["process"], job["processes"]
    found: list[dict[str, dict[str, float]]] = [{"seconds": {}, "busy": {}} for _ in job["settings"]]
    num_rows, num_tokens = 0, 0
    for target, languages in job["targets"].items():
        kind = find_task(target).kind.name
        rows: list[Row] = []
        for language in languages:
            rows += read_rows(catalogue.open(Part(target, "test", language, scored=True)), kind)
        num_rows += len(rows)
        num_tokens += sum(map(len, (segment for row in rows for segment in row["input_ids"])))
        rows = rows[:: job["share"]]
        model = read_model(job["encoder"], kind, len(catalogue.labels(find_task(target)) or ()))
        for of_setting, setting in zip(found, job["settings"], strict=True):
            # In rank order of length, so that each process has as much to do.
            order = sorted(range(len(rows)), key=lambda i: -rows[i]["length"])[number::num_processes]
            own = [rows[i] for i in (order if setting["sorted"] else sorted(order))]
            arguments = TrainingArguments(
                output_dir=str(folder / "out"), per_device_eval_batch_size=setting["batch"], report_to=[],
                use_cpu=not torch.cuda.is_available(), bf16_full_eval=job.get("precision") == "bf16",
                disable_tqdm=True, remove_unused_columns=False, label_names=[],
            )  # fmt: skip
            trainer = Trainer(model, arguments, data_collator=lambda chosen: pad(chosen, catalogue.tokenizer.pad))
            trainer.predict(own[: setting["batch"]])
            wait_for_all(folder, f"{target}-{setting}", number, num_processes)
            started = time.perf_counter(), time.process_time()
            trainer.predict(own)
            of_setting["seconds"][target] = time.perf_counter() - started[0]
            of_setting["busy"][target] = time.process_time() - started[1]
    shutil.rmtree(folder / "out", ignore_errors=True)
    told = {"settings": found, "num_rows": num_rows, "num_tokens": num_tokens}
    (folder / f"found-{number}.json").write_text(json.dumps(told), encoding="utf-8")


def wait_for_all(folder: Path, what: str, number: int, num_processes: int) -> None:
    """Returns when every process has come here."""
    (folder / f"{what}.{number}").touch()
    while not all((folder / f"{what}.{other}").exists() for other in range(num_processes)):
        time.sleep(0.01)


def read_model(encoder: str, kind: str, num_labels: int) -> Any:
    from transformers import (
        AutoModel,
        AutoModelForMultipleChoice,
        AutoModelForQuestionAnswering,
        AutoModelForTokenClassification,
    )

    if kind == "span":
        return AutoModelForQuestionAnswering.from_pretrained(encoder)
    if kind == "choice":
        return AutoModelForMultipleChoice.from_pretrained(encoder)
    if kind == "tagging":
        return AutoModelForTokenClassification.from_pretrained(encoder, num_labels=num_labels)

    class Embeddings(torch.nn.Module):
        """What a sentence's tokens are on average."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = AutoModel.from_pretrained(encoder, add_pooling_layer=False)
            self.config = self.encoder.config

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
            hidden = self.encoder(input_ids, attention_mask).last_hidden_state
            weights = attention_mask.unsqueeze(2) / attention_mask.sum(1)[:, None, None]
            return {"embeddings": (hidden * weights).sum(1)}

    return Embeddings()


def read_rows(stored: FeatureSet, kind: str) -> list[Row]:
    """The ids that are predicted here too; each window of a long context and each piece of a sentence is a row."""
    rows: list[Row] = []
    for feature in stored.load(range(len(stored))):
        ends = [sum(feature.lengths[: i + 1]) for i in range(len(feature.lengths))]
        segments = [list(feature.tokens[end - n : end]) for end, n in zip(ends, feature.lengths, strict=True)]
        grouped = [segments] if kind == "choice" else [[segment] for segment in segments]
        rows += [{"input_ids": group, "length": max(map(len, group))} for group in grouped]
    return rows


def pad(rows: Sequence[Row], pad_id: int) -> dict[str, torch.Tensor]:
    """To the longest of the batch; choices of one example stand in a dimension of their own."""
    longest = max(row["length"] for row in rows)
    ids = torch.tensor([[ids + [pad_id] * (longest - len(ids)) for ids in row["input_ids"]] for row in rows])
    if ids.shape[1] == 1:  # one segment, not options
        ids = ids.squeeze(1)
    return {"input_ids": ids, "attention_mask": (ids != pad_id).long()}


if __name__ == "__main__":
    main()
