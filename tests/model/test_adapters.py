"""Adapters in the encoder: what they compute, what is frozen, and how they come back from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import XLMRobertaModel

from xstilts.core.sealed import write_sealed
from xstilts.data.batch import PackedBatch, collate
from xstilts.kinds import MLM, PAIR, SPAN
from xstilts.kinds.feature import Feature
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.model.adapters import AdaptedOutput, adapter_widths, add_adapters, overlap
from xstilts.model.encoder import load_encoder
from xstilts.model.multitask import HeadSpec, MultiTaskModel
from xstilts.text.tokenizer import Tokenizer

SPECS = {"mnli": HeadSpec(PAIR, 3), "squad_v2": HeadSpec(SPAN), "mlm_text": HeadSpec(MLM)}
KINDS = {name: spec.kind for name, spec in SPECS.items()}
SHORT = Feature("a", [0, 7, 8, 2], [4], [0], [2])
LONGER = Feature("b", [0, 7, 8, 9, 10, 2], [6], [0], [1])


def norm(output: AdaptedOutput, given: torch.Tensor) -> torch.Tensor:
    centred = given - given.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + output.LayerNorm.eps).sqrt()
    return scaled * output.LayerNorm.weight + output.LayerNorm.bias


def batch_of(tokenizer: Tokenizer, *items: TaskItems) -> PackedBatch:
    return collate(items, KINDS, Collation(tokenizer))


def test_a_layer_is_the_published_formula(encoder: XLMRobertaModel) -> None:
    for width, seed in ((3, 1), (5, 2)):
        add_adapters(encoder, width, seed)
    assert adapter_widths(encoder.config) == (3, 5)
    output = encoder.encoder.layer[1].output
    assert isinstance(output, AdaptedOutput)
    inner, outer = torch.randn(1, 7, 64), torch.randn(1, 7, 32)
    sum_ = inner @ output.dense.weight.T + output.dense.bias
    for adapter in output.adapters:
        before = norm(output, sum_ + outer)
        down = (before @ adapter.down.weight.T + adapter.down.bias).clamp(min=0)
        added = down @ adapter.up.weight.T + adapter.up.bias
        sum_ = sum_ + added
    torch.testing.assert_close(output.eval()(inner, outer), norm(output, sum_ + outer))
    output.train()
    output.dropout.p = 0.0
    output(inner, outer)
    cosine = (added * before).sum(-1) / (added.norm(dim=-1) * before.norm(dim=-1))
    torch.testing.assert_close(output.overlap_L, cosine[0] ** 2)


def test_new_adapters_depend_on_their_seed_alone_and_begin_near_the_identity(encoder: XLMRobertaModel) -> None:
    encoder.config.initializer_range = 0.02
    torch.manual_seed(3)
    add_adapters(encoder, 4, seed=5)
    found = {name: p.detach().clone() for name, p in encoder.named_parameters() if "adapters" in name}
    assert len(found) == 3 * 4
    assert all(bool(tensor.any()) == name.endswith("weight") for name, tensor in found.items())
    assert len({tuple(t.flatten()[:3].tolist()) for name, t in found.items() if name.endswith("weight")}) == 6
    torch.manual_seed(4)
    add_adapters(encoder, 4, seed=5)
    for name, parameter in encoder.named_parameters():
        if ".adapters.1." in name:
            assert torch.equal(parameter, found[name.replace(".adapters.1.", ".adapters.0.")]), name
    hidden = torch.randn(1, 5, 32)
    output = encoder.encoder.layer[0].output.eval()
    before = norm(output, output.dense(torch.ones(1, 5, 64)) + hidden)
    assert (output(torch.ones(1, 5, 64), hidden) - before).abs().max() < 0.05


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("items", [[], [TaskItems.of("mnli", [SHORT], 1.0)]], ids=["filler", "one task"])
def test_adapters_and_heads_always_have_a_gradient_and_the_frozen_never(
    encoder: XLMRobertaModel, tokenizer: Tokenizer, items: list[TaskItems], checkpointing: bool
) -> None:
    add_adapters(encoder, 3, seed=1)
    encoder.requires_grad_(False)
    add_adapters(encoder, 5, seed=2)
    if checkpointing:
        encoder.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    model = MultiTaskModel(encoder, SPECS, seed=0, orthogonal=0.5).train()
    loss, _ = model(batch_of(tokenizer, *items))
    loss.backward()
    missing = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert missing == {name for name in dict(model.named_parameters()) if "encoder." in name and "s.1." not in name}
    assert any(p.grad is not None and p.grad.any() for p in encoder.parameters()) == bool(items)


def test_the_overlap_counts_each_example_as_the_loss_does(encoder: XLMRobertaModel, tokenizer: Tokenizer) -> None:
    add_adapters(encoder, 3, seed=1)
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model = MultiTaskModel(encoder, SPECS, seed=0, orthogonal=0.5).train()
    items = [TaskItems.of("mnli", [SHORT], 2.0), TaskItems.of("mnli", [LONGER], 3.0)]
    _, losses = model(batch_of(tokenizer, *items))
    expected = 0.0
    for item in items:
        model(batch_of(tokenizer, item))
        expected += item.weights[0] * overlap(encoder).mean().item()
    assert model.num_parts == len(SPECS) + 1
    assert losses[len(SPECS)].item() == pytest.approx(0.5 * expected, rel=1e-5)
    assert MultiTaskModel(encoder, SPECS, seed=0).num_parts == len(SPECS)


def test_adapters_come_back_with_the_encoder(encoder: XLMRobertaModel, tokenizer: Tokenizer, tmp_path: Path) -> None:
    add_adapters(encoder, 3, seed=1)
    add_adapters(encoder, 5, seed=2)
    tensors = {f"encoder.{name}": p.detach().clone() for name, p in encoder.named_parameters()}
    digest = write_sealed(tmp_path / "weights.safetensors", tensors)
    loaded, _ = load_encoder(encoder.config.to_dict(), tmp_path / "weights.safetensors", tokenizer, digest)
    assert {f"encoder.{name}": None for name, _ in loaded.named_parameters()}.keys() == tensors.keys()
    batch = batch_of(tokenizer, TaskItems.of("mnli", [SHORT], 1.0), TaskItems.of("mnli", [LONGER], 1.0))
    outputs = [MultiTaskModel(e, SPECS, seed=0).eval()._encode(batch) for e in (encoder, loaded)]
    assert torch.equal(*outputs)
