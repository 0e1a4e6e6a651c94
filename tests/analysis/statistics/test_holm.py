"""Holm's procedure, against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from xstilts.analysis.statistics.holm import holm_levels


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=8))
@settings(max_examples=12, deadline=None)
def test_the_levels_reject_what_statsmodels_rejects(p_values: list[float]) -> None:
    rejected = multipletests(p_values, alpha=0.05, method="holm")[0]
    assert [p <= 1 - level + 1e-15 for p, level in zip(p_values, holm_levels(p_values), strict=True)] == list(rejected)


def test_levels_by_hand() -> None:
    # 0.01 <= 0.05 / 3 and 0.02 <= 0.05 / 2 are rejected, 0.2 is left with the full level.
    assert holm_levels([0.2, 0.01, 0.02]) == pytest.approx([0.95, 1 - 0.05 / 3, 0.975])
    # The first fails: none is rejected, all keep the strictest level.
    assert holm_levels([0.03, 0.03, 0.03]) == pytest.approx([1 - 0.05 / 3] * 3)
    assert np.all(np.diff(holm_levels([0.001, 0.01, 0.04])) < 0)
