"""Layers that are compiled once for rows of any number of tokens, and give what they gave before."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from transformers import XLMRobertaConfig, XLMRobertaModel

from xstilts.data.batch import PackedBatch, collate
from xstilts.kinds import TAGGING
from xstilts.kinds.feature import Feature
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.model.adapters import add_adapters
from xstilts.model.attention import NAME
from xstilts.model.multitask import HeadSpec, MultiTaskModel
from xstilts.text.tokenizer import Tokenizer

LENGTHS = ((5, 7), (3, 9, 4), (30,), (12, 12, 12, 12), (6,) * 7)


@pytest.fixture
def batches(tokenizer: Tokenizer) -> list[PackedBatch]:
    """Rows of other numbers of segments and tokens."""

    def feature(length: int) -> Feature:
        return Feature("a", [0, *([7] * (length - 2)), 2], [length], [1], [2])

    items = ([feature(length) for length in lengths] for lengths in LENGTHS)
    return [collate([TaskItems.of("ccg", features, 0.1)], {"ccg": TAGGING}, Collation(tokenizer)) for features in items]


Use = Callable[[MultiTaskModel], None]
"""What is done to a model before it is trained."""


def gradients(
    config: XLMRobertaConfig, batches: list[PackedBatch], prepare: Use, *, adapters: bool = False
) -> list[torch.Tensor]:
    """Loss and gradients of each batch, dropout on; with adapters their overlap counts and layers are recomputed."""
    torch.manual_seed(0)
    config = copy.deepcopy(config)
    config._attn_implementation = NAME
    encoder = XLMRobertaModel(config, add_pooling_layer=False)
    if adapters:
        add_adapters(encoder, 4, seed=0)
        encoder.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    model = MultiTaskModel(encoder, {"ccg": HeadSpec(TAGGING, 5)}, seed=0, orthogonal=0.5 * adapters).train()
    model.attention = "varlen"
    prepare(model)
    found = []
    for seed, batch in enumerate(batches):
        torch.manual_seed(seed)
        model.zero_grad()
        loss, _ = model(batch)
        loss.backward()
        found += [loss.detach(), *(parameter.grad.clone() for parameter in model.parameters())]
    return found


def as_it_is(model: MultiTaskModel) -> None:
    """Does nothing."""


def test_layers_compile_once_and_compute_the_same(config: XLMRobertaConfig, batches: list[PackedBatch]) -> None:
    config.num_hidden_layers = 4
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")

    def compiled(model: MultiTaskModel) -> None:
        model.compile_layers(counter)

    first = gradients(config, batches, compiled)
    second = gradients(config, batches, compiled)  # another stage of the process
    assert 1 <= counter.frame_count <= 2
    for ours, theirs, uncompiled in zip(first, second, gradients(config, batches, as_it_is), strict=True):
        assert torch.equal(ours, theirs)
        torch.testing.assert_close(ours, uncompiled, rtol=1e-6, atol=1e-6)


def test_adapters_and_recomputed_layers_compile_too(config: XLMRobertaConfig, batches: list[PackedBatch]) -> None:
    torch._dynamo.reset()
    compiled = gradients(config, batches[:2], lambda model: model.compile_layers("aot_eager"), adapters=True)
    for ours, uncompiled in zip(compiled, gradients(config, batches[:2], as_it_is, adapters=True), strict=True):
        torch.testing.assert_close(ours, uncompiled, rtol=1e-6, atol=1e-6)
