"""A kind, a metric and a task defined here, outside the package, go through a whole study: nothing else knows them.

The kind is regression: how alike two texts are, from 0 to 5. Its targets are whole numbers, hundredths.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from torch import Tensor, nn

from xstilts.config.recipe import Recipe
from xstilts.core.reading import read_tsv
from xstilts.data.statistics import statistics
from xstilts.evaluation.metrics import Metric, find_metric, metric
from xstilts.evaluation.metrics.metric import register_metric
from xstilts.kinds import Example, Kind
from xstilts.kinds.feature import Encoding, Feature
from xstilts.kinds.files import Items, as_lines, in_order, read_labels
from xstilts.kinds.head_input import Collation, HeadArrays, HeadInput, TaskItems
from xstilts.study.open import open_study
from xstilts.study.run import run_study
from xstilts.study.sources import sources_of
from xstilts.tasks import Layout, Source, Task, register, registry
from xstilts.xtreme.submission import path_of

MakeRecipe = Callable[..., Recipe]

NAME, METRIC = "toy_likeness", "toy_pearson"


@dataclass(frozen=True, slots=True)
class LikenessExample(Example):
    text_a: str
    text_b: str
    likeness: float


class Likeness(Kind[LikenessExample]):
    name = "toy"
    example_type = LikenessExample
    suffix = "txt"

    def encode(self, example: LikenessExample, encoding: Encoding) -> Feature:
        tokens, num_cut = encoding.join(example.text_a, example.text_b)
        return Feature(example.id, tokens, [len(tokens)], [0], [round(100 * example.likeness)], num_cut=num_cut)

    def texts(self, example: LikenessExample) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return (example.text_a, example.text_b), ()

    def classes(self, example: LikenessExample) -> Iterator[str]:
        yield "alike" if example.likeness > 2.5 else "unlike"

    def collate(self, items: TaskItems, tokens_L: np.ndarray, collation: Collation) -> HeadArrays:
        one_each = np.ones(len(items.features), dtype=np.int64)
        return HeadArrays(items.features.tokens.offsets, items.features.targets.flat(), items.weights, one_each)

    def layers(self, config: Any, num_classes: int, embeddings: nn.Embedding) -> dict[str, nn.Module]:
        return {"out": nn.Linear(config.hidden_size, 1)}

    def logits(self, layers: Mapping[str, nn.Module], hidden_TH: Tensor, given: HeadInput) -> Tensor:
        return layers["out"](layers["dropout"](hidden_TH)).squeeze(1)

    def losses(self, logits: Tensor, given: HeadInput) -> Tensor:
        return (logits.float() - given.targets / 100) ** 2

    def decode(self, features: Sequence[Feature], logits: Tensor, labels: Sequence[str] | None) -> list[float]:
        return logits.tolist()

    def reference(self, example: LikenessExample, language: str) -> float:
        return example.likeness

    def random_predictions(
        self,
        examples: Sequence[LikenessExample],
        references: Sequence[Any],
        labels: Sequence[str],
        generator: np.random.Generator,
    ) -> list[float]:
        return generator.uniform(0, 5, size=len(examples)).tolist()

    def constant_predictions(self, examples: Sequence[LikenessExample], references: Sequence[Any]) -> list[list[Any]]:
        return [[2.5] * len(references)]

    def write_predictions(self, examples: Sequence[LikenessExample], predictions: Sequence[float]) -> str:
        return as_lines(predictions)

    def read_items(self, predictions: Path, labels: Path, language: str, vocabulary: Collection[str]) -> Items:
        items = in_order(read_labels(predictions), read_labels(labels), "numbers")
        return Items([float(x) for x in items.references], [float(x) for x in items.predictions])


def pearson(sums: np.ndarray) -> np.ndarray:
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    spread = np.sqrt(np.maximum(n * xx - x * x, 0) * np.maximum(n * yy - y * y, 0))
    return np.divide(100 * (n * xy - x * y), spread, out=np.zeros_like(spread), where=spread > 0)


def read(source: Source) -> Iterator[LikenessExample]:
    for path in source.files:
        for line, (likeness, text_a, text_b) in read_tsv(path, 3):
            yield LikenessExample(str(line), text_a, text_b, float(likeness))


@pytest.fixture
def toy(world: Path) -> Iterator[Task]:
    """Registers task and metric, and writes the task's files below the data root."""
    paths = {split: (f"toy/{split}-{{code}}.tsv",) for split in ("train", "dev", "test")}
    languages = {"eng_Latn": "eng", "qaa_Latn": "qaa"}
    task = register(Task(NAME, Likeness(), "Toy", (Layout(read, paths),), languages, (METRIC,)))
    register_metric(Metric(METRIC, "Pearson", lambda x, y: (1.0, x, y, x * x, y * y, x * y), pearson))
    generator = np.random.default_rng(0)
    for split, size in (("train", 60), ("dev", 12), ("test", 10)):
        for code in languages.values():
            rows = [(round(5 * float(generator.random()), 2), "ab" * int(generator.integers(9))) for _ in range(size)]
            path = world / "toy" / f"{split}-{code}.tsv"
            path.parent.mkdir(exist_ok=True)
            path.write_text("".join(f"{likeness}\t{text}b\ta\n" for likeness, text in rows))
    yield task
    del registry._TASKS[NAME], metric._METRICS[METRIC]


@pytest.mark.usefixtures("one_rank")
def test_a_kind_a_metric_and_a_task_from_outside_make_a_study(toy: Task, recipe: MakeRecipe, tmp_path: Path) -> None:
    training = {"steps": 40, "batch_size": 8, "lr": 1e-2}
    with_dev = training | {"dev": {"every": 20, "num_examples": 6}}
    made = recipe(
        pretraining=[],
        arms={"none": [], "mixed": [{"tasks": ["mnli", NAME], "training": with_dev}]},
        targets={NAME: {"training": training, "max_examples": 9}},
    )
    study = open_study(made, tmp_path, device="cpu")
    rows = run_study(study)
    assert [(row.arm, row.language, row.metric, row.num_examples) for row in rows] == [
        (arm, language, METRIC, 9) for arm in ("none", "mixed") for language in toy.languages
    ]
    for row in rows:
        folder = study.workspace.submission(row.arm, row.seed)
        files = [path_of(root, toy, row.language) for root in (folder, study.workspace.labels)]
        items = toy.kind.read_items(*files, row.language, ())
        assert row.value == pytest.approx(100 * np.corrcoef(items.references, items.predictions)[0, 1])
        assert find_metric(METRIC).score(items.references, items.predictions) == pytest.approx(row.value)
        assert row.low <= row.value <= row.high and abs(row.chance) < 25 and row.majority == 0.0

    stages = {stage.label: study.workspace.stage(stage.id) for stage in study.graph.stages()}
    steps = (stages[f"none.{NAME}"] / "steps.jsonl").read_text().splitlines()
    losses = [record["loss"] for record in map(json.loads, steps) if "loss" in record]
    assert losses[-1] < losses[0] / 2
    assert json.loads((stages["mixed"] / "stage.json").read_text())["selection"] == "best_dev"
    assert {f"heads.{NAME}.out.weight", "heads.mnli.dense.weight"} <= load_file(
        stages["mixed"] / "weights.safetensors"
    ).keys()

    found = {(part.part.task, part.part.split): part for part in statistics(study.catalogue, sources_of(made))}
    assert sum(found[NAME, "train"].labels.values()) == found[NAME, "train"].num_examples == 60
