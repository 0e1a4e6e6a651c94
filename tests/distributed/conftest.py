"""Lets the tests here import `launch` and `tiny`, and makes one artificial world for all of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root that every run can share, with the features that the runs have tokenised in `cache/` beside it."""
    from tiny import make_world

    root = tmp_path_factory.mktemp("tiny") / "world"
    make_world(root)
    return root
