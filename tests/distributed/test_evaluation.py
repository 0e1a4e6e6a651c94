"""Evaluation is the same to the last bit on 1, 2 and 3 ranks, whole or partitioned, with fewer examples than ranks."""

from __future__ import annotations

import functools
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from launch import run_ranks

from xstilts.config.training import Training
from xstilts.data.catalogue import Part
from xstilts.evaluation.items import tables_of
from xstilts.evaluation.predictor import Predictor
from xstilts.evaluation.results import examples_of, predictions_of, rows_of
from xstilts.evaluation.rows import Provenance
from xstilts.evaluation.work import Work
from xstilts.tasks import find_task
from xstilts.training.engine import Engine
from xstilts.xtreme.submission import write_predictions

pytestmark = pytest.mark.timeout(900)  # a launch serves many tests, and the cores may be shared

HEADS = ("mnli", "cosmos_qa", "tydiqa", "udpos")
SCORED = (
    ("mnli", "eng_Latn", "dev"),
    ("cosmos_qa", "eng_Latn", "dev"),
    ("tydiqa", "qaa_Latn", "test"),
    ("udpos", "eng_Latn", "test"),
    ("udpos", "qab_Cyrl", "test"),
    ("tatoeba", "qaa_Latn", "test"),
    ("lareqa", "eng_Latn", "test"),
    ("lareqa", "qab_Cyrl", "test"),
)
"""Every kind that has a score, English and not, and two languages with one pool."""
FEW = (("udpos", "eng_Latn", "test"), ("tatoeba", "qab_Cyrl", "test"))
"""Two sentences, and a retrieval that fits into one batch: two ranks of three have nothing to do."""
PROVENANCE = Provenance(arm="", stage="tiny", seed=0, seeds="0", selection="last", precision="fp32")
STAGES = (0, 3)
BUDGETS = {"all": 300, "few": 2000}


@functools.cache
def evaluated(world: Path, folder: Path, world_size: int) -> dict[tuple[int, str], Any]:
    """What every rank found; one launch per world size serves all tests."""
    works_of(world, "all"), works_of(world, "few")
    ranks = run_ranks(evaluate_everything, world_size, world, folder / str(world_size))
    assert all(rank == ranks[0] for rank in ranks), "ranks disagree"
    return ranks[0]


def evaluate_everything(world: Path, folder: Path) -> dict[tuple[int, str], Any]:
    """Runs in every rank: predictions, rows and the files that rank 0 wrote."""
    from xstilts.distributed import dist

    found = {}
    linear = torch.nn.functional.linear
    heads = {name: find_task(name).kind for name in HEADS}
    for stage in STAGES:
        engine = Engine(tiny.model(world, HEADS), Training(steps=1), tiny.deepspeed_json(stage))
        for name, budget in BUDGETS.items():
            works = works_of(world, name)
            outputs = Predictor(engine.evaluate, heads, tiny.catalogue(world).tokenizer, budget).predict(works)
            out = folder / f"{stage}-{name}"

            def write(works: Any = works, outputs: Any = outputs, out: Path = out) -> Any:
                rows = []
                for work, output in zip(works, outputs, strict=True):
                    examples = examples_of(work)
                    predictions = predictions_of(work, examples, output)
                    write_predictions(out / "p", work.task, work.language, examples, predictions)
                    tables = tables_of(work, examples, predictions)
                    rows += rows_of(work, examples, tables, PROVENANCE, spare_cache=out)
                files = {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.*"))}
                return [asdict(row) for row in rows], files

            assert [output is None for output in outputs] == [
                not work.task.kind.trainable and dist.rank() > 0 for work in works
            ], "embeddings are for rank 0 alone"
            plain = [
                [vector.tobytes() for vector in dist.on_first_rank(lambda o=output: o.take(range(len(o))))]
                if not work.task.kind.trainable
                else output
                for work, output in zip(works, outputs, strict=True)
            ]
            found[stage, name] = (plain, *dist.on_first_rank(write))
        engine.close()
        assert torch.nn.functional.linear is linear, "ZeRO-3 leaves another behind, which rounds otherwise in bf16"
    return found


def works_of(world: Path, name: str) -> list[Work]:
    opened = tiny.catalogue(world)
    works = []
    for task, language, split in ((find_task(task), *rest) for task, *rest in (SCORED if name == "all" else FEW)):
        features = opened.open(Part(task.name, split, language, scored=True))
        labels = opened.labels(find_task(task.trained_by)) if task.trained_by else None
        limited = name == "few" and task.kind.trainable
        works.append(Work(task, language, split, features, labels, 2 if limited else len(features)))
    return works


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "evaluation"


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", ["all", "few"])
def test_evaluation_does_not_depend_on_ranks_or_stage(
    tiny_world: Path, folder: Path, world_size: int, stage: int, name: str
) -> None:
    predictions, rows, files = evaluated(tiny_world, folder, world_size)[stage, name]
    expected_predictions, expected_rows, expected_files = evaluated(tiny_world, folder, 1)[0, name]
    assert predictions == expected_predictions
    assert rows == expected_rows
    assert files == expected_files
    assert all(prediction is not None for output in predictions for prediction in output)


def test_there_are_more_and_fewer_batches_than_ranks(tiny_world: Path) -> None:
    def num_tokens(work: Work) -> int:
        return int(work.features.num_tokens[: work.num_examples].sum())

    assert sum(num_tokens(work) for work in works_of(tiny_world, "all")) > 9 * BUDGETS["all"]
    assert all(num_tokens(work) <= BUDGETS["few"] for work in works_of(tiny_world, "few")), "one batch in each phase"
