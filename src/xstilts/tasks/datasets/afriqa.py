"""AfriQA: questions in African languages on English or French passages (Ogundepo et al. 2023), gold passages.

The question is the original one, not its translation; the answer is a span of the passage in the pivot language.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xstilts.core.errors import UserError
from xstilts.core.reading import DOWNLOAD_AGAIN, OFFICIAL_FILE, read_jsonl
from xstilts.kinds import SPAN, Answer, SpanExample
from xstilts.tasks.languages import codes_iso3
from xstilts.tasks.registry import Layout, Source, Task, register
from xstilts.tasks.suites import languages_of, suites_of


def read(source: Source) -> Iterator[SpanExample]:
    """Questions with at least one answer that stands in the passage.

    A question without a passage (`"context": null`, 153 rows of the release) is left out. The release's offsets are
    wrong in places: where the text occurs exactly once the offset is corrected, otherwise (yes and no among them) the
    answer is left out, and the question with its last. All are counted.
    """
    for path in source.files:
        for line, row in read_jsonl(path, ("answer_pivot", "context"), texts=("id", "question_lang")):
            if row["context"] is None:
                source.skipped["question without a passage"] += 1
                continue
            if not isinstance(row["context"], str):
                raise UserError.at(path, line, "field 'context' is not a text", DOWNLOAD_AGAIN)
            answers = tuple(_answers(path, line, row, source))
            if answers:
                yield SpanExample(
                    f"{path.stem.rpartition('.')[2]}-{row['id']}", row["question_lang"], row["context"], answers
                )
            else:
                source.skipped["question without an answer in its passage"] += 1


def _answers(path: Path, line: int, row: dict[str, Any], source: Source) -> Iterator[Answer]:
    try:
        pairs = list(zip(row["answer_pivot"]["text"], row["answer_pivot"]["answer_start"], strict=True))
    except (KeyError, TypeError, ValueError):
        raise UserError.at(
            path, line, "'answer_pivot' does not hold as many 'text' as 'answer_start'", OFFICIAL_FILE
        ) from None
    for text, start in pairs:
        if text and start >= 0 and row["context"].startswith(text, start):
            yield Answer(text, start)
        elif text and row["context"].count(text) == 1:
            source.skipped["wrong answer offset, corrected (question kept)"] += 1
            yield Answer(text, row["context"].index(text))
        else:
            source.skipped["answer that is not, or not once, in its passage"] += 1


def _layout(folder: str) -> Layout:
    file = "gold_span_passages.afriqa.{code}.*"
    return Layout(read, {split: (f"{folder}{file}.{split}.json",) for split in ("train", "dev", "test")})


register(
    Task(
        name="afriqa",
        kind=SPAN,
        title="AfriQA",
        origin="https://github.com/masakhane-io/afriqa",
        layouts=(_layout("afriqa/"), _layout("afriqa/gold_passages/{code}/")),
        languages=codes_iso3(languages_of("afriqa"), swh="swa"),
        metrics=("squad_f1", "squad_em", "chrf"),
        train_on="squad_v1",
        groups=suites_of("afriqa"),
        max_length=384,
    )
)
