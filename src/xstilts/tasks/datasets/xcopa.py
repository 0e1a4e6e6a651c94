"""Plausible alternatives: COPA (Roemmele et al. 2011) and its translation XCOPA (Ponti et al. 2020); Social IQa.

XTREME-R trains on Social IQa (Sap et al. 2019), goes on with COPA and predicts XCOPA; a recipe has that by
`train_on: [siqa, copa]`. As in its script, COPA's question is put into words, and the question of both stands behind
the context: `<s> premise What was the cause? </s></s> choice </s>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from xstilts.core.errors import UserError
from xstilts.core.reading import OFFICIAL_FILE, read_jsonl, read_lines
from xstilts.kinds import CHOICE, ChoiceExample
from xstilts.tasks.languages import codes_iso1
from xstilts.tasks.registry import Hub, Layout, Source, Task, register
from xstilts.tasks.suites import languages_of, suites_of

_ENGLISH = codes_iso1("en")
_LANGUAGES = codes_iso1(languages_of("xcopa"))
_QUESTIONS = {"cause": "What was the cause?", "effect": "What was the effect?"}


def read(source: Source) -> Iterator[ChoiceExample]:
    for path in source.files:
        for number, row in read_jsonl(path, ("label",), texts=("premise", "choice1", "choice2", "question")):
            if row["question"] not in _QUESTIONS:
                raise UserError.at(
                    path, number, f"question '{row['question']}' is neither cause nor effect", OFFICIAL_FILE
                )
            if row["label"] not in (0, 1):
                raise UserError.at(path, number, f"label {row['label']!r} is neither 0 nor 1", OFFICIAL_FILE)
            yield _example(row, number - 1)


def _example(row: Mapping[str, Any], index: int) -> ChoiceExample:
    return ChoiceExample(
        id=str(row.get("idx", index)),
        context=f"{row['premise']} {_QUESTIONS[row['question']]}",
        question="",
        options=(row["choice1"], row["choice2"]),
        label=int(row["label"]),
    )


def read_siqa(source: Source) -> Iterator[ChoiceExample]:
    """Questions, with answers in a second file (`1`, `2`, `3`) or in the rows (v1.4: `correct` is `A`, `B`, `C`)."""
    questions, *answers = source.files
    labels = [line.strip() for path in answers for _, line in read_lines(path) if line.strip()]
    num_rows = 0
    for number, row in read_jsonl(questions, texts=("context", "question", "answerA", "answerB", "answerC")):
        num_rows += 1
        if answers and num_rows > len(labels):
            raise UserError.at(
                answers[0], len(labels), f"fewer labels than questions in {questions.name}", OFFICIAL_FILE
            )
        label = labels[num_rows - 1] if answers else row.get("correct", "")
        if label not in ("1", "2", "3", "A", "B", "C"):
            raise UserError.at(
                answers[0] if answers else questions,
                num_rows if answers else number,
                f"label {label!r} is none of the three answers",
                OFFICIAL_FILE,
            )
        yield _siqa_example(row, num_rows - 1, "123".find(label) if label in "123" else "ABC".find(label))
    if answers and num_rows < len(labels):
        raise UserError.at(answers[0], num_rows + 1, f"more labels than the {num_rows} questions", OFFICIAL_FILE)


def _siqa_example(row: Mapping[str, Any], index: int, label: int) -> ChoiceExample:
    return ChoiceExample(
        id=str(index),
        context=f"{row['context']} {row['question']}",
        question="",
        options=(row["answerA"], row["answerB"], row["answerC"]),
        label=label,
    )


register(
    Task(
        name="xcopa",
        kind=CHOICE,
        title="XCOPA",
        origin="https://github.com/cambridgeltl/xcopa",
        layouts=(
            Layout(read, {"dev": ("xcopa/{code}/val.{code}.jsonl",), "test": ("xcopa/{code}/test.{code}.jsonl",)}),
        ),
        languages=_LANGUAGES,
        metrics=("accuracy",),
        hub=Hub(
            "cambridgeltl/xcopa",
            "042f78955ba48e6404616762fa6e05e839c3907a",
            "{code}",
            {"dev": "validation", "test": "test"},
            _example,
        ),
        train_on="copa",
        groups=suites_of("xcopa"),
        num_examples={(split, key): n for key in _LANGUAGES for split, n in (("dev", 100), ("test", 500))},
        version=2,
    )
)
register(
    Task(
        name="copa",
        kind=CHOICE,
        title="COPA",
        origin="https://super.gluebenchmark.com/tasks",
        layouts=(Layout(read, {"train": ("copa/train.jsonl",), "dev": ("copa/val.jsonl",)}),),
        languages=_ENGLISH,
        metrics=("accuracy",),
        hub=Hub(
            "aps/super_glue",
            "3de24cf8022e94f4ee4b9d55a6f539891524d646",
            "copa",
            {"train": "train", "dev": "validation"},
            _example,
        ),
        num_examples={("train", "eng_Latn"): 400, ("dev", "eng_Latn"): 100},
        version=2,
    )
)
register(
    Task(
        name="siqa",
        kind=CHOICE,
        title="Social IQa",
        origin="https://leaderboard.allenai.org/socialiqa",
        layouts=(
            Layout(
                read_siqa, {split: (f"siqa/{split}.jsonl", f"siqa/{split}-labels.lst") for split in ("train", "dev")}
            ),
            Layout(
                read_siqa,
                {"train": ("siqa/socialIQa_v1.4_trn.jsonl",), "dev": ("siqa/socialIQa_v1.4_dev.jsonl",)},
            ),
        ),
        languages=_ENGLISH,
        metrics=("accuracy",),
        hub=Hub(
            "allenai/social_i_qa",
            "537a2ec8ec565adc0b70b70752893e59e024df26",  # of refs/convert/parquet: main is a script
            None,
            {"train": "train", "dev": "validation"},
            lambda row, index: _siqa_example(row, index, "123".find(str(row["label"]))),
        ),
        num_examples={("train", "eng_Latn"): 33410, ("dev", "eng_Latn"): 1954},
        version=2,
    )
)
