from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.measures.difficulty import (
    HARDER,
    cartography,
    code_length,
    normalised_error,
    pointwise_v_information,
    v_information,
)
from xstilts.measures.null_models import pair_null_bits
from xstilts.measures.task_visits import TaskVisits


def visits(ids: list[str], p_gold: list[float]) -> TaskVisits:
    p = np.array(p_gold, dtype=np.float64)
    numbers = np.array([ids[:i].count(item) for i, item in enumerate(ids)])
    return TaskVisits(np.array(ids, dtype=object), numbers, -np.log(p), p, np.ones(len(ids), dtype=np.int64), 0)


@pytest.mark.parametrize(
    ("score", "chance", "majority", "error"),
    [
        (100.0, 33.0, 40.0, 0.0),
        (70.0, 33.0, 40.0, 0.5),  # 30 of the 60 that the constant prediction misses
        (70.0, 40.0, 33.0, 0.5),  # chance is the better of the two
        (40.0, 33.0, 40.0, 1.0),
        (10.0, 25.0, None, 1.2),  # worse than chance: 90 of 75
        (100.0, 50.0, 100.0, None),  # a constant prediction is perfect: nothing to learn
    ],
)
def test_normalised_error_by_hand(score: float, chance: float, majority: float | None, error: float | None) -> None:
    assert normalised_error(score, chance, majority) == (None if error is None else pytest.approx(error))


def test_code_length_by_hand() -> None:
    """p of 1/2, 1/4, 1/8 before the update cost 1 + 2 + 3 = 6 bits. Labels x, y, x cost the null model 2 log2(3/2) +
    log2(3) = 2.75489 bits."""
    nll = -np.log([0.5, 0.25, 0.125])
    assert code_length(nll, pair_null_bits(["x", "y", "x"])) == pytest.approx(6 / 2.7548875)


def test_code_length_takes_first_visits_only() -> None:
    first = visits(["a", "b", "a", "c", "b"], [0.5, 0.25, 0.99, 0.125, 0.99]).first()
    assert first.ids.tolist() == ["a", "b", "c"]
    assert code_length(first.nll, pair_null_bits(["x", "y", "x"])) == pytest.approx(6 / 2.7548875)


def test_a_model_that_knows_the_marginal_has_code_length_one() -> None:
    labels = ["x"] * 6 + ["y"] * 2
    nll = -np.log([0.75] * 6 + [0.25] * 2)
    assert code_length(nll, pair_null_bits(labels)) == pytest.approx(1.0)


def test_a_single_label_has_no_code_length() -> None:
    assert code_length(np.array([0.1, 0.2]), pair_null_bits(["x", "x"])) is None
    assert code_length(np.array([]), pair_null_bits([])) is None


def test_v_information_by_hand() -> None:
    """Balanced labels: H(Y) = 1 bit. The model pays 0.5, 0.5, 1 and 3 bits, 1.25 on average: it knows -0.25 bits."""
    nll = np.array([0.5, 0.5, 1.0, 3.0]) * math.log(2)
    null = pair_null_bits([0, 1, 0, 1])
    assert pointwise_v_information(nll, null) == pytest.approx([0.5, 0.5, 0.0, -2.0])
    assert v_information(nll, null, np.ones(4, dtype=int)) == pytest.approx(-0.25)


def test_v_information_of_perfect_predictions_is_the_entropy() -> None:
    """Three labels equally often: log2(3) bits."""
    assert v_information(np.zeros(6), pair_null_bits([0, 1, 2] * 2), np.ones(6)) == pytest.approx(math.log2(3))


def test_v_information_per_target() -> None:
    """Two sentences of 1 and 3 words, which cost the null model 2 and 6 bits and the model 1 and 1: 6 of 4 words."""
    nll = np.array([1.0, 1.0]) * math.log(2)
    assert v_information(nll, np.array([2.0, 6.0]), np.array([1, 3])) == pytest.approx(1.5)
    assert v_information(np.array([]), np.array([]), np.array([])) is None


def test_cartography_by_hand() -> None:
    """a: 0.2, 0.4, 0.9 have mean 0.5 and squared deviations 0.09 + 0.01 + 0.16 over 3. b: constant. c: two visits."""
    ids = ["b", "a", "c", "a", "b", "a", "b", "c"]
    cartogram = cartography(visits(ids, [0.7, 0.2, 0.1, 0.4, 0.7, 0.9, 0.7, 0.3]))
    assert cartogram.ids.tolist() == ["b", "a"]
    assert cartogram.confidence == pytest.approx([0.7, 0.5])
    assert cartogram.variability == pytest.approx([0.0, math.sqrt(0.26 / 3)], abs=1e-12)
    assert cartogram.num_not_measured == 1


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0.001, 1.0)), max_size=40))
def test_cartography_equals_numpy_item_by_item(rows: list[tuple[str, float]]) -> None:
    cartogram = cartography(visits([item for item, _ in rows], [p for _, p in rows]))
    by_item = {item: [p for name, p in rows if name == item] for item, _ in rows}
    assert set(cartogram.ids) == {item for item, ps in by_item.items() if len(ps) >= 3}
    assert cartogram.num_not_measured == len(by_item) - len(cartogram.ids)
    for item, mean, deviation in zip(cartogram.ids, cartogram.confidence, cartogram.variability, strict=True):
        assert mean == pytest.approx(np.mean(by_item[item]))
        assert deviation == pytest.approx(np.std(by_item[item]), abs=1e-7)


def test_label_noise_is_harder_by_every_measure() -> None:
    """The best predictor of labels flipped with some probability, at two probabilities."""
    rng = np.random.default_rng(0)
    found: dict[str, list[float]] = {name: [] for name in HARDER}
    for noise in (0.1, 0.3):
        labels = rng.integers(0, 2, 2000)
        flipped = rng.random(2000) < noise
        p = np.where(flipped, noise, 1 - noise)
        null = pair_null_bits((labels ^ flipped).tolist())
        dynamics = cartography(visits([f"{i:04d}" for i in range(2000)] * 3, np.tile(p, 3).tolist()))
        error = normalised_error(100 * float(1 - flipped.mean()), 50.0, None)
        length, information = code_length(-np.log(p), null), v_information(-np.log(p), null, np.ones(2000))
        assert error is not None and length is not None and information is not None
        found["normalised_error"].append(error)
        found["code_length"].append(length)
        found["confidence"].append(dynamics.confidence.mean())
        found["v_information"].append(information)
    for name in ("normalised_error", "code_length", "confidence", "v_information"):
        easy, hard = found[name]
        assert HARDER[name] * hard > HARDER[name] * easy, name
