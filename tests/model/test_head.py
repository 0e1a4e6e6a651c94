"""Every head's scores and losses on hidden states written by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import XLMRobertaConfig

from xstilts.kinds import CHOICE, MLM, PAIR, SPAN, TAGGING, Kind
from xstilts.kinds.head_input import HeadInput
from xstilts.model.head import Head

INF = float("inf")


@pytest.fixture
def small() -> XLMRobertaConfig:
    return XLMRobertaConfig(vocab_size=7, hidden_size=2, hidden_dropout_prob=0.0)


def given(positions: list[int], targets: object, groups: Sequence[int] = ()) -> HeadInput:
    tensor = torch.tensor(targets)
    return HeadInput(torch.tensor(positions), tensor, torch.ones(len(tensor)), tuple(groups))


def made(kind: Kind[Any], config: XLMRobertaConfig, num_classes: int = 0) -> Head:
    return Head(kind, config, num_classes, torch.nn.Embedding(config.vocab_size, config.hidden_size))


HIDDEN_LH = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 0.0], [0.0, 3.0]])


def test_span_scores_every_token_of_each_window_and_masks_what_is_behind_it(small: XLMRobertaConfig) -> None:
    head = made(SPAN, small, 0)
    head.out.weight.data = torch.eye(2)  # start: first component, end: second
    given_windows = given([0, 1, 2, 3, 4], [[2, 1], [0, 1]], [3, 2])
    scores = head(HIDDEN_LH, given_windows)
    assert scores.tolist() == [[[1, 0, 2], [0, 0, -INF]], [[0, 1, 0], [0, 3, -INF]]]
    # Window 0: start is token 2 of (1, 0, 2), end token 1 of (0, 1, 0). Window 1: 0 of (0, 0), 1 of (0, 3).
    e = math.e
    first = (-math.log(e**2 / (e + 1 + e**2)) - math.log(e / (2 + e))) / 2
    second = (math.log(2) - math.log(e**3 / (1 + e**3))) / 2
    assert head.losses(scores, given_windows).tolist() == pytest.approx([first, second], abs=1e-6)


def test_choice_compares_the_options_of_one_example(small: XLMRobertaConfig) -> None:
    head = made(CHOICE, small, 0)
    head.dense.weight.data, head.dense.bias.data = torch.eye(2), torch.zeros(2)
    head.out.weight.data = torch.tensor([[1.0, 1.0]])
    options = given([0, 2, 1, 3, 4], [1, 2], [2, 3])
    scores = head(HIDDEN_LH[options.positions_T], options)
    one, two, three = math.tanh(1), math.tanh(2), math.tanh(3)
    assert scores.flatten().tolist() == pytest.approx([one, two, -INF, one, 0, three])
    first = -math.log(math.exp(two) / (math.exp(one) + math.exp(two)))
    second = -math.log(math.exp(three) / (math.exp(one) + 1 + math.exp(three)))
    assert head.losses(scores, options).tolist() == pytest.approx([first, second], abs=1e-6)


def test_a_target_that_is_unknown_costs_nothing(small: XLMRobertaConfig) -> None:
    head = made(TAGGING, small, 3)
    words = given([0, 1], [-1, 0])
    losses = head.losses(torch.tensor([[5.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), words)
    assert losses.tolist() == pytest.approx([0, math.log(3)])


def test_the_masked_language_model_decodes_with_the_embedding_matrix(small: XLMRobertaConfig) -> None:
    embeddings = torch.nn.Embedding(7, 2)
    head = Head(MLM, small, 0, embeddings)
    assert head.decoder.weight is embeddings.weight
    assert head(HIDDEN_LH[:3], given([4, 0, 2], [1, 2, 3])).shape == (3, 7)


@pytest.mark.parametrize("kind", [SPAN, CHOICE])
def test_scorers_carry_no_bias_that_would_shift_every_score_alike(small: XLMRobertaConfig, kind: Kind[Any]) -> None:
    assert made(kind, small, 0).out.bias is None


@pytest.mark.parametrize("kind", [PAIR, CHOICE, SPAN, TAGGING])
def test_predicting_in_bf16_rounds_no_score(small: XLMRobertaConfig, kind: Kind[Any]) -> None:
    head = made(kind, small, 3).bfloat16()
    exact = made(kind, small, 3)
    exact.load_state_dict(head.state_dict())  # the same weights, in fp32
    groups = [2, 3] if kind in (SPAN, CHOICE) else []
    read, hidden_LH = given([0, 1, 2, 3, 4], [], groups), HIDDEN_LH / 3
    assert head(hidden_LH.bfloat16(), read).dtype == torch.bfloat16
    scores = head.eval()(hidden_LH.bfloat16(), read)
    assert torch.equal(scores, exact.eval()(hidden_LH.bfloat16().float(), read))
    assert not torch.equal(scores, scores.bfloat16().float())
