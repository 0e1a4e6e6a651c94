"""Rows of the hub become the examples of the official files. The hub is a folder of parquet files here."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from xstilts.config.recipe import Data
from xstilts.core.errors import UserError
from xstilts.data.catalogue import Catalogue
from xstilts.data.source import find_source
from xstilts.kinds import Answer, Example, SpanExample
from xstilts.tasks import all_tasks, find_task
from xstilts.text.tokenizer import Tokenizer

Publish = Callable[..., None]


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Puts rows on the hub under (task, split, language), where only the task's own request finds them."""
    published: dict[tuple[str, str | None, str, str], Path] = {}
    real = datasets.load_dataset

    def load(path: str, config: str | None, *, revision: str, split: str) -> Any:
        request = (path, config, revision, split)
        if request not in published:
            raise ConnectionError(f"no {request}\nsecond line")
        folder = tmp_path / "hub-cache"
        return real("parquet", data_files=str(published[request]), split="train", cache_dir=str(folder))

    def put(task: str, split: str, language: str, rows: list[dict[str, Any]], part: int = 0) -> None:
        whole = find_task(task).hub
        assert whole is not None
        hub = whole.parts()[part]
        config = hub.config and hub.config.replace("{code}", find_task(task).code_of(language))
        file = tmp_path / f"{task}-{split}-{language}-{part}.parquet"
        datasets.Dataset.from_list(rows).to_parquet(str(file))
        published[(hub.path, config, hub.revision, hub.splits[split])] = file

    monkeypatch.setattr(datasets, "load_dataset", load)
    return put


def examples(data: Data, task: str, split: str, language: str = "eng_Latn") -> list[Example]:
    return list(find_source(data, data.root, find_task(task), split, language).examples())


def test_qqp(publish: Publish, tmp_path: Path) -> None:
    rows = [("a?", "b?", 1), ('say "c"?', "d\u0301?", 0)]
    (tmp_path / "qqp").mkdir()
    lines = [f"{i}\t{2 * i}\t{2 * i + 1}\t{a}\t{b}\t{label}\n" for i, (a, b, label) in enumerate(rows)]
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    (tmp_path / "qqp" / "dev.tsv").write_text(header + "".join(lines), encoding="utf-8")
    publish(
        "qqp",
        "dev",
        "eng_Latn",
        [{"question1": a, "question2": b, "label": label, "idx": i} for i, (a, b, label) in enumerate(rows)],
    )
    assert examples(Data(hub=True), "qqp", "dev") == examples(Data(root=tmp_path), "qqp", "dev")


def test_commonsense_qa(publish: Publish, real_data: Path) -> None:
    rows = []
    for line in (real_data / "commonsense_qa" / "dev_rand_split.jsonl").read_text(encoding="utf-8").splitlines():
        official = json.loads(line)
        question = official["question"]
        choices = {key: [choice[key] for choice in question["choices"]] for key in ("label", "text")}
        hub = {"id": official["id"], "question": question["stem"], "question_concept": question["question_concept"]}
        rows.append({**hub, "choices": choices, "answerKey": official["answerKey"]})
    publish("commonsense_qa", "dev", "eng_Latn", rows)
    found = examples(Data(hub=True), "commonsense_qa", "dev")
    assert len(found) == 1221
    assert found == examples(Data(root=real_data), "commonsense_qa", "dev")


def test_cosmos_qa(publish: Publish, real_data: Path) -> None:
    with (real_data / "cosmos_qa" / "valid.csv").open(encoding="utf-8", newline="") as stream:
        rows = [{**row, "label": int(row["label"])} for row in csv.DictReader(stream)]
    publish("cosmos_qa", "dev", "eng_Latn", rows)
    found = examples(Data(hub=True), "cosmos_qa", "dev")
    assert len(found) == 2985
    assert found == examples(Data(root=real_data), "cosmos_qa", "dev")


@pytest.mark.parametrize("language", ["deu_Latn", "hin_Deva"])
def test_xquad(publish: Publish, real_data: Path, language: str) -> None:
    code = find_task("xquad").code_of(language)
    document = json.loads((real_data / "xquad" / f"xquad.{code}.json").read_text(encoding="utf-8"))
    rows = [
        {
            **{"id": qa["id"], "context": paragraph["context"], "question": qa["question"]},
            "answers": {key: [answer[key] for answer in qa["answers"]] for key in ("text", "answer_start")},
        }
        for article in document["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]
    publish("xquad", "test", language, rows)
    found = examples(Data(hub=True), "xquad", "test", language)
    assert len(found) == 1190
    assert found == examples(Data(root=real_data), "xquad", "test", language)


def test_tydiqa_is_one_dataset_of_all_languages(publish: Publish) -> None:
    answers = {"text": ["b"], "answer_start": [2]}
    ids = ("english-1-0", "swahili-2-0", "english-3-0")
    publish(
        "tydiqa",
        "test",
        "swh_Latn",
        [{"id": id_, "context": "a b", "question": "?", "answers": answers} for id_ in ids],
    )
    source = find_source(Data(hub=True), None, find_task("tydiqa"), "test", "swh_Latn")
    assert list(source.examples()) == [SpanExample("swahili-2-0", "?", "a b", (Answer("b", 2),))]
    assert not source.skipped


def test_anli_plus_is_three_datasets(publish: Publish, tmp_path: Path) -> None:
    def row(text: str, label: int) -> dict[str, Any]:
        return {"premise": text, "hypothesis": "h", "label": label}

    publish("anli_plus", "dev", "eng_Latn", [row("r1", 0), row("r2", 2)], part=0)
    publish("anli_plus", "dev", "eng_Latn", [row("mnli", 1)], part=1)
    publish("anli_plus", "dev", "eng_Latn", [row("none", -1), row("snli", 2)], part=2)
    source = find_source(Data(hub=True), None, find_task("anli_plus"), "dev", "eng_Latn")
    found = [(example.id, example.text_a, example.label) for example in source.examples()]  # type: ignore[union-attr]
    assert found == [
        ("0", "r1", "entailment"),
        ("1", "r2", "contradiction"),
        ("2", "mnli", "neutral"),
        ("4", "snli", "contradiction"),
    ]
    assert source.skipped.total() == 1
    assert set(source.contents()) == {
        "facebook/anli plain_text dev_r1+dev_r2+dev_r3",
        "nyu-mll/glue mnli validation_matched",
        "stanfordnlp/snli plain_text validation",
    }


def test_social_iqa_and_copa(publish: Publish, tmp_path: Path) -> None:
    siqa = {"context": "Jo fell.", "question": "Why?", "answerA": "ice", "answerB": "joy", "answerC": "tea"}
    copa = {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 1, "idx": 0}
    for name, row in (("siqa/socialIQa_v1.4_dev", {**siqa, "correct": "C"}), ("copa/val", copa)):
        file = tmp_path / f"{name}.jsonl"
        file.parent.mkdir()
        file.write_text(json.dumps(row))
    publish("siqa", "dev", "eng_Latn", [{**siqa, "label": "3"}])
    publish("copa", "dev", "eng_Latn", [copa])
    for task in ("siqa", "copa"):
        assert examples(Data(hub=True), task, "dev") == examples(Data(root=tmp_path), task, "dev")


@pytest.mark.parametrize("task", [task.name for task in all_tasks() if task.hub])
def test_every_dataset_is_pinned_to_a_commit(task: str) -> None:
    hub = find_task(task).hub
    assert hub is not None
    assert all(re.fullmatch("[0-9a-f]{40}", part.revision) for part in hub.parts())


def test_absent_from_the_hub_is_one_line(publish: Publish) -> None:
    with pytest.raises(UserError, match="task 'qqp': cannot load 'nyu-mll/glue' from the hub") as error:
        examples(Data(hub=True), "qqp", "dev")
    assert "\n" not in str(error.value)


def test_a_whole_cache_needs_no_hub(
    publish: Publish, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("qqp", "train", "eng_Latn", [{"question1": "a?", "question2": "b?", "label": 1, "idx": 0}])

    def opened() -> int:
        catalogue = Catalogue(Data(hub=True), None, tmp_path / "cache", tokenizer)
        return len(catalogue.train(find_task("qqp"), ["eng_Latn"]))

    assert opened() == 1
    monkeypatch.setattr(datasets, "load_dataset", None)
    assert opened() == 1
