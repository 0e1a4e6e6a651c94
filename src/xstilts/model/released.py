"""The XLM-R models that were released, by their ids on the hub: sizes as their `config.json` state them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from xstilts.core.errors import UserError
from xstilts.model.shape import MODEL_TYPE, PRE_NORM, Shape


def _released(rows: int, width: int, layers: int, heads: int, inner: int, model_type: str = MODEL_TYPE) -> Shape:
    return Shape(rows, width, layers, heads, inner, 514, 1, 1, model_type=model_type)


RELEASED: Mapping[str, Shape] = MappingProxyType(
    {
        "FacebookAI/xlm-roberta-base": _released(250002, 768, 12, 12, 3072),
        "FacebookAI/xlm-roberta-large": _released(250002, 1024, 24, 16, 4096),
        "facebook/xlm-roberta-xl": _released(250880, 2560, 36, 32, 10240, PRE_NORM),
        "facebook/xlm-roberta-xxl": _released(250880, 4096, 48, 32, 16384, PRE_NORM),
    }
)


def check_trainable(name: str) -> None:
    """Before 14 or 43 GB are fetched for nothing.

    Raises:
        UserError: a model of this name can be estimated and not trained.
    """
    shape = RELEASED.get(name)
    if shape is not None and shape.model_type != MODEL_TYPE:
        problem = f"'{name}' is {shape.model_type}, with LayerNorm before each block: it can be planned, not trained"
        raise UserError(f"model.pretrained: {problem}; give XLM-R base or large, or a checkpoint of their form")
