"""Layers whose backward is written out, against those of `transformers` under autograd."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import XLMRobertaModel

from xstilts.model import cpu_blocks
from xstilts.model.adapters import add_adapters
from xstilts.model.attention import cut_rectangles
from xstilts.model.cpu_layer import use_cpu_layers
from xstilts.model.dropout import use_cheap_masks
from xstilts.model.last_layer import read_some
from xstilts.model.varlen import Segments

LENGTHS = [7, 3, 8, 1, 8, 2]
"""Two rectangles with padding and one without."""
READ = torch.tensor([2, 0, 8, 11, 20, 3])
"""Tokens of some segments, in no order."""


@pytest.fixture(params=[0.0, 0.3])
def usual(encoder: XLMRobertaModel, request: pytest.FixtureRequest) -> XLMRobertaModel:
    """An encoder in training, with and without dropout."""
    use_cheap_masks(encoder)
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = request.param
    read_some(encoder)
    return encoder.train()


def written_out(usual: XLMRobertaModel) -> XLMRobertaModel:
    copied = copy.deepcopy(usual)
    use_cpu_layers(copied)
    return copied


def run(encoder: XLMRobertaModel) -> dict[str, torch.Tensor]:
    """Two different sums over what is read of a row, and the gradients of all that is trained and of the row."""
    generator = torch.Generator().manual_seed(3)
    given_1LH = torch.randn(1, sum(LENGTHS), 32, generator=generator).requires_grad_()
    rectangles = cut_rectangles(LENGTHS)
    torch.manual_seed(4)
    hidden_1LH = given_1LH * 1.0
    *layers, last = encoder.encoder.layer
    for layer in layers:
        hidden_1LH = layer(hidden_1LH, segmentation=rectangles)
    read_1TH = last(hidden_1LH, segmentation=rectangles.reading(READ), read_T=READ)
    (read_1TH * torch.randn(read_1TH.shape, generator=generator)).sum().backward()
    assert given_1LH.grad is not None
    gradients = {name: p.grad for name, p in encoder.encoder.named_parameters() if p.grad is not None}
    return {"read": read_1TH.detach(), "given": given_1LH.grad, **gradients}


def test_outputs_and_every_gradient_are_those_of_autograd_with_the_same_masks(usual: XLMRobertaModel) -> None:
    found, expected = run(written_out(usual)), run(usual)
    assert found.keys() == expected.keys() == {"read", "given", *dict(usual.encoder.named_parameters())}
    for name, tensor in expected.items():
        # Softmax is blind to the keys' biases: what is there is rounding, of about the queries' size.
        scale = float(expected[name.replace("key.bias", "query.bias")].abs().max())
        assert scale > 1e-2
        torch.testing.assert_close(found[name] / scale, tensor / scale, rtol=0, atol=1e-5, msg=name)


@pytest.mark.parametrize("usual", [1.0], indirect=True)
def test_where_everything_is_dropped_the_residual_stream_is_left(usual: XLMRobertaModel) -> None:
    found, expected = run(written_out(usual)), run(usual)
    assert float(found["given"].abs().max()) > 1e-2
    assert not found["layer.0.attention.self.value.weight"].any()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_a_written_out_backward_is_what_runs(usual: XLMRobertaModel, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = written_out(usual)
    calls = []
    backward = cpu_blocks.gradients
    monkeypatch.setattr(cpu_blocks, "gradients", lambda *given: calls.append(len(given)) or backward(*given))
    run(encoder)
    assert len(calls) == len(encoder.encoder.layer)


@pytest.mark.parametrize("usual", [0.3], indirect=True)
def test_without_a_product_of_onednn_it_is_the_same(usual: XLMRobertaModel, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run(usual)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    found = run(written_out(usual))
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("usual", [0.3], indirect=True)
def test_a_layer_with_adapters_or_something_frozen_runs_as_ever(usual: XLMRobertaModel) -> None:
    add_adapters(usual, 3, seed=1)
    usual.encoder.layer[1].attention.self.key.weight.requires_grad_(False)
    found, expected = run(written_out(usual)), run(usual)
    assert len(found) == len(expected) == 1 + len(dict(usual.encoder.named_parameters()))
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("usual", [0.0], indirect=True)
def test_without_gradients_or_with_another_attention_it_runs_as_ever(usual: XLMRobertaModel) -> None:
    encoder = written_out(usual)
    ends = torch.tensor([0, *LENGTHS], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    given_1LH = torch.randn(1, sum(LENGTHS), 32, generator=torch.Generator().manual_seed(3))
    for each in (cut_rectangles(LENGTHS), Segments(ends, ends, max(LENGTHS), max(LENGTHS))):
        with torch.set_grad_enabled(isinstance(each, Segments)):
            expected = usual.encoder.layer[0](given_1LH, segmentation=each)
            assert torch.equal(encoder.encoder.layer[0](given_1LH, segmentation=each), expected)
