from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from xstilts.evaluation.baselines import chance, majority
from xstilts.evaluation.metrics import find_metric
from xstilts.kinds import (
    CHOICE,
    PAIR,
    RANKING,
    SPAN_OR_NONE,
    TAGGING,
    Answer,
    ChoiceExample,
    Example,
    Kind,
    PairExample,
    RetrievalExample,
    SpanExample,
    TaggingExample,
    span,
)

KINDS: dict[type, Kind[Any]] = {kind.example_type: kind for kind in (PAIR, CHOICE, SPAN_OR_NONE, TAGGING, RANKING)}


def _kind(examples: list[Example]) -> Kind[Any]:
    return KINDS[type(examples[0])] if examples else PAIR


def _chance(examples: list[Example], metric: str, labels: tuple[str, ...] = (), seed: int = 0) -> float:
    kind = _kind(examples)
    references = kind.references(examples, "swh_Latn")
    return chance(kind, examples, references, find_metric(metric), labels=labels, seed=seed)


def _majority(examples: list[Example], metric: str) -> float | None:
    kind = _kind(examples)
    return majority(kind, examples, kind.references(examples, "swh_Latn"), find_metric(metric))


def test_pairs() -> None:
    examples: list[Example] = [
        PairExample(str(i), "a", "b", "neutral" if i < 900 else "entailment") for i in range(1500)
    ]
    labels = ("entailment", "neutral", "contradiction")
    assert _chance(examples, "accuracy", labels) == pytest.approx(100 / 3, abs=2.5)
    assert _chance(examples, "accuracy") == pytest.approx(50, abs=2.5), "labels that occur: two"
    assert _majority(examples, "accuracy") == 60.0


def test_choices_of_different_width() -> None:
    two, four = ("a", "b"), ("a", "b", "c", "d")
    examples: list[Example] = [ChoiceExample(str(i), "", "", two if i % 2 else four, i % 2) for i in range(2000)]
    assert _chance(examples, "accuracy") == pytest.approx(37.5, abs=3)
    assert _majority(examples, "accuracy") == 50.0


def test_tags() -> None:
    examples: list[Example] = [TaggingExample(str(i), ("a", "b", "c"), ("NOUN", "NOUN", "VERB")) for i in range(1000)]
    assert _chance(examples, "token_accuracy", ("NOUN", "VERB", "ADJ", "ADV")) == pytest.approx(25, abs=2)
    assert _majority(examples, "token_accuracy") == pytest.approx(200 / 3)
    # One span NOUN 0-2 against NOUN 0-1 and VERB 2.
    assert _majority(examples, "xtreme_pos_f1") == 0.0
    assert _majority(examples, "tag_f1") == 0.0


def test_spans() -> None:
    # Three words make 6 runs, all distinct: the right one is drawn once in 6.
    examples: list[Example] = [SpanExample(str(i), "?", "moja  mbili tatu", (Answer("mbili", 6),)) for i in range(3000)]
    assert _chance(examples, "squad_em") == pytest.approx(100 / 6, abs=2.5)
    assert _majority(examples, "squad_em") == 0.0
    first: list[Example] = [SpanExample("1", "?", "moja mbili", (Answer("moja", 0),))]
    assert _majority(first, "squad_em") == 100.0


def test_constant_answer_where_questions_have_none() -> None:
    answered = SpanExample("1", "?", "moja mbili", (Answer("moja", 0),))
    empty = [SpanExample(str(i), "?", "tatu", ()) for i in range(3)]
    assert _majority([answered, *empty], "squad2_em") == 75.0


def test_random_spans_are_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span, "MAX_ANSWER_WORDS", 2)
    generator = np.random.default_rng(0)
    drawn = Counter(span._random_span(" a b\tc ", generator) for _ in range(5000))
    assert sorted(drawn) == ["a", "a b", "b", "b\tc", "c"]
    assert all(count == pytest.approx(1000, abs=120) for count in drawn.values())
    assert span._random_span("  ", generator) == ""


def _retrieval(num_relevant: int, num_candidates: int) -> list[Example]:
    candidates = [RetrievalExample(f"c{i}", "candidate", "") for i in range(num_candidates)]
    relevant = tuple(candidate.id for candidate in candidates[:num_relevant])
    return [RetrievalExample("q", "query", "", relevant=relevant), *candidates]


def test_retrieval_in_closed_form() -> None:
    assert _chance(_retrieval(1, 50), "top1") == pytest.approx(2.0)
    # Two candidates, one right: precision 1 or 1/2.
    assert _chance(_retrieval(1, 2), "map_at_20") == pytest.approx(75.0)
    # Three candidates, two right: orders RRx 1, RxR (1 + 2/3) / 2, xRR (1/2 + 2/3) / 2.
    assert _chance(_retrieval(2, 3), "map_at_20") == pytest.approx(100 * (1 + 5 / 6 + 7 / 12) / 3)
    # One source with one true target among 4: 1/4 right of 1 mined and of 1 true.
    assert _chance(_retrieval(1, 4), "mining_f1") == pytest.approx(25.0)
    assert _majority(_retrieval(1, 4), "top1") is None


def test_average_precision_of_random_orders_by_simulation() -> None:
    examples = _retrieval(3, 40)
    generator = np.random.default_rng(0)
    ids = [f"c{i}" for i in range(40)]
    orders = [tuple(generator.permutation(ids))[:20] for _ in range(20_000)]
    simulated = find_metric("map_at_20").score([("c0", "c1", "c2")] * len(orders), orders)
    assert _chance(examples, "map_at_20") == pytest.approx(simulated, rel=0.03)


def test_chance_depends_on_the_seed_alone() -> None:
    examples: list[Example] = [PairExample(str(i), "a", "b", "x") for i in range(100)]
    assert _chance(examples, "accuracy", ("x", "y"), seed=5) == _chance(examples, "accuracy", ("x", "y"), seed=5)
    assert _chance(examples, "accuracy", ("x", "y"), seed=5) != _chance(examples, "accuracy", ("x", "y"), seed=6)


def test_nothing_to_score() -> None:
    assert _chance([], "accuracy", ("x",)) == 0.0
    assert _majority([], "accuracy") == 0.0
