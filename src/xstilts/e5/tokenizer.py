"""The tokenizer of the file's vocabulary: XLM-R's pieces and scores, and NFKC as its normaliser."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from transformers import PreTrainedTokenizerFast

from xstilts.e5.q4_file import BOS, EOS, UNK


def make_tokenizer(pieces: Sequence[tuple[str, float]], replacements: Mapping[int, str]) -> Tokenizer:
    """A unigram tokenizer; the place of a piece is its id.

    XLM-R's normaliser is NFKC but for characters that it drops or takes for spaces, control characters and those of no
    width above all; these are taken from the file's table. What is left of the difference: the fullwidth tilde, which
    stays as it is there, and characters that came into Unicode since.
    """
    tokenizer = Tokenizer(Unigram(list(pieces), unk_id=UNK, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), *_beyond_nfkc(replacements)])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, max_length: int) -> None:
    """Writes the files from which `AutoTokenizer` loads it as it is.

    Not under the name of XLM-R's class, which would build a normaliser of its own.
    """
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    ).save_pretrained(folder)


def _beyond_nfkc(replacements: Mapping[int, str]) -> list[normalizers.Normalizer]:
    """Replaces characters that NFKC leaves alone but the table drops or turns into a space."""
    steps: list[normalizers.Normalizer] = []
    for target in ("", " "):
        characters = [
            chr(code)
            for code, text in sorted(replacements.items())
            if text == target and unicodedata.normalize("NFKC", chr(code)) == chr(code) != target
        ]
        if characters:
            steps.append(normalizers.Replace(Regex(f"[{''.join(map(re.escape, characters))}]"), target))
    return steps
