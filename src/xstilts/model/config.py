"""The encoder's configuration, from the recipe or from a checkpoint, checked before any weights are touched."""

from __future__ import annotations

from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import XLMRobertaConfig

from xstilts.config.recipe import Model
from xstilts.core.errors import UserError, did_you_mean, reason_of
from xstilts.text.tokenizer import Tokenizer

_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings")
_RATES = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
_OTHERS = ("hidden_act", "initializer_range", "layer_norm_eps")
_AS_RELEASED = {
    "max_position_embeddings": 514,
    "layer_norm_eps": 1e-5,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}
"""Fields of the released models whose default in `transformers` is another or may become so."""


def encoder_config(model: Model, tokenizer: Tokenizer) -> XLMRobertaConfig:
    """The configuration of the recipe's encoder.

    Raises:
        UserError: a field of `model.config` is unknown or may not be set here, a value does not fit, or the
            checkpoint's `config.json` is missing, broken or not that of an XLM-R.
    """
    known = (*_SIZES, *_RATES, *_OTHERS) if model.pretrained is None else _RATES
    for name, value in model.config.items():
        if name not in known:
            where = "" if model.pretrained is None else " over a pretrained model"
            raise UserError(f"model.config.{name}: not a field that can be set{where}; {did_you_mean(name, known)}")
        if name in _SIZES and not (isinstance(value, int) and value > 0):
            raise UserError(f"model.config.{name} is {value!r}; give a whole number above 0")
        if name in _RATES and not (isinstance(value, int | float) and 0 <= value < 1):
            raise UserError(f"model.config.{name} is {value!r}; give a share from 0 to below 1")
    if model.pretrained is not None:
        return _released(model.pretrained, model.config)
    try:
        config = XLMRobertaConfig(
            vocab_size=tokenizer.vocab_size,
            pad_token_id=tokenizer.pad,
            bos_token_id=tokenizer.bos,
            eos_token_id=tokenizer.eos,
            type_vocab_size=1,
            **{**_AS_RELEASED, **model.config},
        )
    except (StrictDataclassError, ValueError, TypeError) as error:
        raise UserError(f"model.config: {reason_of(error, last=True)}; mend the value") from None
    if config.hidden_size % config.num_attention_heads:
        raise UserError(
            f"model.config: hidden_size {config.hidden_size} is not a multiple of num_attention_heads "
            f"{config.num_attention_heads}; change one of them"
        )
    return config


def longest_segment(config: XLMRobertaConfig) -> int:
    """Tokens that the position embeddings reach: XLM-R counts from `padding_idx + 1`."""
    assert config.pad_token_id is not None
    return config.max_position_embeddings - config.pad_token_id - 1


def _released(name_or_path: str, changes: dict[str, Any]) -> XLMRobertaConfig:
    remedy = "give an XLM-R folder with config.json and model.safetensors, or a hub id"
    try:
        raw, _ = XLMRobertaConfig.get_config_dict(name_or_path)
        if not isinstance(raw, dict):
            raise UserError(f"model.pretrained: config.json of '{name_or_path}' is no JSON object; {remedy}")
        if raw.get("model_type") != "xlm-roberta":
            problem = f"'{name_or_path}' is {raw.get('model_type', 'no model')}, not xlm-roberta"
            raise UserError(f"model.pretrained: {problem}; {remedy}")
        return XLMRobertaConfig.from_dict({**raw, **changes})
    except UserError:
        raise
    except (OSError, StrictDataclassError, ValueError, TypeError) as error:
        raise UserError(
            f"model.pretrained: cannot read '{name_or_path}' ({reason_of(error, last=True)}); {remedy}"
        ) from None
