"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Root of the real licensed samples, named by XSTILTS_DATA; the test is skipped where there are none."""
    root = os.environ.get("XSTILTS_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("real data absent: set XSTILTS_DATA to the folder of official releases")
    return Path(root).resolve()
