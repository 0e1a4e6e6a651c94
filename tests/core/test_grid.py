"""Tables at 80 columns: every cell is found whole."""

from __future__ import annotations

import io

from rich.console import Console

from xstilts.core.grid import grids


def lines_of(columns: list[str], rows: list[list[str]], width: int, num_keys: int = 1) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=width)
    for table in grids("A title", columns, rows, width, num_keys=num_keys):
        console.print(table)
    return stream.getvalue().splitlines()


def test_columns_that_do_not_fit_follow_in_another_table() -> None:
    columns = ["host", *(f"column{i}" for i in range(12))]
    rows = [[f"host{row}", *(f"cell-{row}-{i}" for i in range(12))] for row in range(3)]
    lines = lines_of(columns, rows, 80)
    assert max(map(len, lines)) <= 80
    words = " ".join(lines).replace("\u2502", " ").replace("\u2503", " ").split()
    assert all(words.count(cell) == 1 for row in rows for cell in row[1:])
    assert all(words.count(column) == 1 for column in columns[1:])
    tables = words.count("host")
    assert tables == 2 and all(words.count(row[0]) == tables for row in rows)
    assert lines_of(columns, rows, 200) and sum("host0" in line for line in lines_of(columns, rows, 200)) == 1


def test_what_is_wider_than_the_screen_is_broken_and_not_cut() -> None:
    cell = "abcdefghij" * 12
    lines = lines_of(["key", "value"], [["k[0]", cell]], 80)
    assert max(map(len, lines)) <= 80
    assert cell in "".join(line.split("\u2502")[2].strip() for line in lines if "\u2502" in line)
    assert any("k[0]" in line for line in lines)
