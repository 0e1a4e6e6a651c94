from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from xstilts.analysis.groups import group_means
from xstilts.analysis.transfer import compare
from xstilts.evaluation.rows import Row

NONE = Row(
    arm="none", stage="s", task="masakhapos", language="swh_Latn", split="test", metric="token_accuracy", value=50.0,
    low=48.0, high=52.0, chance=5.0, majority=20.0, num_examples=50, seed=0, seeds="0", selection="last", primary=True,
    precision="fp32",
)  # fmt: skip


def test_mean_change_by_group_without_english() -> None:
    changes = {"swh_Latn": 2.0, "zul_Latn": 4.0, "wol_Latn": -1.0, "deu_Latn": 7.0, "eng_Latn": 100.0}
    rows = [
        row
        for language, change in changes.items()
        for row in (replace(NONE, language=language), replace(NONE, arm="a", language=language, value=50.0 + change))
    ]
    found: dict[tuple[str, str], Any] = {
        (g.grouping, g.group): (g.num_languages, g.change) for g in group_means(compare(rows, "none"))
    }
    assert found["family", "Niger-Congo"] == (3, pytest.approx(5 / 3))
    assert found["family", "Indo-European"] == (1, 7.0)
    assert found["region", "Africa"] == (3, pytest.approx(5 / 3))
    assert found["region", "elsewhere"] == (1, 7.0)
    # Of these, XLM-R was pretrained on Swahili and German.
    assert found["pretraining", "in XLM-R's"] == (2, 4.5)
    assert found["pretraining", "not in XLM-R's"] == (2, 1.5)
    assert not any(grouping == "script" for grouping, _ in found), "all are written in Latin letters"
