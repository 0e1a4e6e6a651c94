"""The XLM-R encoder: from a configuration with random weights, or from a checkpoint with every tensor accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM, XLMRobertaModel
from transformers.utils import logging

from xstilts.config.recipe import Model
from xstilts.core.errors import UserError, reason_of
from xstilts.core.sealed import read_sealed
from xstilts.core.seeds import derive_seed
from xstilts.kinds.mlm import MLM_HEAD_NAMES
from xstilts.model.adapters import build_adapters
from xstilts.model.attention import NAME
from xstilts.model.config import encoder_config
from xstilts.text.tokenizer import Tokenizer

_LEFT_OUT = ("roberta.pooler.", "pooler.", "classifier.", "qa_outputs.", "lm_head.decoder.")
"""Tensors of a checkpoint that nothing here is made of: other heads, and the copy of a tied matrix."""


def new_encoder(model: Model, tokenizer: Tokenizer, seed: int) -> XLMRobertaModel:
    """An encoder of the recipe's configuration whose weights depend on the seed alone."""
    config = encoder_config(model, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "encoder"))
        return _empty(config)


def pretrained_encoder(model: Model, tokenizer: Tokenizer) -> tuple[XLMRobertaModel, dict[str, torch.Tensor]]:
    """An encoder from a local folder or the hub, and its masked-language-model head's tensors (empty without one).

    Only safetensors are read. A tensor of the encoder that the checkpoint lacks, one that finds no place and one of
    another shape are errors. What the file has in fp32 are views of it, mapped, which do not change it.
    """
    assert model.pretrained is not None
    config = encoder_config(model, tokenizer)
    try:
        with _without_report():
            loaded: Any = XLMRobertaForMaskedLM.from_pretrained(
                model.pretrained,
                config=config,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                dtype=torch.float32,
            )
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(
            f"model.pretrained: cannot load '{model.pretrained}' ({reason_of(error)}); "
            "give an XLM-R folder with config.json and whole *.safetensors"
        ) from None
    whole, info = loaded
    lacking, strange = sorted(info["missing_keys"]), sorted(info["unexpected_keys"])
    for problem, names in (
        ("lacks", [name for name in lacking if not name.startswith("lm_head.")]),
        ("has no place for", [name for name in strange if not name.startswith(_LEFT_OUT)]),
        ("has another shape than its config.json for", sorted(str(key[0]) for key in info["mismatched_keys"])),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise UserError(
                f"model.pretrained: '{model.pretrained}' {problem} {names[0]}{more}; give an XLM-R checkpoint"
            )
    state = whole.state_dict()
    has_head = not any(name.startswith("lm_head.") for name in lacking)
    head = {ours: state[theirs].clone() for theirs, ours in MLM_HEAD_NAMES.items()} if has_head else {}
    encoder: XLMRobertaModel = whole.roberta
    encoder.config._attn_implementation = NAME
    return _checked(encoder, tokenizer), head


def load_encoder(
    config: Mapping[str, Any], weights: Path, tokenizer: Tokenizer, digest: str | None = None
) -> tuple[XLMRobertaModel, dict[str, torch.Tensor]]:
    """The encoder of a finished stage, with its adapters, and every other tensor saved beside it, by name: views of the
    mapped file, which they do not change when they are changed.

    `digest`: what `write_sealed` gave when the weights were written.
    """
    with torch.device("meta"):
        encoder = _empty(XLMRobertaConfig.from_dict(dict(config)))
        build_adapters(encoder)
    tensors = read_sealed(weights, "restore it or train the stage again", digest)
    prefix = "encoder."
    own = {name.removeprefix(prefix): tensor.float() for name, tensor in tensors.items() if name.startswith(prefix)}
    expected = dict(encoder.named_parameters())
    unplaced = sorted(own.keys() ^ expected.keys()) or sorted(n for n in own if own[n].shape != expected[n].shape)
    if unplaced:
        raise UserError.at(
            weights, unplaced[0], "does not fit the encoder", "use the weights of this stage's configuration"
        )
    encoder.load_state_dict(own, strict=True, assign=True)
    _make_buffers(encoder)
    return _checked(encoder, tokenizer), {name: t for name, t in tensors.items() if not name.startswith(prefix)}


def _empty(config: XLMRobertaConfig) -> XLMRobertaModel:
    config._attn_implementation = NAME
    return XLMRobertaModel(config, add_pooling_layer=False)


def _make_buffers(encoder: XLMRobertaModel) -> None:
    """What no file holds of an encoder on the meta device, by the function by which `transformers` makes it."""
    for module in encoder.modules():
        buffers = dict(module.named_buffers(recurse=False))
        for name, buffer in buffers.items():
            setattr(module, name, torch.empty_like(buffer, device="cpu"))
        if buffers:
            encoder._init_weights(module)


def _checked(encoder: XLMRobertaModel, tokenizer: Tokenizer) -> XLMRobertaModel:
    num_rows = encoder.get_input_embeddings().num_embeddings
    if num_rows < tokenizer.vocab_size:
        raise UserError(
            f"the tokenizer has {tokenizer.vocab_size} pieces but the model {num_rows} embeddings; "
            "set model.tokenizer to the model's own"
        )
    return encoder


@contextmanager
def _without_report() -> Iterator[None]:
    """Keeps `transformers` from telling every rank and stage at length of what is checked here."""
    verbosity = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
