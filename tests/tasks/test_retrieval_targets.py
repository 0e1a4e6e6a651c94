"""Tatoeba, NTREX-128, BUCC 2018, LAReQA and Mewsli-X."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.kinds import RetrievalExample

Release = Callable[[str, str | bytes], Path]
ReadSplit = Callable[..., tuple[list[Any], Any]]


def test_bitext(release: Release, read_split: ReadSplit) -> None:
    """A foreign line that reads like another stays a candidate of its own, and only the same line is right."""
    release("tatoeba/tatoeba.swh-eng.swh", "Ndiyo.\nHapana.\nNdiyo.\n")
    release("tatoeba/tatoeba.swh-eng.eng", "Yes.\nNo.\nYeah.")
    assert read_split("tatoeba", "test", "swh_Latn")[0] == [
        RetrievalExample("0", "candidate", "Ndiyo."),
        RetrievalExample("1", "candidate", "Hapana."),
        RetrievalExample("2", "candidate", "Ndiyo."),
        RetrievalExample("en-0", "query", "Yes.", relevant=("0",)),
        RetrievalExample("en-1", "query", "No.", relevant=("1",)),
        RetrievalExample("en-2", "query", "Yeah.", relevant=("2",)),
    ]


def test_bitext_that_is_not_aligned(release: Release, user_error: Callable[..., str]) -> None:
    foreign = release("ntrex/newstest2019-ref.sna-Latn.txt", "a\nb\nc\n")
    english = release("ntrex/newstest2019-src.eng.txt", "x\ny\n")
    message = user_error("ntrex", "test", "sna_Latn")
    assert message.startswith(f"{foreign}:3: 3 lines, but 2 in newstest2019-src.eng.txt; ")
    english.write_text("x\n\nz\n")
    assert user_error("ntrex", "test", "sna_Latn").startswith(f"{english}:2: blank line in aligned text; ")


def test_bucc(release: Release, read_split: ReadSplit, user_error: Callable[..., str]) -> None:
    stem = "bucc2018/de-en/de-en.sample"
    release(f"{stem}.de", "de-1\tHallo\nde-2\tNichts\nde-3\tHallo\n")
    release(f"{stem}.en", "en-1\tHello\nen-2\tOther\n")
    gold = release(f"{stem}.gold", "de-3\ten-1\n")
    assert read_split("bucc2018", "dev", "deu_Latn")[0] == [
        RetrievalExample("en-1", "candidate", "Hello"),
        RetrievalExample("en-2", "candidate", "Other"),
        RetrievalExample("de-1", "query", "Hallo"),
        RetrievalExample("de-2", "query", "Nichts"),
        RetrievalExample("de-3", "query", "Hallo", relevant=("en-1",)),
    ]
    gold.write_text("de-3\ten-1\nde-3\ten-9\n")
    assert user_error("bucc2018", "dev", "deu_Latn").startswith(f"{gold}:2: no sentence 'en-9' in de-en.sample.en; ")
    path = release(f"{stem}.de", "de-1\tHallo\nde-1\tNichts\n")
    assert user_error("bucc2018", "dev", "deu_Latn").startswith(f"{path}:2: sentence id 'de-1' occurs twice; ")
    path.write_text("de-1\tHallo\tWelt\n")
    assert user_error("bucc2018", "dev", "deu_Latn").startswith(f"{path}:1: 3 columns where 2 were expected; ")


def lareqa(context: str, breaks: list[list[int]], *qas: tuple[str, int]) -> str:
    questions = [
        {"id": id_, "question": f"{id_}?", "answers": [{"text": context[start], "answer_start": start}]}
        for id_, start in qas
    ]
    paragraph = {"context": context, "sentence_breaks": breaks, "qas": questions}
    return json.dumps({"data": [{"title": "", "paragraphs": [paragraph]}]})


def test_lareqa_pools_all_languages(release: Release, read_split: ReadSplit) -> None:
    """Question q2 begins between two German sentences; the English `A b.` stands twice in its paragraph."""
    release("lareqa/de.json", lareqa("X y. Z.", [[0, 4], [5, 7]], ("q1", 5), ("q2", 4)))
    release("lareqa/en.json", lareqa("A b. C. A b.", [[0, 4], [5, 7], [8, 12]], ("q1", 5), ("q2", 0)))
    pool = [
        RetrievalExample("de_1_0", "candidate", "X y.", "X y. Z."),
        RetrievalExample("de_1_1", "candidate", "Z.", "X y. Z."),
        RetrievalExample("en_1_0", "candidate", "A b.", "A b. C. A b."),
        RetrievalExample("en_1_1", "candidate", "C.", "A b. C. A b."),
        RetrievalExample("en_1_2", "candidate", "A b.", "A b. C. A b."),
    ]
    german, skipped = read_split("lareqa", "test", "deu_Latn")
    assert german == [*pool, RetrievalExample("q1_de", "query", "q1?", relevant=("de_1_1", "en_1_1"))]
    assert skipped == {"question whose answer begins in no sentence": 1}
    english, skipped = read_split("lareqa", "test")
    assert english == [
        *pool,
        RetrievalExample("q1_en", "query", "q1?", relevant=("de_1_1", "en_1_1")),
        RetrievalExample("q2_en", "query", "q2?", relevant=("en_1_0", "en_1_2")),
    ]
    assert not skipped


def test_broken_lareqa(release: Release, user_error: Callable[..., str]) -> None:
    path = release("lareqa/en.json", lareqa("A b.", [[0, 9]], ("q1", 0)))
    assert user_error("lareqa", "test").startswith(f"{path}: data[0].paragraphs[0]: a sentence break lies outside")
    path.write_text(path.read_text().replace("sentence_breaks", "breaks"))
    assert user_error("lareqa", "test").startswith(f"{path}: data[0].paragraphs[0]: no 'sentence_breaks'; ")


ENTITY = {
    "entity_id": "Q1",
    "title": "Dakar",
    "description": "Dakar is a city.\nIt is  big. Rest",
    "description_language": "wo",
    "sentence_spans": [{"start": 0, "end": 16}, {"start": 17, "end": 28}],
}


def mention(id_: str, start: int, end: int, text: str) -> dict[str, Any]:
    return {"example_id": id_, "entity_id": "Q1", "mention_span": {"start": start, "end": end, "text": text}}


def article(language: str, text: str, *mentions: dict[str, Any]) -> str:
    spans = [{"start": 0, "end": 9}, {"start": 10, "end": 31}]
    context = {"document_id": "1", "language": language, "text": text, "sentence_spans": spans}
    return json.dumps({"context": context, "mentions": list(mentions)}) + "\n"


TEXT = "Er kommt. In {neu} Dakar ist es."


def test_mewslix(release: Release, read_split: ReadSplit) -> None:
    release("mewslix/candidate_set_entities.jsonl", json.dumps(ENTITY) + "\n")
    release(
        "mewslix/wikinews_mentions-test.jsonl",
        article("en", TEXT, mention("m0", 19, 24, "Dakar"))
        + article("de", TEXT, mention("m1", 19, 24, "Dakar"), mention("m2", 3, 12, "kommt. In")),
    )
    examples, skipped = read_split("mewslix", "test", "deu_Latn")
    assert examples == [
        RetrievalExample("Q1", "candidate", "Dakar is a city. It is big."),
        RetrievalExample("m1", "query", "Dakar: In (neu) { Dakar } ist es", relevant=("Q1",)),
    ]
    assert skipped == {"mention that crosses a sentence boundary": 1}


def test_broken_mewslix(release: Release, user_error: Callable[..., str]) -> None:
    release("mewslix/candidate_set_entities.jsonl", json.dumps(ENTITY))
    path = release("mewslix/wikinews_mentions-dev.jsonl", article("de", "", mention("m1", 19, 24, "Dakar")))
    message = user_error("mewslix", "dev", "deu_Latn")
    assert message == f"{path}:1: the article has no text; run the release's get-mewsli-x.sh, which restores the texts"
    path.write_text(article("de", TEXT, mention("m1", 18, 23, "Dakar")))
    assert user_error("mewslix", "dev", "deu_Latn").startswith(f"{path}:1: mention 'm1' is not at its offset")
    path.write_text(article("de", TEXT, {"example_id": "m1"}))
    assert user_error("mewslix", "dev", "deu_Latn").startswith(f"{path}:1: no field 'entity_id'; ")


def count(read_split: ReadSplit, root: Path, task: str, language: str) -> tuple[int, int]:
    examples, skipped = read_split(task, "test", language, root)
    assert not skipped
    assert len({example.id for example in examples}) == len(examples)
    queries = [example for example in examples if example.role == "query"]
    ids = {example.id for example in examples if example.role == "candidate"}
    assert all(query.relevant and set(query.relevant) <= ids for query in queries)
    return len(queries), len(ids)


@pytest.mark.parametrize(
    ("task", "language", "lines"),
    [
        *[("tatoeba", key, 1000) for key in ("afr_Latn", "arb_Arab", "zho_Hans", "est_Latn", "vie_Latn")],
        ("tatoeba", "amh_Ethi", 168),
        ("tatoeba", "kat_Geor", 746),
        ("tatoeba", "swh_Latn", 390),
        ("tatoeba", "tel_Telu", 234),
        *[("ntrex", key, 1997) for key in ("swh_Latn", "wol_Latn", "sna_Latn", "zho_Hans", "gaz_Latn", "yor_Latn")],
    ],
)
def test_real_bitext(real_data: Path, read_split: ReadSplit, task: str, language: str, lines: int) -> None:
    assert count(read_split, real_data, task, language) == (lines, lines)


def test_real_lareqa(real_data: Path, read_split: ReadSplit) -> None:
    """1,190 questions in each language, the same pool for all; at least one answer in each of the four languages."""
    sizes = {language: count(read_split, real_data, "lareqa", language) for language in ("eng_Latn", "hin_Deva")}
    assert {queries for queries, _ in sizes.values()} == {1190}
    assert len({pool for _, pool in sizes.values()}) == 1
    examples, _ = read_split("lareqa", "test", "eng_Latn", real_data)
    for query in (example for example in examples if example.role == "query"):
        assert {id_.partition("_")[0] for id_ in query.relevant} == {"de", "en", "es", "hi"}
