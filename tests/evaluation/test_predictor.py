"""How evaluation batches are cut, and that every prediction reaches its example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.core.errors import UserError
from xstilts.data.batch import PackedBatch
from xstilts.data.packing import divide
from xstilts.evaluation.predictor import Predictor, _cut
from xstilts.evaluation.work import Work
from xstilts.kinds import PAIR, TAGGING, Example, PairExample, RetrievalExample
from xstilts.tasks import find_task
from xstilts.text.tokenizer import Tokenizer

MakeWork = Callable[..., Work]


class Lengths:
    """Stands for the features of a work of which only the lengths matter."""

    def __init__(self, lengths: list[int]) -> None:
        self.num_tokens = np.array(lengths, dtype=np.int64)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 60), max_size=30), min_size=1, max_size=3), st.integers(10, 80), st.data())
def test_every_scored_example_is_in_one_batch_under_the_budget(
    lengths: list[list[int]], budget: int, data: st.DataObject
) -> None:
    names = [data.draw(st.sampled_from(["xnli", "pawsx"])) for _ in lengths]
    scored = [data.draw(st.integers(0, len(each))) for each in lengths]
    firsts = {i: data.draw(st.integers(0, num)) for i, num in enumerate(scored)}
    works = [
        Work(find_task(name), "eng_Latn", "test", Lengths(each), None, num)  # type: ignore[arg-type]
        for name, each, num in zip(names, lengths, scored, strict=True)
    ]
    batches = [
        list(zip(batch.works.tolist(), batch.rows.tolist(), strict=True)) for batch in _cut(firsts, works, budget)
    ]
    expected = [(i, row) for i, num in enumerate(scored) for row in range(firsts[i], num)]
    assert sorted(place for batch in batches for place in batch) == expected
    for batch in batches:
        assert len({names[i] for i, _ in batch}) == 1
        assert len(batch) == 1 or sum(lengths[i][row] for i, row in batch) <= budget
    for name in set(names):
        # Longest first: batches of like length, and the cost of the last batches is small when ranks divide them.
        order = [lengths[i][row] for batch in batches for i, row in batch if names[i] == name]
        assert order == sorted(order, reverse=True)


@given(st.lists(st.integers(1, 100), max_size=20), st.integers(1, 5))
def test_no_rank_runs_more_forwards_than_all_are_made_to_run(costs: list[int], world_size: int) -> None:
    shared = divide(costs, world_size)
    assert sorted(i for rank in shared for i in rank) == list(range(len(costs)))
    assert max(map(len, shared)) <= -(-len(costs) // world_size)


def first_token_decides(batch: PackedBatch, purpose: str) -> Any:
    """A model whose scores and embeddings follow from the second token of each segment, to be checked by hand."""
    starts = np.cumsum([0, *batch.lengths_S[:-1]])
    if purpose == "embeddings":
        return torch.stack([batch.tokens_L[start + 1].float().repeat(2) for start in starts])
    head = batch.heads["mnli"]
    token_T = batch.tokens_L[head.positions_T + 1]
    return {"mnli": torch.nn.functional.one_hot(token_T % 3, 3).float(), "other": None}


def test_predictions_come_back_in_the_order_of_the_examples(make_work: MakeWork, tokenizer: Tokenizer) -> None:
    labels = ("x", "y", "z")
    texts = ["the cat", "dog dog dog dog", "a", "old young", "hears the old dog", "sees"]
    pairs: list[Example] = [PairExample(str(i), text, None, "x") for i, text in enumerate(texts)]
    sentences: list[Example] = [RetrievalExample(f"q{i}", "query", text) for i, text in enumerate(texts)]
    works = [
        make_work("tatoeba", sentences, "deu_Latn"),
        make_work("xnli", pairs, labels=labels),
        make_work("xnli", pairs, "deu_Latn", labels=labels, num_examples=2),
    ]
    heads = {"mnli": PAIR, "other": TAGGING}
    second = [tokenizer.encode(text).ids[0] for text in texts]
    for budget in (1, 12, 1000):
        embeddings, english, german = Predictor(first_token_decides, heads, tokenizer, budget).predict(works)
        assert embeddings.take(range(6)).tolist() == [[token, token] for token in second]
        assert english == [labels[token % 3] for token in second]
        assert german == english[:2]


def test_a_pool_that_languages_share_is_encoded_once(make_work: MakeWork, tokenizer: Tokenizer) -> None:
    pool: list[Example] = [RetrievalExample(f"c{i}", "candidate", text) for i, text in enumerate(["old", "a", "sees"])]
    asked = {"eng_Latn": ["the cat", "dog"], "deu_Latn": ["young dog", "sees", "cat"], "fra_Latn": []}
    works = [
        make_work(
            "lareqa", [*pool, *(RetrievalExample(f"q{i}", "query", text) for i, text in enumerate(texts))], language
        )
        for language, texts in asked.items()
    ]
    num_encoded = 0

    def forward(batch: PackedBatch, purpose: str) -> Any:
        nonlocal num_encoded
        num_encoded += len(batch.lengths_S)
        return first_token_decides(batch, purpose)

    found = Predictor(forward, {}, tokenizer, 12).predict([make_work("tatoeba", pool), *works])[1:]
    assert num_encoded == len(pool) + len(pool) + 2 + 3
    for embeddings, texts in zip(found, asked.values(), strict=True):
        tokens = [tokenizer.encode(text).ids[0] for text in ["old", "a", "sees", *texts]]
        assert embeddings.take(range(len(embeddings))).tolist() == [[token, token] for token in tokens]
        assert embeddings.take([2, 0]).tolist() == [[tokens[2]] * 2, [tokens[0]] * 2]
        assert np.shares_memory(embeddings.pool_PH, found[1].pool_PH) or embeddings is found[0]


def test_out_of_memory_names_the_task_and_the_setting(make_work: MakeWork, tokenizer: Tokenizer) -> None:
    def forward(batch: PackedBatch, purpose: str) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    pool: list[Example] = [RetrievalExample("c0", "candidate", "old")]
    with pytest.raises(
        UserError, match=r"predicting tatoeba, batch of 3 tokens: CUDA .*\.tokens_per_micro_batch below 3$"
    ):
        Predictor(forward, {}, tokenizer, 12).predict([make_work("tatoeba", pool)])


def test_without_work_there_is_nothing_to_predict(tokenizer: Tokenizer) -> None:
    assert Predictor(first_token_decides, {}, tokenizer, 100).predict([]) == []
