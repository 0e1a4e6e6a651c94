"""Result rows on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from xstilts.core.errors import UserError
from xstilts.evaluation.rows import Row, read_rows, write_rows

ROW = Row(
    arm="none",
    stage="0f",
    task="xquad",
    language="swh_Latn",
    split="test",
    metric="squad_f1",
    value=12.345678901234567,
    low=10.0,
    high=15.0,
    chance=1.5,
    majority=None,
    num_examples=7,
    seed=1,
    seeds="1-1",
    selection="best_dev",
    primary=True,
    precision="fp32",
)


def test_rows_come_back_bit_for_bit(tmp_path: Path) -> None:
    rows = [ROW, replace(ROW, majority=0.1 + 0.2, language="qaa_Latn", seed=2)]
    path = tmp_path / "deep" / "results.jsonl"
    write_rows(path, rows)
    assert list(read_rows(path)) == rows
    write_rows(path, rows[:1])
    assert list(read_rows(path)) == rows[:1]
    assert [entry.name for entry in path.parent.iterdir()] == ["results.jsonl"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"seed": 1, ', ""),
        ('"value": 12', '"value": "x"; 12'),
        ("12.345678901234567", '"high"'),
        ("{", '{"extra": 1, '),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "results.jsonl"
    write_rows(path, [ROW, ROW])
    first, second = path.read_text().splitlines()
    path.write_text(f"{first}\n{second.replace(old, new, 1)}\n")
    with pytest.raises(UserError, match=r"results\.jsonl:2: not a result row") as caught:
        list(read_rows(path))
    assert "\n" not in str(caught.value)
