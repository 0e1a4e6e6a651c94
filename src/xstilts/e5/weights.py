"""The tensors under the names and in the layout of `XLMRobertaModel`, and the configuration that goes with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.core.errors import UserError
from xstilts.e5.q4_file import BOS, EOS, PAD, REMEDY, Q4File

_FIRST_POSITION = PAD + 1
_OF_EMBEDDINGS = {"emb.ln.w": "embeddings.LayerNorm.weight", "emb.ln.b": "embeddings.LayerNorm.bias"}
_OF_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


def xlmr_tensors(source: Q4File, kept: Sequence[int] | None, path: Path | str) -> dict[str, np.ndarray]:
    """float32 tensors by `XLMRobertaModel`'s names.

    XLM-R counts positions from `<pad>`'s id + 1, so that many rows of zeros, which nothing reads, come first; of token
    types it has one. `kept`: ids whose rows make up the embedding matrix, in this order; None keeps the matrix whole.

    Raises:
        UserError: a tensor is missing, left over or of another size; `path` is named.
    """
    sizes = source.sizes
    hidden, wide = sizes.hidden_size, sizes.intermediate_size
    left = dict(source.tensors)

    def take(name: str, *shape: int) -> np.ndarray:
        tensor = left.pop(name, None)
        if tensor is None or tensor.size != np.prod(shape):
            problem = "is missing" if tensor is None else f"has {tensor.size:,} elements, not {np.prod(shape):,}"
            raise UserError.at(path, f"tensor {name}", problem, REMEDY)
        return tensor.reshape(shape)

    word = take("emb.word", sizes.num_rows, hidden)
    unread = np.zeros((_FIRST_POSITION, hidden), np.float32)
    tensors = {
        "embeddings.word_embeddings.weight": word if kept is None else word[list(kept)],
        "embeddings.position_embeddings.weight": np.concatenate([unread, take("emb.pos", sizes.num_positions, hidden)]),
        "embeddings.token_type_embeddings.weight": take("emb.type", sizes.num_types, hidden)[:1],
        **{ours: take(theirs, hidden) for theirs, ours in _OF_EMBEDDINGS.items()},
    }
    shapes = {"fi": (wide, hidden), "fo": (hidden, wide), "aln": (hidden,), "oln": (hidden,)}
    for layer in range(sizes.num_layers):
        for theirs, ours in _OF_LAYER.items():
            shape = shapes.get(theirs, (hidden, hidden))
            tensors[f"encoder.layer.{layer}.{ours}.weight"] = take(f"l{layer}.{theirs}.w", *shape)
            tensors[f"encoder.layer.{layer}.{ours}.bias"] = take(f"l{layer}.{theirs}.b", shape[0])
    if left:
        raise UserError.at(path, f"tensor {min(left)}", "has no place in the encoder", REMEDY)
    return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}


def xlmr_config(source: Q4File, num_rows: int) -> dict[str, Any]:
    """The fields of `config.json`; dropout rates are those of the released model."""
    return {
        "architectures": ["XLMRobertaModel"],
        "model_type": "xlm-roberta",
        "vocab_size": num_rows,
        "hidden_size": source.sizes.hidden_size,
        "num_hidden_layers": source.sizes.num_layers,
        "num_attention_heads": source.sizes.num_heads,
        "intermediate_size": source.sizes.intermediate_size,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": source.sizes.num_positions + _FIRST_POSITION,
        "type_vocab_size": 1,
        "initializer_range": 0.02,
        "layer_norm_eps": float(f"{source.layer_norm_eps:.3g}"),
        "bos_token_id": BOS,
        "pad_token_id": PAD,
        "eos_token_id": EOS,
        "dtype": "float32",
    }
