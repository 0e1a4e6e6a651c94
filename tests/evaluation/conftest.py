"""Work made from examples written in a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from xstilts.data.source import ExampleSource
from xstilts.data.store import build
from xstilts.evaluation.work import Work
from xstilts.kinds import Example
from xstilts.kinds.feature import Encoding
from xstilts.synthetic.tokenizer import train_tokenizer
from xstilts.tasks import Layout, find_task
from xstilts.text.tokenizer import Tokenizer

MakeWork = Callable[..., Work]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """XLM-R's layout; every word `w` is one or two tokens."""
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(["the old dog sees a young cat", "a cat hears the dog", "w w w w"] * 5, 60, folder)
    return Tokenizer(str(folder))


@pytest.fixture
def make_work(tokenizer: Tokenizer, tmp_path: Path) -> MakeWork:
    """Features of examples under a registered task's name, stored below `tmp_path`."""

    def make(
        task: str,
        examples: Sequence[Example],
        language: str = "eng_Latn",
        *,
        labels: tuple[str, ...] | None = None,
        split: str = "test",
        num_examples: int | None = None,
    ) -> Work:
        release = tmp_path / f"{task}-{split}-{language}.txt"
        release.write_text("\n".join(map(repr, examples)), encoding="utf-8")
        source = ExampleSource(find_task(task), split, language, (release,), Layout(lambda _: iter(examples), {}))
        encoding = Encoding(tokenizer, 64, 16, {label: i for i, label in enumerate(labels or ())})
        features = build(source, encoding, labels, tmp_path / "cache", scored=True)
        return Work(find_task(task), language, split, features, labels, num_examples or len(features))

    return make
