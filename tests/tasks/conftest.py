"""Fixtures for readers: releases written by the test, read through the registry as a run reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from xstilts.errors import UserError
from xstilts.tasks import Example, find_task


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
