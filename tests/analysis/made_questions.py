"""Rows of made-up arms, and the question that is asked of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from made_runs import NONE

from xstilts.config.question import Question
from xstilts.evaluation.rows import Row

LANGUAGES = ("swh_Latn", "yor_Latn", "fin_Latn", "jpn_Jpan", "que_Latn")
SCORED = {"xquad": ["eng_Latn", *LANGUAGES]}
SEEDS = range(8)

Score = Callable[[int, int], float]
"""(seed, number of the language) -> percent."""


def question(**keys: Any) -> Question:
    given = {"ask": "Does it help?", "contrasts": {"H1": {"arm": "mixed", "against": "none"}}, "matters": 1.0}
    return Question.model_validate({**given, "estimand": "these_languages", **keys})


def rows_of(arm: str, score: Score, seeds: Iterable[int] = SEEDS, task: str = "xquad") -> list[Row]:
    keys = ("eng_Latn", *LANGUAGES)
    cells = [(seed, i, key) for seed in seeds for i, key in enumerate(keys)]
    return [
        replace(NONE, arm=arm, task=task, seed=seed, language=key, value=v, low=v - 2, high=v + 2, majority=None)
        for seed, i, key in cells
        for v in [score(seed, i)]
    ]


def noise(name: int, sd: float) -> Score:
    drawn = np.random.default_rng(name).normal(50, sd, (100, 6))
    return lambda seed, i: float(drawn[seed, i])


def plus(score: Score, effect: float) -> Score:
    """English, language 0, is moved far the other way: it must not count."""
    return lambda seed, i: score(seed, i) + (effect if i else -20.0)


BASE = noise(1, 1.0)
