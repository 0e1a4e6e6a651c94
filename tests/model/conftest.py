"""A tokenizer and a small encoder for the model's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import XLMRobertaConfig, XLMRobertaModel

from xstilts.model.attention import NAME
from xstilts.synthetic.tokenizer import train_tokenizer
from xstilts.text.tokenizer import Tokenizer


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """XLM-R's layout over the words of a few sentences."""
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(["the old dog sees a young cat", "a cat hears the dog", "dogs and cats sleep"] * 5, 60, folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder: Path) -> Tokenizer:
    return Tokenizer(str(tokenizer_folder))


@pytest.fixture
def config(tokenizer: Tokenizer) -> XLMRobertaConfig:
    """Three layers, four heads, dropout on, and weights so large that a wrong position or mask shows."""
    return XLMRobertaConfig(
        vocab_size=tokenizer.vocab_size,
        pad_token_id=tokenizer.pad,
        type_vocab_size=1,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=66,
        initializer_range=0.3,
    )


@pytest.fixture
def encoder(config: XLMRobertaConfig) -> XLMRobertaModel:
    """Random weights from a fixed seed, made to read packed rows."""
    torch.manual_seed(1)
    config._attn_implementation = NAME
    return XLMRobertaModel(config, add_pooling_layer=False)
