from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.measures.agreement import rank_agreement


def test_by_hand() -> None:
    """1 2 3 4 against 1 3 2 4: five of six pairs agree, tau = (5 - 1)/6; squared rank differences sum to 2,
    rho = 1 - 6 x 2/(4 x 15)."""
    (found,) = rank_agreement({"code_length": np.array([1.0, 2, 3, 4]), "error": np.array([0.1, 0.3, 0.2, 0.4])})
    assert (found.first, found.second, found.num) == ("code_length", "error", 4)
    assert found.kendall == pytest.approx(4 / 6)
    assert found.spearman == pytest.approx(0.8)


def test_every_pair_over_what_both_have_measured() -> None:
    measures = {"a": np.array([1.0, 2, np.nan, 4, 5]), "b": np.array([5.0, 4, 3, np.nan, 1]), "c": np.arange(5.0)}
    ab, ac, bc = rank_agreement(measures)
    assert (ab.num, ac.num, bc.num) == (3, 4, 4)
    assert (ab.kendall, ac.kendall, bc.kendall) == (pytest.approx(-1), pytest.approx(1), pytest.approx(-1))


@pytest.mark.parametrize("second", [[1.0, 2.0, np.nan, np.nan], [3.0, 3.0, 3.0, 3.0]])
def test_too_few_or_constant_is_no_agreement(second: list[float]) -> None:
    (found,) = rank_agreement({"a": np.arange(4.0), "b": np.array(second)})
    assert found.kendall is None and found.spearman is None


@given(st.lists(st.integers(-50, 50), min_size=3, max_size=20, unique=True))
def test_any_increasing_function_agrees_wholly(values: list[int]) -> None:
    x = np.array(values, dtype=np.float64)
    (found,) = rank_agreement({"x": x, "y": np.exp(x / 10)})
    assert found.kendall == pytest.approx(1) and found.spearman == pytest.approx(1)
