"""Data flows one way: every room of the package imports only from those above it in this list."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "xstilts"
ROOMS = (
    *("core", "distributed", "text", "measures", "kinds", "tasks", "synthetic", "config", "data", "model"),
    *("training", "evaluation", "xtreme", "study", "exchange", "analysis", "launch", "preflight", "e5"),
    *("commands", "cli"),
)
MOST_LINES = 260
"""About 200 is the aim; what is longer holds one table or one grammar."""


def rooms_imported(path: Path) -> set[str]:
    """The rooms that a module imports from, wherever in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return {module.split(".")[1] for module in modules if module.startswith("xstilts.")}


def test_every_room_imports_only_from_those_above_it() -> None:
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own in ("__init__", "__main__"):
            continue
        assert own in ROOMS, f"{path}: a new room; give it its place in the list"
        below = rooms_imported(path) - set(ROOMS[: ROOMS.index(own) + 1])
        assert not below, f"{path} imports from {', '.join(sorted(below))}, below its own room"


def test_modules_stay_small() -> None:
    long = {str(path): path.read_text(encoding="utf-8").count("\n") for path in PACKAGE.rglob("*.py")}
    assert {path: lines for path, lines in long.items() if lines > MOST_LINES} == {}
