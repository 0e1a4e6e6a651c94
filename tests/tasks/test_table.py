"""The README's table of tasks is the registry's."""

from __future__ import annotations

from pathlib import Path

from xstilts.tasks import all_tasks
from xstilts.tasks.table import insert, task_table

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_holds_the_current_table() -> None:
    page = README.read_text(encoding="utf-8")
    assert insert(page) == page, "run: python -m xstilts.tasks.table README.md"


def test_every_task_has_a_row() -> None:
    table = task_table()
    assert all(f"| `{task.name}` |" in table for task in all_tasks())
    assert len(table.splitlines()) == len(all_tasks()) + 2


def test_inserting_twice_changes_nothing() -> None:
    page = README.read_text(encoding="utf-8")
    assert insert(insert(page)) == insert(page)
