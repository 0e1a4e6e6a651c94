"""The smallest study that has everything: two artificial languages, a model of two layers, dropout on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from xstilts.config.deepspeed import load_deepspeed_config
from xstilts.config.recipe import Data, Model
from xstilts.config.training import Mixing, Training
from xstilts.core.seeds import derive_seed
from xstilts.data.catalogue import Catalogue
from xstilts.data.loader import StepLoader
from xstilts.data.plan import BatchPlan
from xstilts.model.encoder import new_encoder
from xstilts.model.multitask import HeadSpec, MultiTaskModel
from xstilts.synthetic import write_world
from xstilts.synthetic.settings import World
from xstilts.tasks import find_task
from xstilts.text.tokenizer import Tokenizer

ALL_HEADS = ("mlm_text", "mnli", "squad_v2", "ccg", "cosmos_qa")
"""A task of each head kind."""

ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}
MODEL = Model(config=ENCODER)
MAX_LENGTH = 64
DOC_STRIDE = 16
SEED = 7


def make_world(root: Path) -> None:
    """Some dozens of examples of each task."""
    sizes = {"num_train": 60, "num_dev": 12, "num_test": 10, "num_text": 80, "num_bitext": 20, "num_pieces": 400}
    write_world(World(languages={"qaa_Latn": 0.2, "qab_Cyrl": 0.8}, **sizes), root)


def write_recipe(
    path: Path, world: Path, *, deepspeed: str, training: Mapping[str, Any], tasks: Sequence[str], **sections: Any
) -> Path:
    """A recipe with an arm `mixed` over `tasks` and the target UDPOS; `sections` replace its own."""
    values = {
        "name": "tiny",
        "data": {
            "root": str(world),
            "cache": str(world.parent / "cache"),
            "max_length": MAX_LENGTH,
            "doc_stride": DOC_STRIDE,
        },
        "model": {"config": ENCODER},
        "runtime": {"deepspeed": deepspeed, "tokens_per_micro_batch": 320, "checkpoint_every": 3},
        "training": dict(training),
        "arms": {"none": [], "mixed": [{"tasks": list(tasks)}]},
        "targets": {"udpos": {"languages": ["eng_Latn", "qaa_Latn"], "training": {"steps": 2}}},
        **sections,
    }
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def catalogue(world: Path) -> Catalogue:
    """Call it in one process before several share its cache."""
    data = Data(root=world, max_length=MAX_LENGTH, doc_stride=DOC_STRIDE)
    return Catalogue(data, world, world.parent / "cache", Tokenizer(str(world / "tokenizer")))


def loader(world: Path, tasks: Sequence[str], training: Training, mixing: Mixing, token_budget: int) -> StepLoader:
    """The step loader of a stage over English `tasks`."""
    opened = catalogue(world)
    found = [find_task(name) for name in tasks]
    features = {task.name: opened.train(task, ["eng_Latn"]) for task in found}
    plan = BatchPlan(SEED, {name: len(rows) for name, rows in features.items()}, mixing, training.batch_size)
    return StepLoader(
        plan, features, {task.name: task.kind for task in found}, opened.tokenizer, training, token_budget
    )


def model(world: Path, tasks: Sequence[str]) -> MultiTaskModel:
    """A fresh model with a head per task; the same on every call."""
    opened = catalogue(world)
    specs = {task.name: HeadSpec(task.kind, len(opened.labels(task) or ())) for task in map(find_task, tasks)}
    return MultiTaskModel(new_encoder(MODEL, opened.tokenizer, seed=0), specs, seed=derive_seed(SEED, "heads"))


def deepspeed_json(stage: int, precision: str = "fp32") -> Mapping[str, Any]:
    """The shipped CPU configuration of a ZeRO stage."""
    return load_deepspeed_config(f"zero{stage}_{precision}_cpu").values


def shapes(model: MultiTaskModel) -> dict[str, tuple[int, ...]]:
    """Shape of each parameter; of the whole one under ZeRO-3 too."""
    return {name: tuple(getattr(p, "ds_shape", p.shape)) for name, p in model.named_parameters()}


def losses(folder: Path) -> dict[int, float]:
    """Step -> loss of a stage's `steps.jsonl`, the last record of each step; a line cut short by a kill is none."""
    found = {}
    for line in (folder / "steps.jsonl").read_text(encoding="utf-8").splitlines(keepends=True):
        record = json.loads(line) if line.endswith("}\n") else {}
        if "loss" in record:
            found[record["step"]] = record["loss"]
    return found


def all_losses(run_dir: Path) -> dict[str, dict[int, float]]:
    """Stage id -> its losses; of one that is in work its folder's name."""
    found = {}
    for path in sorted(run_dir.glob("stages/*/steps.jsonl")):
        with suppress(FileNotFoundError):  # its folder gets another name in this moment
            found[path.parent.name] = losses(path.parent)
    return found
