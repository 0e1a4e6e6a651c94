"""Rows of toy works, their files in XTREME's layout, and what baselines score."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xstilts.core.errors import UserError
from xstilts.evaluation import baselines, results
from xstilts.evaluation.embeddings import Embeddings
from xstilts.evaluation.items import tables_of
from xstilts.evaluation.results import dev_score, examples_of, predictions_of, rows_of, tuned_threshold
from xstilts.evaluation.rows import Provenance, Row
from xstilts.evaluation.work import Work
from xstilts.kinds import Answer, PairExample, RetrievalExample, SpanExample, TaggingExample
from xstilts.xtreme.submission import write_predictions

MakeWork = Callable[..., Work]
PROVENANCE = Provenance(arm="", stage="abc", seed=3, seeds="3-3", selection="last", precision="bf16")
NLI = ("entailment", "neutral", "contradiction")


def scored(work: Work, outputs: Any, folder: Path, threshold: float | None = None) -> dict[str, Row]:
    """Metric -> row; files go below `folder`."""
    examples = examples_of(work)
    predictions = predictions_of(work, examples, outputs, threshold)
    rows = rows_of(work, examples, tables_of(work, examples, predictions), PROVENANCE, spare_cache=folder / "spare")
    write_predictions(folder / "predictions", work.task, work.language, examples, predictions, split=work.split)
    return {row.metric: row for row in rows}


def pairs(*labels: str) -> list[PairExample]:
    return [PairExample(str(i), "the dog sees", "a cat", label) for i, label in enumerate(labels)]


def test_a_row_says_what_was_scored(make_work: MakeWork, tmp_path: Path) -> None:
    work = make_work("xnli", pairs("neutral", "neutral", "entailment", "neutral"), "swh_Latn", labels=NLI)
    row = scored(work, ["neutral", "entailment", "entailment", "neutral"], tmp_path)["accuracy"]
    assert (row.task, row.language, row.split, row.num_examples) == ("xnli", "swh_Latn", "test", 4)
    assert {name: getattr(row, name) for name in vars(PROVENANCE)} == vars(PROVENANCE)
    assert row.value == 75.0
    assert row.majority == 75.0
    assert row.chance == pytest.approx(100 / 3, abs=1.5)
    assert row.low <= 75.0 <= row.high
    assert row.primary


def test_predictions_are_written_in_the_submission_layout(make_work: MakeWork, tmp_path: Path) -> None:
    work = make_work("xnli", pairs("neutral", "entailment"), "swh_Latn", labels=NLI)
    scored(work, ["neutral", "neutral"], tmp_path)
    assert (tmp_path / "predictions/xnli/test-sw.tsv").read_text() == "neutral\nneutral\n"


def test_only_the_first_examples_are_scored_where_that_is_asked_for(make_work: MakeWork, tmp_path: Path) -> None:
    work = make_work("xnli", pairs("neutral", "entailment", "neutral"), labels=NLI, num_examples=2)
    row = scored(work, ["neutral", "neutral"], tmp_path)["accuracy"]
    assert (row.value, row.num_examples) == (50.0, 2)
    assert (tmp_path / "predictions/xnli/test-en.tsv").read_text() == "neutral\nneutral\n"


def test_every_metric_of_a_task_has_a_row_and_the_first_is_primary(make_work: MakeWork, tmp_path: Path) -> None:
    context = "the old dog sees a young cat"
    questions = [
        SpanExample("1", "w w", context, (Answer("old dog", 4),)),
        SpanExample("2", "w", context, (Answer("young cat", 19),)),
    ]
    rows = scored(make_work("xquad", questions), ["old dog", "cat"], tmp_path)
    assert rows["squad_em"].value == 50.0
    # "cat" has one of two right words: precision 1, recall 1/2, F1 2/3.
    assert rows["squad_f1"].value == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert [name for name, row in rows.items() if row.primary] == ["squad_f1"]
    assert json.loads((tmp_path / "predictions/xquad/test-en.json").read_text()) == {"1": "old dog", "2": "cat"}


def test_tags_are_scored_against_those_of_the_release(make_work: MakeWork, tmp_path: Path) -> None:
    sentences = [TaggingExample("1", ("the", "dog"), ("DET", "NOUN")), TaggingExample("2", ("sees",), ("VERB",))]
    work = make_work("udpos", sentences, labels=("DET", "NOUN", "VERB"))
    rows = scored(work, [("DET", "VERB"), ("VERB",)], tmp_path)
    assert rows["token_accuracy"].value == pytest.approx(200 / 3)
    assert (tmp_path / "predictions/udpos/test-en.tsv").read_text() == "DET\nVERB\n\nVERB\n\n"


def sides(*queries: tuple[str, str]) -> list[RetrievalExample]:
    """(query id, id of its right candidate), the candidates named so before them."""
    found = [RetrievalExample(right, "candidate", f"a {right}") for _, right in queries]
    return found + [RetrievalExample(query, "query", f"the {query}", relevant=(right,)) for query, right in queries]


def vectors(*degrees: float, lengths: float | list[float] = 1.0) -> Embeddings:
    """The first of them in the pool."""
    radians = np.deg2rad(np.array(degrees))
    return embeddings((np.stack([np.cos(radians), np.sin(radians)]) * lengths).T)


def embeddings(vectors: Any) -> Embeddings:
    array = np.array(vectors, dtype=np.float32)
    return Embeddings(array[:1], array[1:])


def test_retrieval_ranks_candidates_by_cosine(make_work: MakeWork, tmp_path: Path) -> None:
    work = make_work("tatoeba", sides(("q0", "c0"), ("q1", "c1")), "deu_Latn")
    # Query 0 at 0 degrees is nearest to candidate 0 at 10; query 1 at 80 to candidate 1 at 60, its length aside.
    row = scored(work, vectors(10, 60, 0, 80, lengths=[1, 5, 1, 1]), tmp_path)["top1"]
    assert (row.value, row.num_examples, row.chance, row.majority) == (100.0, 2, 50.0, None)
    wrong = scored(work, vectors(60, 10, 0, 80), tmp_path)["top1"]
    assert wrong.value == 0.0


def test_the_threshold_of_mining_is_tuned_on_the_dev_split(make_work: MakeWork, tmp_path: Path) -> None:
    # Cosines: 1 and 1, and 3/sqrt(17) = 0.73 of q2 and c2, whose other cosines are 0.49. Margins over the mean of all
    # three neighbours: 1 / ((0.495 + 0.333) / 2) = 2.4 twice, and 0.73 / ((0.243 + 0.566) / 2) = 1.8.
    outputs = embeddings([[1, 0, 0], [0, 1, 0], [2, 2, 3], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    queries = [("q0", "c0"), ("q1", "c1"), ("q2", "c9")]
    examples = [RetrievalExample(c, "candidate", f"a {c}") for c in ("c0", "c1", "c2")]
    examples += [RetrievalExample(q, "query", f"the {q}", relevant=() if c == "c9" else (c,)) for q, c in queries]
    dev = make_work("bucc2018", examples, "deu_Latn", split="dev")
    threshold = tuned_threshold(dev, outputs)
    assert threshold == pytest.approx((2.415 + 1.799) / 2, abs=0.01)
    # The third pair is wrong on dev and dropped; on the test split, where it is right, it is missed.
    test = make_work("bucc2018", sides(("q0", "c0"), ("q1", "c1"), ("q2", "c2")), "deu_Latn")
    assert scored(test, outputs, tmp_path, threshold)["mining_f1"].value == pytest.approx(100 * 2 * 2 / (2 + 3))
    assert (tmp_path / "predictions/bucc2018/test-de.tsv").read_text() == "q0\tc0\nq1\tc1\n"
    assert scored(test, outputs, tmp_path, 0.0)["mining_f1"].value == 100.0


def test_the_dev_score_is_that_of_the_first_metric(make_work: MakeWork) -> None:
    work = make_work("xnli", pairs("neutral", "entailment"), labels=NLI)
    assert dev_score(work, ["neutral", "neutral"]) == 50.0


@pytest.mark.parametrize("block", [1, 2, 1000])
def test_examples_that_works_begin_with_alike_are_parsed_once(
    make_work: MakeWork, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(results, "_ROWS", block)
    pool = [RetrievalExample(f"c{i}", "candidate", text) for i, text in enumerate(("the dog", "a cat", "w"))]
    other_ids = [*pool[:2], RetrievalExample("other", "candidate", "w")]
    sides = [
        [*pool, RetrievalExample("q", "query", "dog")],
        pool,
        [*pool, RetrievalExample("p", "query", "w")],
        other_ids,
    ]
    works = [
        make_work("lareqa", each, language)
        for each, language in zip(sides, ("eng_Latn", "deu_Latn", "fra_Latn", "rus_Cyrl"), strict=True)
    ]
    works.append(make_work("mewslix", pool, num_examples=2))
    found = list(results.examples_of_each(works))
    assert found == [*sides, pool[:2]]
    num_shared = [sum(a is b for a, b in zip(*pair, strict=False)) for pair in itertools.pairwise(found)]
    assert num_shared == [3, 3, 2, 0]


def test_examples_come_back_as_the_reader_gave_them(make_work: MakeWork) -> None:
    question = SpanExample("1", "w", "the  old\u0301 dog", (Answer("old\u0301", 5), Answer("dog", 10)))
    assert examples_of(make_work("xquad", [question])) == [question]


def test_chance_and_majority_are_worked_out_once_per_data(
    make_work: MakeWork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(baselines, "chance", lambda *_, **__: calls.append("chance") or 12.5)
    monkeypatch.setattr(baselines, "majority", lambda *_: None)
    examples = pairs("neutral", "entailment", "neutral")
    for _ in range(2):
        row = scored(make_work("xnli", examples, labels=NLI), ["neutral"] * 3, tmp_path)["accuracy"]
        assert (row.chance, row.majority) == (12.5, None)
    assert calls == ["chance"]
    scored(make_work("xnli", examples, labels=NLI, num_examples=2), ["neutral"] * 2, tmp_path)
    assert calls == ["chance"] * 2


def test_a_damaged_file_of_baselines_is_named(make_work: MakeWork, tmp_path: Path) -> None:
    work = make_work("xnli", pairs("neutral"), labels=NLI)
    scored(work, ["neutral"], tmp_path)
    (path,) = work.features.path.parent.glob("*.baselines-*.json")
    path.write_text("{")
    with pytest.raises(UserError, match=rf"{path.name}: is damaged; remove it"):
        scored(work, ["neutral"], tmp_path)
