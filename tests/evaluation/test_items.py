"""Records of items: read back to the same number, and paired without scoring again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xstilts.core.errors import UserError
from xstilts.evaluation.items import ItemTable, differences, paired, read_items, write_items
from xstilts.evaluation.metrics import find_metric

IDS = ("a", "b", "c", "d")
ACCURACY = ItemTable(IDS, np.array([[1.0, 1], [0, 1], [1, 1], [1, 1]]))
OTHER = ItemTable(("d", "c", "b", "a"), np.array([[1.0, 1], [0, 1], [0, 1], [0, 1]]))
SPANS = ItemTable(IDS[:2], np.array([[2.0, 3, 4], [0, 1, 1 / 3]]))


def test_what_was_written_is_read_bit_by_bit(tmp_path: Path) -> None:
    path = tmp_path / "items" / "xnli.parquet"
    write_items(path, {"swh_Latn": {"accuracy": ACCURACY}, "urd_Arab": {"accuracy": OTHER, "tag_f1": SPANS}})
    found = read_items(path)
    assert {language: list(tables) for language, tables in found.items()} == {
        "swh_Latn": ["accuracy"],
        "urd_Arab": ["accuracy", "tag_f1"],
    }
    for expected, table in ((ACCURACY, found["swh_Latn"]["accuracy"]), (SPANS, found["urd_Arab"]["tag_f1"])):
        assert table.ids == expected.ids
        assert table.statistics.dtype == np.float64 and (table.statistics == expected.statistics).all()
    assert found["swh_Latn"]["accuracy"].score(find_metric("accuracy")) == 75
    assert ItemTable((), np.empty((0, 0))).score(find_metric("accuracy")) == 0


def test_differences_pair_items_by_id() -> None:
    # a: right, wrong; b: both wrong; c: right, wrong; d: both right
    assert differences(find_metric("accuracy"), ACCURACY, OTHER).tolist() == [100, 0, 100, 0]
    first, second = paired(ACCURACY, OTHER)
    assert first.tolist() == ACCURACY.statistics.tolist()
    assert second[:, 0].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("ids", [("a", "b", "c", "e"), ("a", "b", "c"), ("a", "b", "c", "c")])
def test_results_on_other_items_are_refused(ids: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="two results are not of the same items"):
        paired(ACCURACY, ItemTable(ids, np.ones((len(ids), 2))))


def test_damage_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "xnli.parquet"
    write_items(path, {"swh_Latn": {"accuracy": ACCURACY}})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="no whole record of items") as caught:
        read_items(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no whole record of items"):
        read_items(tmp_path / "absent.parquet")
