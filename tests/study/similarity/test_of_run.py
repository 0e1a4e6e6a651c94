"""`similarity` of a small finished run: what it measures, against the encoder run on one text at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from xstilts import cli
from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.core.seeds import derive_seed
from xstilts.data.batch import collate
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.model.multitask import MultiTaskModel
from xstilts.study.models import Models
from xstilts.study.open import open_study
from xstilts.study.run import run_study
from xstilts.study.similarity.encode import Encoded
from xstilts.study.similarity.inputs import intermediate_inputs, target_inputs
from xstilts.study.similarity.measure import intermediate_stages
from xstilts.study.similarity.of_run import similarity_of_run
from xstilts.study.similarity.show import show
from xstilts.study.similarity.table import Measurement, read
from xstilts.study.study import Study
from xstilts.study.works import kinds_of

pytestmark = pytest.mark.usefixtures("one_rank")

MakeRecipe = Callable[..., Recipe]
LANGUAGES = {"languages": ["eng_Latn", "qaa_Latn"]}
TARGETS = {"xnli": LANGUAGES, "udpos": LANGUAGES, "tatoeba": {"languages": ["qaa_Latn"]}}


@pytest.fixture(scope="module")
def study(recipe: MakeRecipe, tmp_path_factory: pytest.TempPathFactory, one_rank: None) -> Study:
    study = open_study(recipe(targets=TARGETS), tmp_path_factory.mktemp("study"), device="cpu")
    run_study(study)
    return study


@pytest.fixture(scope="module")
def rows(study: Study) -> list[Measurement]:
    return similarity_of_run(study.workspace.root, 6, lambda line: None)[0]


def only(rows: list[Measurement], **fields: object) -> Measurement:
    (row,) = [row for row in rows if all(getattr(row, name) == value for name, value in fields.items())]
    return row


def mean_states(model: MultiTaskModel, segments: list[list[int]]) -> np.ndarray:
    """[K, H]: mean over texts of the mean over tokens, one text at a time through transformers' own forward."""
    model.eval().encoder.config._attn_implementation = "eager"
    with torch.no_grad():
        found = [model.encoder(torch.tensor([s]), output_hidden_states=True).hidden_states for s in segments]
    return np.mean([[state[0].mean(0).numpy() for state in states] for states in found], axis=0)


def test_cosines_are_those_of_the_encoder_run_on_one_text_at_a_time(study: Study, rows: list[Measurement]) -> None:
    (stage,) = intermediate_stages(study)
    models = Models(study.recipe.model, study.workspace, study.catalogue)
    task = intermediate_inputs(study, stage, 6)["mnli"]
    target = target_inputs(study.catalogue, "udpos", study.recipe.targets["udpos"], "qaa_Latn", 6)
    for weights, end in (("before", stage.parent), ("after", stage)):
        model = models.end(end)
        x, y = mean_states(model, task.segments), mean_states(model, target.segments)
        for layer in range(3):
            row = only(
                rows,
                **{"task": "mnli", "target": "udpos", "language": "qaa_Latn", "measure": "embedding_cosine"},
                **{"weights": weights, "layer": layer},
            )
            expected = x[layer] @ y[layer] / np.linalg.norm(x[layer]) / np.linalg.norm(y[layer])
            assert (row.value, row.num) == (pytest.approx(expected, abs=1e-5), 6)


def test_the_fisher_is_the_mean_squared_gradient_at_drawn_labels(study: Study) -> None:
    (stage,) = intermediate_stages(study)
    tokenizer = study.catalogue.tokenizer
    inputs = intermediate_inputs(study, stage, 3)["qqp"]
    model = Models(study.recipe.model, study.workspace, study.catalogue).end(stage)
    found = Encoded(model, tokenizer, 64, torch.device("cpu")).fisher("qqp", inputs, 2)
    generator = torch.Generator().manual_seed(derive_seed(0, "fisher", "qqp"))
    squares = {name: torch.zeros_like(values) for name, values in found.items()}
    for feature in inputs.features[:2]:
        model.zero_grad()
        batch = collate([TaskItems.of("qqp", [feature], 0.0)], kinds_of(model.heads), Collation(tokenizer))
        log_p = model(batch, "logits")["qqp"].log_softmax(-1)
        label = torch.multinomial(log_p[0].detach().exp(), 1, generator=generator)
        log_p[0, label].sum().backward()
        for name, parameter in model.encoder.encoder.named_parameters():
            squares[name] += parameter.grad.square() / 2
    assert found.keys() == dict(model.encoder.encoder.named_parameters()).keys()
    for name, values in found.items():
        torch.testing.assert_close(values, squares[name])


def test_every_measure_is_there_or_says_why_not(rows: list[Measurement]) -> None:
    assert {row.measure for row in rows} == {
        *("embedding_cosine", "centroid_distance", "cka_stage", "cka_english", "fisher_cosine", "chrf"),
        *("subword_jaccard", "subword_coverage", "syntactic_distance", "phonological_distance", "inventory_distance"),
        *("log_me", "h_score", "leep"),
    }
    assert all((row.value is None) == bool(row.missing) for row in rows)
    at = {"language": "qaa_Latn", "target": "xnli"}
    assert only(rows, **at, measure="fisher_cosine", task="mnli").value is not None
    lacking = only(rows, language="qaa_Latn", target="udpos", measure="fisher_cosine", task="mnli")
    assert lacking.missing == "the head of mnli (pair) reads no tagging examples"
    assert only(rows, **at, measure="syntactic_distance").missing == "qaa is no natural language"
    # The world's XNLI is translated; its UDPOS has an id for each treebank's sentence, and Tatoeba no English part.
    assert only(rows, **at, measure="cka_english", weights="after", layer=1).value is not None
    assert only(rows, language="qaa_Latn", target="tatoeba", measure="cka_english").value is None
    assert only(rows, target="xnli", measure="leep", task="qqp").num == 6
    assert only(rows, target="udpos", measure="log_me", weights="before").num > 6
    assert {row.missing for row in rows if row.target == "tatoeba" and row.measure == "log_me"} == {
        "the target trains no labels of a set"
    }


def test_the_table_lies_beside_the_results(study: Study, rows: list[Measurement]) -> None:
    root = study.workspace.root
    assert read(root / "similarity.parquet") == rows
    with (root / "similarity.csv").open(encoding="utf-8") as stream:
        assert len(list(csv.DictReader(stream))) == len(rows)


def test_the_summary_fits_80_columns(rows: list[Measurement]) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    show(rows, console)
    shown = console.export_text().splitlines()
    assert max(map(len, shown)) <= 80
    assert any(line.startswith("qaa_Latn") for line in shown) and any(line.startswith("xnli") for line in shown)


def test_other_folders_and_several_ranks_are_refused(
    recipe: MakeRecipe,
    tmp_path: Path,
    study: Study,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(UserError, match=r"run\.json: says no recipe there; give the directory of a run"):
        similarity_of_run(tmp_path, 6, print)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.main(["similarity", str(study.workspace.root)]) == 2
    assert capsys.readouterr().err.startswith("error: similarity is measured by one rank; ")
