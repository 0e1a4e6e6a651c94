from __future__ import annotations

from collections import Counter

import pytest
import torch

from xstilts.data.batch import PackedBatch, collate
from xstilts.kinds import CHOICE, MLM, PAIR, SPAN, TAGGING
from xstilts.kinds.feature import NO_LABEL, Feature
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.text.tokenizer import Tokenizer

KINDS = {"qqp": PAIR, "copa": CHOICE, "squad": SPAN, "pos": TAGGING, "text": MLM}


@pytest.fixture
def mixed(tokenizer: Tokenizer) -> PackedBatch:
    """One example of each kind, 4 + 3 + 3 + 4 + 3 + 5 + 4 = 26 tokens in seven segments."""
    question = Feature("c", [0, 9, 10, 2, 0, 11, 2], [4, 3], [0, 4], [1, 2, 0, 0], num_targets=2)
    sentence = Feature("d", [0, 12, 13, 14, 2], [5], [1, 3, 2], [4, NO_LABEL, 3], num_targets=2)
    return collate(
        [
            TaskItems.of("qqp", [Feature("a", [0, 5, 6, 2], [4], [0], [1])], 0.5),
            TaskItems.of("copa", [Feature("b", [0, 7, 2, 0, 8, 2], [3, 3], [0, 3], [1])], 0.25),
            TaskItems.of("squad", [question], 0.5),
            TaskItems.of("pos", [sentence], 0.125),
            TaskItems.of("text", [Feature("e", [0, 15, 16, 2], [4])], 1.0),
        ],
        KINDS,
        Collation(tokenizer, mlm_probability=0.5),
    )


def test_one_row_with_positions_from_two_in_each_segment(mixed: PackedBatch) -> None:
    assert mixed.lengths_S == (4, 3, 3, 4, 3, 5, 4)
    assert mixed.tokens_L[:17].tolist() == [0, 5, 6, 2, 0, 7, 2, 0, 8, 2, 0, 9, 10, 2, 0, 11, 2]
    # XLM-R: the pad id is 1, positions count from 2
    assert mixed.positions_L.tolist() == [2, 3, 4, 5, *[2, 3, 4] * 2, 2, 3, 4, 5, 2, 3, 4, 2, 3, 4, 5, 6, 2, 3, 4, 5]
    assert mixed.tokens_L.dtype == mixed.positions_L.dtype == torch.int64


def test_what_heads_read(mixed: PackedBatch) -> None:
    heads = {
        name: [*(getattr(head, field).tolist() for field in ("positions_T", "targets", "weights")), list(head.groups)]
        for name, head in mixed.heads.items()
    }
    assert heads["qqp"] == [[0], [1], [0.5], []]
    assert heads["copa"] == [[4, 7], [1], [0.25], [2]]
    assert heads["squad"] == [list(range(10, 17)), [[1, 2], [0, 0]], [0.25, 0.25], [4, 3]]
    assert heads["pos"] == [[18, 20, 19], [4, NO_LABEL, 3], [0.0625, 0.0, 0.0625], []]
    assert heads["text"][2:] == [[1.0], []]
    assert heads["text"][0][0] in (23, 24)


def test_weights_add_up_to_those_of_the_examples(mixed: PackedBatch) -> None:
    sums = {name: float(head.weights.sum()) for name, head in mixed.heads.items()}
    assert sums == {"qqp": 0.5, "copa": 0.25, "squad": 0.5, "pos": 0.125, "text": 1.0}


def test_without_items_a_row_that_no_head_reads(tokenizer: Tokenizer) -> None:
    empty = collate([], KINDS, Collation(tokenizer))
    assert (empty.tokens_L.tolist(), empty.positions_L.tolist(), empty.lengths_S) == ([0, 2], [2, 3], (2,))
    for head in empty.heads.values():
        assert head.positions_T.dtype == head.targets.dtype == torch.int64
        assert len(head.positions_T) == len(head.targets) == len(head.weights) == len(head.groups) == 0
    assert empty.heads["squad"].targets.shape == (0, 2)


def masked(tokenizer: Tokenizer, tokens: list[int], seed: int, probability: float) -> tuple[list[int], PackedBatch]:
    item = TaskItems.of("text", [Feature("e", tokens, [len(tokens)])], 1.0, seed)
    batch = collate([item], {"text": MLM}, Collation(tokenizer, probability))
    return batch.heads["text"].positions_T.tolist(), batch


def test_eighty_ten_ten(tokenizer: Tokenizer) -> None:
    tokens = [0, *[10] * 20_000, 2]
    positions, batch = masked(tokenizer, tokens, 3, 0.5)
    assert len(positions) == 10_000
    assert positions == sorted(set(positions))
    assert batch.heads["text"].targets.tolist() == [10] * 10_000
    now = Counter(batch.tokens_L[positions].tolist())
    assert 7800 < now[56] < 8200  # standard deviation 40
    # kept: 10 % and, of the random 10 %, one in 52 by chance
    assert 880 < now[10] - 1000 / 52 < 1120
    # random pieces are never special: <s>, <pad>, </s>, <unk> would teach nonsense
    assert set(now) - {56} <= set(range(4, 56))
    assert len(set(now)) == 53
    untouched = sorted(set(range(20_002)) - set(positions))
    assert batch.tokens_L[untouched].tolist() == [tokens[i] for i in untouched]


def test_special_and_unknown_tokens_are_not_predicted(tokenizer: Tokenizer) -> None:
    positions, _ = masked(tokenizer, [0, 3, 7, 2, 2, 3, 2], 0, 0.99)
    assert positions == [2]
    positions, batch = masked(tokenizer, [0, 3, 2], 0, 0.15)
    assert (positions, batch.tokens_L.tolist()) == ([], [0, 3, 2])


def test_at_least_one_token_and_the_share_rounded(tokenizer: Tokenizer) -> None:
    assert len(masked(tokenizer, [0, 5, 6, 2], 0, 0.15)[0]) == 1
    assert len(masked(tokenizer, [0, *[5] * 20, 2], 0, 0.15)[0]) == 3


def test_masking_is_named_by_its_seed(tokenizer: Tokenizer) -> None:
    tokens = [0, *range(4, 54), 2]
    rows = [masked(tokenizer, tokens, seed, 0.5)[1].tokens_L.tolist() for seed in (1, 1, 2)]
    assert rows[0] == rows[1] != rows[2]


def test_stored_feature_is_not_touched(tokenizer: Tokenizer) -> None:
    feature = Feature("e", [0, 5, 6, 7, 2], [5])
    collate([TaskItems.of("text", [feature], 1.0)], {"text": MLM}, Collation(tokenizer, 0.9))
    assert feature.tokens == [0, 5, 6, 7, 2]
