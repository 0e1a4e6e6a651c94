"""A SentencePiece unigram tokenizer of the world's text, in XLM-R's id layout."""

from __future__ import annotations

import io
from pathlib import Path

import sentencepiece
from transformers import XLMRobertaTokenizer

from xstilts.world.folder import Folder

_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


def train_tokenizer(sentences: list[str], num_pieces: int, target: Path) -> None:
    """Writes `sentencepiece.bpe.model` and the files from which `AutoTokenizer` loads it.

    Ids: `<s>` 0, `<pad>` 1, `</s>` 2, `<unk>` 3, the pieces, `<mask>` last. One thread and no sampling: equal
    sentences give equal bytes.
    """
    buffer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=buffer,
        model_type="unigram",
        vocab_size=num_pieces - 2,
        hard_vocab_limit=False,
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
    )
    target.mkdir(parents=True, exist_ok=True)
    (target / "sentencepiece.bpe.model").write_bytes(buffer.getvalue())
    model = sentencepiece.SentencePieceProcessor(model_proto=buffer.getvalue())
    pieces = [(model.id_to_piece(i), model.get_score(i)) for i in range(model.get_piece_size()) if not _is_special(model, i)]
    vocabulary = [*((piece, 0.0) for piece in _SPECIAL), *pieces, ("<mask>", 0.0)]
    XLMRobertaTokenizer(vocab=vocabulary).save_pretrained(target)


def _is_special(model: sentencepiece.SentencePieceProcessor, index: int) -> bool:
    return bool(model.is_control(index) or model.is_unknown(index))


def write_tokenizer(folder: Folder) -> None:
    """Trains on the running text of all languages, which must have been written before."""
    files = sorted((folder.root / "text").glob("*.txt"))
    sentences = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    train_tokenizer(sentences, folder.world.num_pieces, folder.root / "tokenizer")
