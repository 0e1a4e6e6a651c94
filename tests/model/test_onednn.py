"""An encoder's products by oneDNN, against PyTorch's own."""

from __future__ import annotations

import copy

import torch
from transformers import XLMRobertaModel

from xstilts.data.batch import pack
from xstilts.model.adapters import add_adapters
from xstilts.model.layers import layer_means
from xstilts.model.multitask import MultiTaskModel
from xstilts.model.onednn import PackedIntermediate, PackedLinear, use_onednn
from xstilts.text.tokenizer import Tokenizer

SEGMENTS = [[0, 7, 8, 9, 2], [0, 6, 2], [0, 9, 9, 8, 7, 6, 2]]


def states(encoder: XLMRobertaModel, tokenizer: Tokenizer) -> torch.Tensor:
    """Means of every layer and the last layer's output, in one row."""
    means, last = layer_means(MultiTaskModel(encoder, {}, seed=0).eval(), pack(SEGMENTS, tokenizer))
    return torch.cat([means.flatten(), last.flatten()])


def test_predictions_are_those_of_torch_to_rounding_and_follow_the_weights(
    encoder: XLMRobertaModel, tokenizer: Tokenizer
) -> None:
    add_adapters(encoder, 3, seed=1)
    plain = copy.deepcopy(encoder)
    names = encoder.state_dict().keys()
    use_onednn(encoder)
    use_onednn(encoder)
    found = [type(module) for module in encoder.encoder.modules()]
    num_layers = encoder.config.num_hidden_layers
    assert (found.count(PackedLinear), found.count(PackedIntermediate)) == (8 * num_layers, num_layers)
    assert encoder.state_dict().keys() == names
    before = states(plain, tokenizer)
    torch.testing.assert_close(states(encoder, tokenizer), before, rtol=0, atol=1e-5)
    for each in (plain, encoder):
        with torch.no_grad():
            for parameter in each.encoder.parameters():
                parameter.mul_(1.1)
    after = states(plain, tokenizer)
    torch.testing.assert_close(states(encoder, tokenizer), after, rtol=0, atol=1e-5)
    assert (after - before).abs().max() > 0.1


def test_what_asks_for_gradients_is_computed_as_ever(encoder: XLMRobertaModel) -> None:
    plain = copy.deepcopy(encoder)
    use_onednn(encoder)
    given = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    outputs = []
    for each in (plain, encoder):
        block = each.encoder.layer[0].intermediate
        block(given).sum().backward()
        assert block.dense.weight.grad is not None
        outputs.append(block.dense.weight.grad)
    assert torch.equal(*outputs)
