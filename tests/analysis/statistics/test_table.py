"""What is set aside, and that it is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from xstilts.analysis.statistics.table import Table, collapsed, complete_block, without_collapsed
from xstilts.core.errors import UserError

NAN = float("nan")


def table(values: list[list[float]]) -> Table:
    array = np.array(values)
    return Table(array, tuple(range(array.shape[0])), tuple("abcdefgh"[: array.shape[1]]))


def test_a_complete_table_is_left_as_it_is() -> None:
    complete = table([[1.0, 2.0], [3.0, 4.0]])
    assert complete_block(complete) is complete


def test_a_seed_that_lacks_a_cell_goes_before_a_language() -> None:
    block = complete_block(table([[1.0, 2.0, 3.0], [4.0, NAN, 6.0], [7.0, 8.0, 9.0]]))
    assert (block.seeds, block.languages) == ((0, 2), ("a", "b", "c"))
    assert block.set_aside == ("Missing: 1 of 9 cells; without seed 1 2 seeds x 3 languages are complete.",)


def test_a_language_that_most_seeds_lack_goes() -> None:
    block = complete_block(table([[1.0, NAN], [2.0, NAN], [3.0, 4.0]]))
    assert (block.seeds, block.languages) == ((0, 1, 2), ("a",))
    assert "2 of 6 cells; without b " in block.set_aside[0]


def test_nothing_left_is_refused() -> None:
    with pytest.raises(UserError, match="run what `plan` lists"):
        complete_block(table([[NAN, NAN]]))


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.sampled_from([1.0, NAN])))
def test_what_is_left_is_complete_wherever_there_is_a_cell(values: np.ndarray) -> None:
    if np.isnan(values).all():
        return
    block = complete_block(table(values.tolist()))
    assert block.values.size > 0
    assert not np.isnan(block.values).any()


def test_a_run_collapses_at_trivial_scores_in_half_of_its_languages() -> None:
    trivial = np.array([50.0, 33.0, 10.0, 10.0])
    scores = np.array(
        [[50.0, 30.0, 60.0, 60.0], [50.0, 40.0, 60.0, 60.0], [49.0, NAN, NAN, 60.0], [NAN, NAN, NAN, NAN]]
    )
    assert collapsed(scores, trivial).tolist() == [True, False, True, False]


def test_collapsed_runs_are_counted_apart() -> None:
    changes = table([[1.0], [20.0], [3.0], [-20.0], [-20.0]])
    arms = {"nli": {3: True, 4: True}, "none": {1: True, 3: True, 9: True}}
    kept = without_collapsed(changes, arms)
    assert kept.seeds == (0, 2)
    assert kept.set_aside == ("Collapsed: 2 of 5 runs of nli, 2 of 5 runs of none; 3 of 5 seeds are counted apart.",)
    assert without_collapsed(changes, {"nli": {}, "none": {9: True}}) is changes
