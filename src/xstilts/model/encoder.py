"""The XLM-R encoder: from a configuration with random weights, or from a checkpoint with every tensor accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM, XLMRobertaModel

from xstilts.config.recipe import Model
from xstilts.data.keyed import derive_seed
from xstilts.data.tokenizer import Tokenizer
from xstilts.errors import UserError
from xstilts.model.attention import NAME

MLM_HEAD_NAMES = {
    "lm_head.dense.weight": "dense.weight",
    "lm_head.dense.bias": "dense.bias",
    "lm_head.layer_norm.weight": "norm.weight",
    "lm_head.layer_norm.bias": "norm.bias",
    "lm_head.bias": "decoder.bias",
}
"""Tensors of a released masked-language-model head -> ours."""


def new_encoder(model: Model, tokenizer: Tokenizer, seed: int) -> XLMRobertaModel:
    """An encoder of the recipe's configuration whose weights depend on the seed alone."""
    fields = {
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 514,
        **model.config,
    }
    config = XLMRobertaConfig(
        vocab_size=tokenizer.vocab_size, pad_token_id=tokenizer.pad, type_vocab_size=1, layer_norm_eps=1e-5, **fields
    )
    config._attn_implementation = NAME
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "encoder"))
        encoder = XLMRobertaModel(config, add_pooling_layer=False)
    return _checked(encoder, tokenizer)


def pretrained_encoder(model: Model, tokenizer: Tokenizer) -> tuple[XLMRobertaModel, dict[str, torch.Tensor]]:
    """An encoder from a local folder or the hub, and its masked-language-model head's tensors (empty without one).

    Only safetensors are read. A tensor of the encoder that the checkpoint lacks, or one that finds no place, is an error.
    """
    assert model.pretrained is not None
    try:
        whole, info = XLMRobertaForMaskedLM.from_pretrained(
            model.pretrained, use_safetensors=True, output_loading_info=True, dtype=torch.float32, **model.config
        )
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"model.pretrained: cannot load '{model.pretrained}' ({reason}); give an XLM-R folder with config.json and model.safetensors"
        ) from None
    missing = sorted(name for name in info["missing_keys"] if not name.startswith("lm_head."))
    homeless = sorted(
        name for name in info["unexpected_keys"] if not name.startswith(("roberta.pooler.", "classifier."))
    )
    mismatched = sorted(str(name) for name in info["mismatched_keys"])
    for problem, names in (("lacks", missing), ("has no place for", homeless), ("has another shape for", mismatched)):
        if names:
            raise UserError(
                f"model.pretrained: '{model.pretrained}' {problem} {names[0]} and {len(names) - 1} more; give an XLM-R checkpoint"
            )
    has_head = not any(name.startswith("lm_head.") for name in info["missing_keys"])
    state = whole.state_dict()
    head = {ours: state[theirs].clone() for theirs, ours in MLM_HEAD_NAMES.items()} if has_head else {}
    encoder: XLMRobertaModel = whole.roberta
    encoder.config._attn_implementation = NAME
    return _checked(encoder, tokenizer), head


def load_encoder(
    config: Mapping[str, Any], weights: Path, tokenizer: Tokenizer
) -> tuple[XLMRobertaModel, dict[str, torch.Tensor]]:
    """The encoder of a finished stage, and every other tensor saved beside it, by name."""
    built = XLMRobertaConfig.from_dict(dict(config))
    built._attn_implementation = NAME
    with torch.random.fork_rng(devices=[]):
        encoder = XLMRobertaModel(built, add_pooling_layer=False)
    tensors = read_tensors(weights)
    prefix = "encoder."
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    expected = dict(encoder.named_parameters())
    unplaced = sorted(own.keys() ^ expected.keys()) or sorted(n for n in own if own[n].shape != expected[n].shape)
    if unplaced:
        raise UserError.at(
            weights, unplaced[0], "does not fit the encoder", "use the weights of this stage's configuration"
        )
    encoder.load_state_dict(own, strict=True)
    return _checked(encoder, tokenizer), {name: t for name, t in tensors.items() if not name.startswith(prefix)}


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file; a damaged file is a user's error."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError.at(
            path,
            None,
            f"cannot be read as safetensors ({str(error).splitlines()[0]})",
            "restore it or train the stage again",
        ) from None


def _checked(encoder: XLMRobertaModel, tokenizer: Tokenizer) -> XLMRobertaModel:
    num_rows = encoder.get_input_embeddings().num_embeddings
    if num_rows < tokenizer.vocab_size:
        raise UserError(
            f"the tokenizer has {tokenizer.vocab_size} pieces but the model {num_rows} embeddings; set model.tokenizer to the model's own"
        )
    return encoder
