"""What knows tasks and kinds stays light: a plan or a mistake in a recipe is told without loading torch."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["xstilts.kinds", "xstilts.tasks"])
def test_importing_loads_neither_torch_nor_transformers(module: str) -> None:
    script = f"import sys, {module}; print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
