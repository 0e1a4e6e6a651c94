"""The encoder's sizes from the recipe, from a checkpoint's `config.json` or from what is known of released models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xstilts.config.recipe import Model
from xstilts.core.errors import UserError, did_you_mean, reason_of
from xstilts.model.pretrained import local_folder
from xstilts.model.released import RELEASED
from xstilts.model.shape import MODEL_TYPE, Shape
from xstilts.text.tokenizer import Tokenizer

REMEDY = "give an XLM-R folder with config.json and model.safetensors, or a hub id"
AS_RELEASED: Mapping[str, Any] = {
    "max_position_embeddings": 514,
    "layer_norm_eps": 1e-5,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}
"""Fields of the released models whose default in `transformers` is another or may become so."""
_DEFAULTS: Mapping[str, int] = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "pad_token_id": 1,
}
"""Those of `transformers`, which a configuration need not write down."""
_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings")
_RATES = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
_OTHERS = ("hidden_act", "initializer_range", "layer_norm_eps")


def shape_of(model: Model, tokenizer: Tokenizer) -> Shape:
    """The sizes of the recipe's encoder.

    Raises:
        UserError: as `check_fields`; or the checkpoint's `config.json` is missing, broken or not that of an XLM-R.
    """
    check_fields(model)
    if model.pretrained is not None:
        return _released(model.pretrained)
    known = {"vocab_size": tokenizer.vocab_size, "pad_token_id": tokenizer.pad, "type_vocab_size": 1}
    shape = _shape({**known, **AS_RELEASED, **model.config})
    if shape.hidden_size % shape.num_attention_heads:
        raise UserError(
            f"model.config: hidden_size {shape.hidden_size} is not a multiple of num_attention_heads "
            f"{shape.num_attention_heads}; change one of them"
        )
    return shape


def check_fields(model: Model) -> None:
    """Raises:
    UserError: a field of `model.config` is unknown or may not be set here, or a value does not fit.
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
        if name in ("initializer_range", "layer_norm_eps") and not (isinstance(value, float) and value > 0):
            raise UserError(f"model.config.{name} is {value!r}; give a number above 0, written with a point")
        if name == "hidden_act" and not isinstance(value, str):
            raise UserError(f"model.config.hidden_act is {value!r}; give the name of an activation")


def check_type(name_or_path: str, raw: Any) -> None:
    """Raises:
    UserError: what was read of a checkpoint's `config.json` is not that of an XLM-R.
    """
    if not isinstance(raw, dict):
        raise UserError(f"model.pretrained: config.json of '{name_or_path}' is no JSON object; {REMEDY}")
    if raw.get("model_type") != MODEL_TYPE:
        problem = f"'{name_or_path}' is {raw.get('model_type', 'no model')}, not {MODEL_TYPE}"
        raise UserError(f"model.pretrained: {problem}; {REMEDY}")


def _released(name_or_path: str) -> Shape:
    if name_or_path in RELEASED and not Path(name_or_path).is_dir():
        return RELEASED[name_or_path]
    try:
        raw = json.loads((local_folder(name_or_path) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"model.pretrained: cannot read '{name_or_path}' ({reason_of(error)}); {REMEDY}") from None
    check_type(name_or_path, raw)
    for name in _DEFAULTS:
        if not isinstance(raw.get(name, 1), int):
            raise UserError(f"model.pretrained: cannot read '{name_or_path}' ({name} is {raw[name]!r}); {REMEDY}")
    return _shape(raw)


def _shape(config: Mapping[str, Any]) -> Shape:
    return Shape(**{name: config.get(name, default) for name, default in _DEFAULTS.items()})
