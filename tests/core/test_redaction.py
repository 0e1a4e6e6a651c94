from __future__ import annotations

import pytest

from xstilts.core.redaction import redact

ENVIRONMENT = {
    "HF_TOKEN": "q7xV2mZk9T",
    "WANDB_API_KEY": "0123456789abcdef",
    "TOKENIZERS_PARALLELISM": "parallelism",
    "SOME_TOKEN": "short",
    "HOME": "/home/somebody",
}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("model.pretrained=/models/q7xV2mZk9T/x", "model.pretrained=/models/***/x"),
        ("x0123456789abcdefx", "x***x"),
        ("https://me:pa55word@example.org/xlm-r", "https://***@example.org/xlm-r"),
        ("https://example.org/x?token=abc&y=1", "https://example.org/x?token=***&y=1"),
        ("hf_AbCdEfGhIjKlMn", "***"),
        ("data.root=/home/somebody/parallelism/short", "data.root=/home/somebody/parallelism/short"),
        ("model.tokenizer=FacebookAI/xlm-roberta-large", "model.tokenizer=FacebookAI/xlm-roberta-large"),
    ],
)
def test_secrets_are_hidden_and_nothing_else(given: str, told: str) -> None:
    assert redact(given, ENVIRONMENT) == told


def test_every_string_of_a_value_is_looked_at() -> None:
    value = {"a": ["q7xV2mZk9T", 1, None, True, {"b": "q7xV2mZk9T"}], "c": 1.5, "d": ("q7xV2mZk9T",)}
    assert redact(value, ENVIRONMENT) == {"a": ["***", 1, None, True, {"b": "***"}], "c": 1.5, "d": ["***"]}
