"""How much of two works is the same, and which rows of shared arrays are whose."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from xstilts.evaluation import embeddings
from xstilts.evaluation.embeddings import Embeddings, num_alike
from xstilts.evaluation.work import Work
from xstilts.kinds import RetrievalExample

MakeWork = Callable[..., Work]
POOL = ["the old dog", "a cat", "sees", "a young cat hears", "w w"]


@pytest.mark.parametrize("block", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (POOL, 5),
        ([*POOL, "dog"], 5),
        (POOL[:3], 3),
        ([*POOL[:3], "a young dog hears", "w w"], 3),
        ([*POOL[:4], "w w w"], 4),
        (["the old cat", *POOL[1:]], 0),
        (["the", "old dog", *POOL[1:]], 0),
    ],
)
def test_works_are_alike_up_to_the_first_other_token(
    make_work: MakeWork, monkeypatch: pytest.MonkeyPatch, texts: list[str], expected: int, block: int
) -> None:
    monkeypatch.setattr(embeddings, "_ROWS", block)
    one, other = (
        make_work("lareqa", [RetrievalExample(str(i), "candidate", text) for i, text in enumerate(of_side)], language)
        for of_side, language in ((POOL, "eng_Latn"), (texts, "deu_Latn"))
    )
    assert num_alike(one.features, other.features) == num_alike(other.features, one.features) == expected


def test_rows_are_taken_from_the_pool_and_from_behind_it() -> None:
    found = Embeddings(np.array([[1, 1], [2, 2]], np.float32), np.array([[3, 3]], np.float32))
    assert len(found) == 3
    assert found.take([2, 0, 1, 2]).tolist() == [[3, 3], [1, 1], [2, 2], [3, 3]]
    assert found.take([]).shape == found.take(range(0)).shape == (0, 2)
    assert found.take(range(1, 3)).tolist() == [[2, 2], [3, 3]]
    for rows, part in ((range(2), found.pool_PH), (range(2, 3), found.own_NH)):
        assert found.take(rows).tolist() == part.tolist() and np.shares_memory(found.take(rows), part)
