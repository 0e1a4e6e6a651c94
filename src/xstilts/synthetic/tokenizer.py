"""A SentencePiece unigram tokenizer of the world's text, in XLM-R's id layout."""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from collections.abc import Container
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from xstilts.synthetic.folder import Folder

_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_PUNCTUATION = ".?"
_MIN_WORDS_PER_ENDING = 4
_WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"


def train_tokenizer(sentences: list[str], num_pieces: int, target: Path) -> None:
    """Writes `sentencepiece.bpe.model` and the files from which `AutoTokenizer` loads it.

    Ids: `<s>` 0, `<pad>` 1, `</s>` 2, `<unk>` 3, the pieces, `<mask>` last. One thread and no sampling: equal
    sentences give equal bytes.
    """
    from transformers import XLMRobertaTokenizer  # seconds to import, and recipes import the world's settings

    proto = _train(sentences, num_pieces - 2)
    target.mkdir(parents=True, exist_ok=True)
    (target / "sentencepiece.bpe.model").write_bytes(proto)
    model = sentencepiece.SentencePieceProcessor(model_proto=proto)
    indices = [i for i in range(model.get_piece_size()) if not (model.is_control(i) or model.is_unknown(i))]
    pieces = [(model.id_to_piece(i), model.get_score(i)) for i in indices]
    vocabulary = [*((piece, 0.0) for piece in _SPECIAL), *pieces, ("<mask>", 0.0)]
    XLMRobertaTokenizer(vocab=vocabulary).save_pretrained(target)


def _train(sentences: list[str], num_pieces: int) -> bytes:
    """A serialised SentencePiece model with its three control pieces and at most `num_pieces` in all."""
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(folder) / "seeds.tsv"
        seeds.write_text(_seed_pieces(sentences), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=buffer,
            model_type="unigram",
            vocab_size=num_pieces,
            hard_vocab_limit=False,
            character_coverage=1.0,
            seed_sentencepieces_file=str(seeds),
            num_threads=1,
            minloglevel=2,
        )
    proto = sentencepiece_model_pb2.ModelProto.FromString(buffer.getvalue())  # type: ignore[attr-defined]
    proto.trainer_spec.ClearField("seed_sentencepieces_file")
    return bytes(proto.SerializeToString(deterministic=True))


def _seed_pieces(sentences: list[str]) -> str:
    """Stems and endings with their counts, the pieces that SentencePiece starts from.

    Its own seeds are the substrings with several continuations, which in so small a lexicon leave out most whole
    words. An ending is what several words have in addition to another word: `chased` and `chaseek` share `chase`.
    """
    words = Counter(word.rstrip(_PUNCTUATION) for sentence in sentences for word in sentence.split())
    additions = Counter(word[cut:] for word in words for cut in _stems_of(word, words))
    endings = {ending for ending, num_words in additions.items() if num_words >= _MIN_WORDS_PER_ENDING}
    pieces: Counter[str] = Counter()
    for word, count in words.items():
        stem = word
        while cuts := [cut for cut in _stems_of(stem, words) if stem[cut:] in endings]:
            pieces[stem[cuts[-1] :]] += count
            stem = stem[: cuts[-1]]
        pieces[_WORD_START + stem] += count
    ranked = sorted(pieces.items(), key=lambda item: (-item[1], item[0]))
    return "".join(f"{piece}\t{count}\n" for piece, count in ranked if len(piece) > 1)


def _stems_of(word: str, words: Container[str]) -> list[int]:
    """Where a word can be cut so that its beginning is a word of at least three letters."""
    return [cut for cut in range(3, len(word)) if word[:cut] in words]


def write_tokenizer(folder: Folder) -> None:
    """Trains on the running text of all languages, which must have been written before."""
    files = sorted((folder.root / "text").glob("*.txt"))
    sentences = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    train_tokenizer(sentences, folder.world.num_pieces, folder.root / "tokenizer")
