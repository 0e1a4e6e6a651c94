from __future__ import annotations

import numpy as np

from xstilts.kinds.feature import Feature
from xstilts.kinds.features import Features, flattened

ONE = Feature("one", [0, 5, 6, 2], [4], [1, 2], [7, 8])
TWO = Feature("zwö", [0, 9, 2, 0, 2], [3, 2], [], [3], num_targets=2)
NONE = Feature("", [0, 2], [2])


def test_taken_and_flattened_they_are_what_they_were() -> None:
    groups = [Features.of([ONE, TWO, NONE]).take(np.array([2, 0, 0])), Features.of([TWO])]
    flat = flattened(groups)
    assert [each.each() for each in flat] == [each.each() for each in groups] == [[NONE, ONE, ONE], [TWO]]
    for after, before in zip(flat, groups, strict=True):
        for name in ("tokens", "lengths", "positions", "targets"):
            assert getattr(after, name).flat().tolist() == getattr(before, name).flat().tolist()
        assert after.positions_in_row().tolist() == before.positions_in_row().tolist()
    flat[0].tokens.flat()[:] = 77
    assert groups[0].each() == [NONE, ONE, ONE] and flat[1].each() == [TWO], "in memory of their own"


def test_other_targets() -> None:
    given = Features.of([ONE, TWO]).with_targets([[], [1, 2, 3]]).take(np.array([1, 0]))
    assert [feature.targets for feature in given.each()] == [[1, 2, 3], []]
    assert [feature.tokens for feature in given.each()] == [TWO.tokens, ONE.tokens]
    assert Features.of([]).with_targets([]).each() == []
