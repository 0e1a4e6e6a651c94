"""Fixtures shared by all tests: real samples, releases that a test writes, a tokenizer worked out by hand."""

from __future__ import annotations

import ctypes
import os
import string
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import huggingface_hub
import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from xstilts.core.errors import UserError
from xstilts.data.source import ExampleSource
from xstilts.data.store import FeatureSet, build
from xstilts.kinds import Example
from xstilts.kinds.feature import Encoding
from xstilts.tasks import Layout, find_task
from xstilts.text.tokenizer import Tokenizer

Features = Callable[..., FeatureSet]

huggingface_hub.constants.HF_HUB_OFFLINE = True  # no test asks for anything outside


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Root of the real licensed samples, named by XSTILTS_DATA; the test is skipped where there are none."""
    root = os.environ.get("XSTILTS_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("real data absent: set XSTILTS_DATA to the folder of official releases")
    return Path(root).resolve()


@pytest.fixture
def release(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Writes one file of a release below the data root, `tmp_path`."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def read_split(tmp_path: Path) -> Callable[..., tuple[list[Example], Counter[str]]]:
    """Examples of (task, split, language) and what was skipped, below `tmp_path` or another root."""

    def read(
        task: str, split: str, language: str = "eng_Latn", root: Path = tmp_path
    ) -> tuple[list[Example], Counter[str]]:
        layout, source = find_task(task).locate(root, split, language)
        return list(layout.read(source)), source.skipped

    return read


@pytest.fixture
def user_error(read_split: Callable[..., object]) -> Callable[..., str]:
    """The one-line message with which reading (task, split, language) fails."""

    def message(task: str, split: str, language: str = "eng_Latn") -> str:
        with pytest.raises(UserError) as error:
            read_split(task, split, language)
        assert "\n" not in str(error.value)
        return str(error.value)

    return message


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], None]]:
    """Makes a folder and all in it read-only, for root too: this thread and those that it starts lose the capability
    to write nevertheless (capset(2), CAP_DAC_OVERRIDE) until the end of the test."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, before = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, before) == 0
    without = (ctypes.c_uint32 * 6)(*before)
    without[0] &= ~(1 << 1)
    closed: list[Path] = []

    def close(folder: Path) -> None:
        for path in (folder, *folder.rglob("*")):
            path.chmod(path.stat().st_mode & ~0o222)
            closed.append(path)
        assert libc.capset(header, without) == 0

    yield close
    assert libc.capset(header, before) == 0
    for path in closed:
        path.chmod(path.stat().st_mode | 0o200)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """One token per letter a to z: ids 4 to 29 where it starts a word, 30 to 55 inside one; `<mask>` is 56."""
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = [*specials, *("\u2581" + letter for letter in string.ascii_lowercase), *string.ascii_lowercase]
    backend = Backend(models.Unigram([(piece, 0.0 if piece in specials else -1.0) for piece in pieces], unk_id=3))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    names = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>"}
    folder = tmp_path_factory.mktemp("tokenizer")
    wrapped = PreTrainedTokenizerFast(tokenizer_object=backend, **{f"{k}_token": v for k, v in names.items()})
    wrapped.save_pretrained(str(folder))
    return Tokenizer(str(folder))


@pytest.fixture(scope="session")
def ids() -> Callable[[str], list[int]]:
    """The ids of a text of small letters and single spaces, by the table above."""

    def of(text: str) -> list[int]:
        words = text.split()
        return [(30 if i else 4) + ord(letter) - ord("a") for word in words for i, letter in enumerate(word)]

    return of


@pytest.fixture
def features(tokenizer: Tokenizer, tmp_path: Path) -> Features:
    """Features of examples under a registered task's name, stored below `tmp_path`."""

    def made(
        task: str,
        examples: Sequence[Example],
        labels: tuple[str, ...] = (),
        *,
        gold: bool = False,
        max_length: int = 32,
    ) -> FeatureSet:
        release = tmp_path / f"{task}.txt"
        release.write_text("\n".join(map(repr, examples)), encoding="utf-8")
        layout = Layout(lambda source: iter(examples), {})
        source = ExampleSource(find_task(task), "train", "eng_Latn", (release,), layout)
        encoding = Encoding(tokenizer, max_length, 4, {label: i for i, label in enumerate(labels)})
        return build(source, encoding, labels or None, tmp_path / "cache", scored=gold)

    return made
