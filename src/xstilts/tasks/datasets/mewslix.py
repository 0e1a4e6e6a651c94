"""Mewsli-X: link a mention in a WikiNews article to its entity among a million descriptions (Ruder et al. 2021).

Queries are the mention and its sentence, candidates the entities' descriptions in 50 languages; texts are put together
as XTREME-R's baseline does. Every language's source yields the same candidates with the same ids, in one order and
before its queries, so that they are encoded once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xstilts.core.errors import UserError
from xstilts.core.reading import OFFICIAL_FILE, read_jsonl
from xstilts.kinds import RANKING, RetrievalExample
from xstilts.tasks.languages import codes_iso1
from xstilts.tasks.registry import Layout, Source, Task, register
from xstilts.tasks.suites import languages_of, suites_of

_BRACES = re.compile(r"\{(.*?)\}")


def read(source: Source) -> Iterator[RetrievalExample]:
    entities, mentions = source.files
    yield from _read_entities(entities)
    yield from _read_mentions(mentions, task.code_of(source.language), source)


def _read_entities(path: Path) -> Iterator[RetrievalExample]:
    for line, row in read_jsonl(path, ("sentence_spans",), texts=("entity_id", "description")):
        sentences = [row["description"][start:end] for start, end in _spans(path, line, row["sentence_spans"])]
        yield RetrievalExample(row["entity_id"], "candidate", _one_line(" ".join(sentences)))


def _read_mentions(path: Path, code: str, source: Source) -> Iterator[RetrievalExample]:
    for line, row in read_jsonl(path, ("context", "mentions")):
        try:
            context, mentions = row["context"], row["mentions"]
            language, text, spans = context["language"], context["text"], context["sentence_spans"]
            parts = [(m["example_id"], m["entity_id"], m["mention_span"]) for m in mentions]
        except (KeyError, TypeError) as error:
            raise UserError.at(path, line, f"no field {error}", OFFICIAL_FILE) from None
        if language != code:
            continue
        if not text:
            raise UserError.at(
                path, line, "the article has no text", "run the release's get-mewsli-x.sh, which restores the texts"
            )
        sentences = _spans(path, line, spans)
        for id_, entity, mention in parts:
            [(start, end)] = _spans(path, line, [mention])
            if text[start:end] != mention.get("text"):
                raise UserError.at(path, line, f"mention '{id_}' is not at its offset in the article", OFFICIAL_FILE)
            sentence = next((span for span in sentences if span[0] <= start and end <= span[1]), None)
            if sentence is None:
                source.skipped["mention that crosses a sentence boundary"] += 1
                continue
            query = _mention_text(text[sentence[0] : start], text[start:end], text[end : sentence[1]])
            yield RetrievalExample(id_, "query", query, relevant=(entity,))


def _spans(path: Path, line: int, spans: list[dict[str, Any]]) -> list[tuple[int, int]]:
    try:
        return [(span["start"], span["end"]) for span in spans]
    except (KeyError, TypeError):
        raise UserError.at(path, line, "a span has no 'start' and 'end'", OFFICIAL_FILE) from None


def _mention_text(left: str, mention: str, right: str) -> str:
    """`mention: left { mention } right`, with braces of the text itself made round."""
    left, right = (_BRACES.sub(r"(\1)", side) for side in (left, right))
    return _one_line(f"{mention}: {left} {{ {mention} }} {right}")


def _one_line(text: str) -> str:
    return " ".join(text.splitlines()).replace("  ", " ").strip()


task = register(
    Task(
        name="mewslix",
        kind=RANKING,
        title="Mewsli-X",
        origin="https://github.com/google-research/google-research/tree/master/dense_representations_for_entity_retrieval/mel",
        layouts=(
            Layout(
                read,
                {
                    split: ("mewslix/candidate_set_entities.jsonl", f"mewslix/wikinews_mentions-{split}.jsonl")
                    for split in ("dev", "test")
                },
            ),
        ),
        languages=codes_iso1(languages_of("mewslix")),
        metrics=("map_at_20",),
        groups=suites_of("mewslix"),
        max_length=64,
    )
)
