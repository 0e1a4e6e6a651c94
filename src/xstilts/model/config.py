"""The encoder's configuration, from the recipe or from a checkpoint, checked before any weights are touched."""

from __future__ import annotations

from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import XLMRobertaConfig

from xstilts.config.recipe import Model
from xstilts.core.errors import UserError, reason_of
from xstilts.model.fields import AS_RELEASED, REMEDY, check_fields, check_type, shape_of
from xstilts.text.tokenizer import Tokenizer


def encoder_config(model: Model, tokenizer: Tokenizer) -> XLMRobertaConfig:
    """The configuration of the recipe's encoder.

    Raises:
        UserError: as `shape_of`; or `transformers` refuses a value.
    """
    check_fields(model)
    if model.pretrained is not None:
        return _released(model.pretrained, model.config)
    shape_of(model, tokenizer)
    try:
        return XLMRobertaConfig(
            vocab_size=tokenizer.vocab_size,
            pad_token_id=tokenizer.pad,
            bos_token_id=tokenizer.bos,
            eos_token_id=tokenizer.eos,
            type_vocab_size=1,
            **{**AS_RELEASED, **model.config},
        )
    except (StrictDataclassError, ValueError, TypeError) as error:
        raise UserError(f"model.config: {reason_of(error, last=True)}; mend the value") from None


def _released(name_or_path: str, changes: dict[str, Any]) -> XLMRobertaConfig:
    try:
        raw, _ = XLMRobertaConfig.get_config_dict(name_or_path)
        check_type(name_or_path, raw)
        return XLMRobertaConfig.from_dict({**raw, **changes})
    except UserError:
        raise
    except (OSError, StrictDataclassError, ValueError, TypeError) as error:
        raise UserError(
            f"model.pretrained: cannot read '{name_or_path}' ({reason_of(error, last=True)}); {REMEDY}"
        ) from None
