"""What masked language modelling hides, over thousands of items that are collated at once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from xstilts.data.batch import PackedBatch, collate
from xstilts.kinds import MLM
from xstilts.kinds.feature import Feature
from xstilts.kinds.features import Features
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.text.tokenizer import Tokenizer


def collated(tokenizer: Tokenizer, texts: list[list[int]], turns: list[int], share: float) -> PackedBatch:
    features = Features.of([Feature(str(turn), text, [len(text)]) for turn, text in zip(turns, texts, strict=True)])
    items = TaskItems("text", features, np.ones(len(texts)), np.array(turns), 7)
    return collate([items], {"text": MLM}, Collation(tokenizer, share))


def rows_of(batch: PackedBatch) -> list[tuple[list[int], list[int]]]:
    """Tokens and targets of each text."""
    head = batch.heads["text"]
    tokens, targets = batch.tokens_L.split(list(batch.lengths_S)), head.targets.split(list(head.sizes))
    return [(own.tolist(), known.tolist()) for own, known in zip(tokens, targets, strict=True)]


def test_items_are_masked_alike_in_any_micro_batch(tokenizer: Tokenizer) -> None:
    texts = [[0, *range(4, 5 + 3 * i), 2] for i in range(12)]
    together = rows_of(collated(tokenizer, texts, list(range(100, 112)), 0.4))
    alone = [rows_of(collated(tokenizer, [text], [100 + i], 0.4))[0] for i, text in enumerate(texts)]
    assert together == alone
    chosen = [7, 2, 11]
    others = rows_of(collated(tokenizer, [texts[i] for i in chosen], [100 + i for i in chosen], 0.4))
    assert others == [together[i] for i in chosen]


@pytest.mark.parametrize(("num_open", "share", "num_hidden"), [(0, 0.9, 0), (1, 0.15, 1), (20, 0.15, 3), (9, 0.5, 4)])
def test_as_many_of_each_text(tokenizer: Tokenizer, num_open: int, share: float, num_hidden: int) -> None:
    texts = [[0, *[9] * num_open, 3, 2]] * 200  # 3: `<unk>`
    batch = collated(tokenizer, texts, list(range(200)), share)
    assert batch.heads["text"].sizes == (num_hidden,) * 200
    assert len(set(batch.heads["text"].positions_T.tolist())) == 200 * num_hidden


def test_every_two_of_five_are_hidden_together_equally_often(tokenizer: Tokenizer) -> None:
    batch = collated(tokenizer, [[0, 9, 9, 9, 9, 9, 2]] * 10_000, list(range(10_000)), 0.4)
    places = (batch.heads["text"].positions_T % 7).reshape(-1, 2)
    counts = Counter(map(tuple, places.tolist()))
    assert len(counts) == 10
    # 1,000 of each are expected with a standard deviation of 30; chi-square of 9 degrees exceeds 27.9 once in 1,000
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 27.9


def test_random_pieces_are_drawn_evenly_and_apart_from_the_place(tokenizer: Tokenizer) -> None:
    """Each text hides one of two tokens, `9` by a random piece once in ten: 52 pieces, 2 places."""
    batch = collated(tokenizer, [[0, 9, 9, 2]] * 52_000, list(range(52_000)), 0.5)
    positions = batch.heads["text"].positions_T
    now, place = batch.tokens_L[positions].numpy(), (positions % 4).numpy() - 1
    assert abs(place.sum() - 26_000) < 4 * 114  # standard deviation: half the root of 52,000
    masks = [np.count_nonzero(now[place == side] == tokenizer.mask) for side in (0, 1)]
    assert all(abs(count - 20_800) < 4 * 90 for count in masks)
    pieces = Counter(now[(now != tokenizer.mask) & (now != 9)].tolist())
    assert set(pieces) == set(tokenizer.ordinary_ids.tolist()) - {9}
    # 51 pieces, 100 of each; chi-square of 50 degrees exceeds 86.7 once in 1,000
    assert sum((count - 100) ** 2 / 100 for count in pieces.values()) < 86.7
