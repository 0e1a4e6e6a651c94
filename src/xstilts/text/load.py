"""Loading a tokenizer with the library that knows all its forms."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from xstilts.core.errors import UserError, reason_of
from xstilts.core.hub import hub_id, not_there
from xstilts.text.about import About


def load(name_or_path: str) -> tuple[About, Any]:
    """What is known of the tokenizer of a folder or of the hub, and what tokenises.

    Raises:
        UserError: it is not there, or not of XLM-R's layout.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    is_local = Path(name_or_path).is_dir()
    if not is_local:
        hub_id("model.tokenizer", name_or_path)
    try:
        loaded = AutoTokenizer.from_pretrained(name_or_path)
    except (OSError, ValueError) as error:
        if not is_local:
            raise not_there("model.tokenizer", name_or_path, error) from None
        problem = f"model.tokenizer: cannot load '{name_or_path}' ({reason_of(error)})"
        raise UserError(f"{problem}; give a local folder with tokenizer.json") from None
    named = {name: getattr(loaded, f"{name}_token_id") for name in ("bos", "eos", "pad", "mask", "unk")}
    if lacking := [name for name, token in named.items() if token is None]:
        raise UserError(f"model.tokenizer: '{name_or_path}' has no {lacking[0]} token; give one of XLM-R's layout")
    backend = loaded.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    about = About(
        **{name: int(token) for name, token in named.items()},
        vocab_size=len(loaded),
        special_ids=sorted(map(int, loaded.all_special_ids)),
        fingerprint=hashlib.sha256(backend.to_str().encode()).hexdigest()[:16],
    )
    return about, backend
