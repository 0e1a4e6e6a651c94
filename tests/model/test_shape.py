"""A plan's sizes are those of the library's models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaXLConfig, XLMRobertaXLModel

from xstilts.config.recipe import Model
from xstilts.core.errors import UserError
from xstilts.kinds import CHOICE, MLM, PAIR, SPAN, SPAN_OR_NONE, TAGGING, Kind
from xstilts.kinds.layers import count_parameters
from xstilts.model.adapters import add_adapters
from xstilts.model.config import encoder_config
from xstilts.model.fields import shape_of
from xstilts.model.pretrained import local_folder
from xstilts.model.released import RELEASED
from xstilts.model.shape import Shape
from xstilts.text.tokenizer import Tokenizer

SMALL = {"hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 20}


@pytest.mark.parametrize(
    ("model", "config"),
    [(XLMRobertaModel, XLMRobertaConfig), (XLMRobertaXLModel, XLMRobertaXLConfig)],
    ids=["after", "before"],
)
def test_the_sizes_are_those_of_the_librarys_model(model: Any, config: Any) -> None:
    """Whether layers are normed after or before what they compute."""
    with torch.device("meta"):
        encoder = model(config(**SMALL), add_pooling_layer=False)
    shape = Shape.of(encoder.config)
    assert shape.num_in_embeddings == sum(p.numel() for p in encoder.embeddings.parameters())
    assert shape.num_in_layers == sum(p.numel() for p in encoder.encoder.parameters())


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        # Conneau et al. (2020), table 1; Goyal et al. (2021), table 1; rounded there.
        *(("FacebookAI/xlm-roberta-base", 0.27), ("FacebookAI/xlm-roberta-large", 0.55)),
        *(("facebook/xlm-roberta-xl", 3.5), ("facebook/xlm-roberta-xxl", 10.7)),
    ],
)
def test_released_models_have_their_published_sizes(name: str, billions: float) -> None:
    shape = RELEASED[name]
    assert (shape.num_in_embeddings + shape.num_in_layers) / 1e9 == pytest.approx(billions, rel=0.03)


@pytest.mark.parametrize("name", ["facebook/xlm-roberta-xl", "facebook/xlm-roberta-xxl"])
def test_a_model_that_nothing_trains_is_not_fetched(name: str) -> None:
    with pytest.raises(UserError, match=f"'{name}' is xlm-roberta-xl, .*it can be planned, not trained; give"):
        local_folder(name)


def test_adapters_count() -> None:
    encoder = XLMRobertaModel(XLMRobertaConfig(**SMALL), add_pooling_layer=False)
    add_adapters(encoder, 3, seed=0)
    add_adapters(encoder, 5, seed=0)
    assert Shape.of(encoder.config).num_in_layers == sum(p.numel() for p in encoder.encoder.parameters())


@pytest.mark.parametrize("kind", [CHOICE, MLM, PAIR, SPAN, SPAN_OR_NONE, TAGGING], ids=lambda kind: str(kind.name))
def test_a_head_has_as_many_parameters_as_its_kind_says(kind: Kind[Any]) -> None:
    shape = Shape.of(XLMRobertaConfig(**SMALL, vocab_size=70))
    assert kind.num_parameters(shape, 7) == count_parameters(kind, shape, 7)


@pytest.mark.parametrize("written", [{}, SMALL, {"vocab_size": 90, "type_vocab_size": 1, "pad_token_id": 3}])
def test_a_checkpoints_sizes_are_read_as_the_library_reads_them(
    tokenizer: Tokenizer, tmp_path: Path, written: dict[str, int]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "xlm-roberta", **written}))
    model = Model(pretrained=str(tmp_path))
    assert shape_of(model, tokenizer) == Shape.of(encoder_config(model, tokenizer))


@pytest.mark.parametrize("config", [{}, SMALL, {**SMALL, "max_position_embeddings": 40}])
def test_a_new_encoders_sizes_are_those_of_its_configuration(tokenizer: Tokenizer, config: dict[str, int]) -> None:
    model = Model(config=config)
    assert shape_of(model, tokenizer) == Shape.of(encoder_config(model, tokenizer))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot read"),
        ("[]", "is no JSON object"),
        ('{"model_type": "bert"}', "is bert, not xlm-roberta"),
        ('{"model_type": "xlm-roberta", "hidden_size": "8"}', "hidden_size is '8'"),
    ],
)
def test_a_config_that_is_no_xlm_r_is_an_error(tokenizer: Tokenizer, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=message):
        shape_of(Model(pretrained=str(tmp_path)), tokenizer)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"initializer_range": 0}, "initializer_range is 0; give a number above 0"),
        ({"layer_norm_eps": "1e-5"}, "layer_norm_eps is '1e-5'; give a number above 0"),
        ({"hidden_act": 3}, "hidden_act is 3; give the name of an activation"),
    ],
)
def test_a_value_that_does_not_fit_is_an_error(tokenizer: Tokenizer, config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        shape_of(Model(config=config), tokenizer)
