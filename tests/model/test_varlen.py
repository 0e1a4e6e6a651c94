"""One attention call for segments of any lengths: against a dense mask, in its gradients, its dropout and its fakes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses import FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import XLMRobertaModel

from xstilts.config.runtime import Attention
from xstilts.data.batch import PackedBatch, collate, pack
from xstilts.kinds import CHOICE, MLM, PAIR, SPAN, TAGGING
from xstilts.kinds.feature import Feature
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.model.layers import layer_means
from xstilts.model.layout import lay_out
from xstilts.model.multitask import HeadSpec, MultiTaskModel
from xstilts.model.varlen import Segments, varlen, varlen_backward
from xstilts.text.tokenizer import Tokenizer

LENGTHS = (5, 17, 9, 16, 2, 17, 30, 1)
QUERIES = (5, 0, 2, 16, 0, 3, 1, 1)


def ends(counts: tuple[int, ...] | list[int]) -> torch.Tensor:
    return torch.tensor([0, *counts]).cumsum(0).int()


def segments(queries: tuple[int, ...] = LENGTHS, lengths: tuple[int, ...] = LENGTHS) -> Segments:
    return Segments(ends(queries), ends(lengths), max(queries), max(lengths))


def inputs(
    queries: tuple[int, ...] = LENGTHS, lengths: tuple[int, ...] = LENGTHS, width: int = 8,
    dtype: torch.dtype = torch.float32,
) -> list[torch.Tensor]:  # fmt: skip
    """Queries, keys and values."""
    generator = torch.Generator().manual_seed(0)
    sizes = sum(queries), sum(lengths), sum(lengths)
    made = [torch.randn(size, 4, width, generator=generator, dtype=torch.float64) for size in sizes]
    return [each.to(dtype).requires_grad_() for each in made]


def dense(given: list[torch.Tensor], queries: tuple[int, ...], lengths: tuple[int, ...]) -> torch.Tensor:
    """Attention over the whole row under a mask, by the library."""
    of_query, of_key = (
        torch.repeat_interleave(torch.arange(len(each)), torch.tensor(each)) for each in (queries, lengths)
    )
    query, key, value = (each.transpose(0, 1).unsqueeze(0) for each in given)
    mask = of_query[:, None] == of_key[None, :]
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=0.3)[0].transpose(0, 1)


@pytest.mark.parametrize("queries", [LENGTHS, QUERIES], ids=["all", "some"])
@pytest.mark.parametrize("width", [8, 6])
def test_output_and_gradients_are_those_of_a_dense_mask_in_fp64(queries: tuple[int, ...], width: int) -> None:
    exact = inputs(queries, width=width, dtype=torch.float64)
    above = torch.randn(sum(queries), 4, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = dense(exact, queries, LENGTHS)
    ours = inputs(queries, width=width)
    out = segments(queries).attend(*ours, 0.3, 0.0)
    pairs = [
        (out, expected),
        *zip(torch.autograd.grad(out, ours, above.float()), torch.autograd.grad(expected, exact, above), strict=True),
    ]
    for found, right in ((one.detach(), other.detach()) for one, other in pairs):
        assert float((found.double() - right).norm() / right.norm()) < 1e-6


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_gradients_are_those_of_the_masks_that_were_drawn(rate: float) -> None:
    queries, lengths = (3, 0, 2, 1), (3, 2, 4, 4)
    layout = segments(queries, lengths)

    def attend(*packed: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return layout.attend(*packed, 0.3, rate)

    assert torch.autograd.gradcheck(attend, inputs(queries, lengths, dtype=torch.float64), fast_mode=True)


def test_dropout_comes_from_the_seed_and_keeps_the_mean() -> None:
    lengths = (40,) * 60
    ones = [torch.ones(sum(lengths), 2, 8) for _ in range(3)]
    layout = segments(lengths, lengths)

    def run(seed: int, rate: float) -> torch.Tensor:
        torch.manual_seed(seed)
        return layout.attend(ones[0], ones[1], ones[2], 1.0, rate)

    dropped = run(0, 0.1)
    assert torch.equal(dropped, run(0, 0.1))
    assert not torch.equal(dropped, run(1, 0.1))
    # Each output is the mean of 40 numbers of variance 0.1/0.9; the outputs of a query and head are alike.
    spread = (0.1 / 0.9 / 40) ** 0.5
    assert float(dropped.mean()) == pytest.approx(1, abs=5 * spread / (sum(lengths) * 2) ** 0.5)
    assert float(dropped[:, :, 0].std()) == pytest.approx(spread, rel=0.1)
    torch.testing.assert_close(run(0, 0.0), torch.ones_like(dropped))


def test_the_operator_keeps_the_rules_of_the_library() -> None:
    layout = segments(QUERIES)
    for rate in (0.0, 0.1):
        given = (*inputs(QUERIES), layout.ends_q, layout.ends_k, layout.longest_q, layout.longest_k, rate, 0.3)
        # Two runs of the operator draw different masks, so what compares them is left out under dropout.
        every = ("test_schema", "test_faketensor", "test_autograd_registration")
        torch.library.opcheck(varlen, given, test_utils=every if rate else (*every, "test_aot_dispatch_dynamic"))


class WithoutBrokenFake(TorchDispatchMode):
    """Torch 2.13's own fake of this kernel lacks one of its arguments; its schema has taken them all by then."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not torch.ops.aten._efficient_attention_backward.default:
            return func(*args, **(kwargs or {}))
        names = [argument.name for argument in func._schema.arguments]
        given = dict(zip(names, args, strict=False)) | (kwargs or {})
        assert given["out"].shape == given["query"].shape
        assert given["logsumexp"].dtype == torch.float32
        assert given["cu_seqlens_q"] is not given["cu_seqlens_k"]
        assert (given["max_seqlen_q"], given["max_seqlen_k"], given["scale"]) == (max(QUERIES), max(LENGTHS), 0.3)
        return *(torch.empty_like(given[name]) for name in ("query", "key", "value")), torch.empty(0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_what_is_told_of_cuda_is_what_torch_says_of_its_kernels(dtype: torch.dtype) -> None:
    """No kernel runs: torch takes the arguments, and its own fakes say the shapes."""
    with FakeTensorMode(), WithoutBrokenFake():
        packed = [torch.empty(each.shape, dtype=dtype, device="cuda") for each in inputs(QUERIES)]
        lengths = [torch.empty(len(LENGTHS) + 1, dtype=torch.int32, device="cuda") for _ in range(2)]
        rest = (*lengths, max(QUERIES), max(LENGTHS), 0.0, 0.3)
        # What the operators tell, and their own code for CUDA down to torch's kernels.
        told, called = (
            (out, lse, rng, *backward(torch.empty_like(out), *packed, out, lse, rng, *rest))
            for forward, backward in ((varlen, varlen_backward), (varlen._init_fn, varlen_backward._init_fn))
            for out, lse, rng in [forward(*packed, *rest)]
        )
    half = dtype != torch.float32
    for i, (ours, theirs) in enumerate(zip(told, called, strict=True)):
        assert (ours.shape, ours.dtype, ours.stride()) == (theirs.shape, theirs.dtype, theirs.stride())
        assert ours.device.type == ("cuda" if half or i != 2 else "cpu")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_any_tokens_are_read_in_their_order(lengths: list[int], random: Random) -> None:
    positions = random.choices(range(sum(lengths)), k=random.randint(0, sum(lengths)))
    layout = lay_out("varlen", lengths, torch.tensor(positions, dtype=torch.int64))
    last = layout.last
    assert isinstance(last, Segments)
    assert layout.pick(layout.queries_Q).tolist() == positions
    counts = last.ends_q.diff()
    assert int(counts.min()) >= 1
    assert int(counts.max()) == last.longest_q
    of_query = torch.repeat_interleave(torch.arange(len(lengths)), counts.long())
    of_token = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    assert torch.equal(of_query, of_token[layout.queries_Q])


SPECS = {
    "mnli": HeadSpec(PAIR, 3),
    "cosmos_qa": HeadSpec(CHOICE),
    "squad_v2": HeadSpec(SPAN),
    "ccg": HeadSpec(TAGGING, 5),
    "mlm_text": HeadSpec(MLM),
}
KINDS = {name: spec.kind for name, spec in SPECS.items()}
FEATURES = [
    ("squad_v2", Feature("e", [0, 7, 2, 2, 8, 9, 2], [7], [0], [4, 5])),
    ("mnli", Feature("a", [0, 7, 8, 2], [4], [0], [2])),
    ("ccg", Feature("d", [0, 7, 8, 9, 2, 0, 8, 2], [5, 3], [1, 3, 6], [4, 0, 2], num_targets=3)),
    ("cosmos_qa", Feature("c", [0, 7, 2, 2, 8, 2, 0, 7, 2, 2, 9, 9, 2], [6, 7], [0, 6], [1])),
    ("mlm_text", Feature("f", [0, 6, 7, 8, 9, 6, 2], [7])),
]


def batch_of(tokenizer: Tokenizer, *features: tuple[str, Feature]) -> PackedBatch:
    return collate([TaskItems.of(name, [each], 0.2) for name, each in features], KINDS, Collation(tokenizer))


def on_both_paths(model: MultiTaskModel, use: Callable[[MultiTaskModel], list[torch.Tensor]]) -> None:
    found = []
    for model.attention in ("rectangles", "varlen"):
        model.zero_grad()
        found.append(use(model))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("features", [[], FEATURES], ids=["filler", "all heads"])
def test_a_model_has_one_loss_and_gradient_on_both_paths(
    encoder: XLMRobertaModel, tokenizer: Tokenizer, features: list[tuple[str, Feature]], checkpointing: bool
) -> None:
    if checkpointing:
        encoder.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    batch = batch_of(tokenizer, *features)
    model = MultiTaskModel(encoder, SPECS, seed=0).double()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0

    def gradients(model: MultiTaskModel) -> list[torch.Tensor]:
        loss, parts = model.train()(batch)
        loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        return [loss, parts, *(parameter.grad for parameter in model.parameters())]

    on_both_paths(model, gradients)


@torch.no_grad()
def test_predictions_embeddings_and_layers_are_the_same_on_both_paths(
    encoder: XLMRobertaModel, tokenizer: Tokenizer
) -> None:
    model = MultiTaskModel(encoder, SPECS, seed=0).eval()
    batch = batch_of(tokenizer, *FEATURES)
    on_both_paths(model, lambda model: list(model(batch, "logits").values()))
    on_both_paths(model, lambda model: [model(batch, "embeddings"), *layer_means(model, batch)])
    on_both_paths(model, lambda model: list(layer_means(model, pack([[0, 5, 2], [0, 6, 7, 8, 2]], tokenizer))))


@pytest.mark.parametrize("attention", ["rectangles", "varlen"])
def test_a_batch_brings_its_layout_along_and_all_of_it_is_pinned(
    attention: Attention, encoder: XLMRobertaModel, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MultiTaskModel(encoder, SPECS, seed=0).eval()
    model.attention = attention
    batch = batch_of(tokenizer, *FEATURES)
    expected, _ = model(batch)
    batch.layout = model.lay_out(batch)
    pinned = list[torch.Tensor]()
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor.clone())
    found = batch.pin_memory()
    monkeypatch.setattr(model, "lay_out", None)
    assert torch.equal(model(found.to(torch.device("cpu")))[0], expected)
    for tensor in pinned:  # what was left behind is not read
        tensor.zero_()
    assert torch.equal(model(found)[0], expected)
    assert len(pinned) >= 3 + 2 * len(SPECS) + 4
