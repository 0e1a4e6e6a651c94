"""Which examples of two languages are translations of each other."""

from __future__ import annotations

import pytest

from xstilts.kinds.feature import Feature
from xstilts.study.similarity.inputs import Inputs, parallel
from xstilts.tasks import find_task
from xstilts.text.tokenizer import Tokenizer


@pytest.mark.parametrize(
    ("ids", "others", "targets", "expected"),
    [
        (["a-1", "a-2"], ["a-1", "a-2"], [9, 9], True),
        (["a-1", "a-2"], ["a-2", "a-1"], [0, 1], False),
        (["en-1"], ["sw-1"], [0], False),
        (["0", "1"], ["0", "1"], [0, 1], True),
        (["0", "1"], ["0", "1"], [1, 1], False),
    ],
    ids=["same ids", "another order", "other ids", "numbers and labels", "numbers alone"],
)
def test_parallel(tokenizer: Tokenizer, ids: list[str], others: list[str], targets: list[int], expected: bool) -> None:
    def inputs(names: list[str], labels: list[int]) -> Inputs:
        features = [Feature(name, [0, 4, 2], [3], [0], [label]) for name, label in zip(names, labels, strict=True)]
        return Inputs(find_task("xnli"), features, tokenizer)

    assert parallel(inputs(ids, list(range(len(ids)))), inputs(others, targets)) is expected


def test_only_the_first_segment_is_read(tokenizer: Tokenizer) -> None:
    feature = Feature("x", [0, 4, 30, 2, 0, 5, 2], [4, 3])
    inputs = Inputs(find_task("xnli"), [feature], tokenizer)
    assert (inputs.segments, inputs.pieces) == ([[0, 4, 30, 2]], [[4, 30]])
    assert "".join(inputs.texts[0].split()).replace("\u2581", "") == "aa"
