from __future__ import annotations

import unicodedata
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from xstilts.core.errors import UserError
from xstilts.kinds import SpanExample
from xstilts.tasks import find_task
from xstilts.text.tokenizer import Tokenizer, find_tokenizer


@pytest.fixture(scope="module")
def real(real_data: Path) -> Tokenizer:
    return Tokenizer(str(real_data / "tokenizer"))


def test_special_ids(tokenizer: Tokenizer) -> None:
    assert (tokenizer.bos, tokenizer.pad, tokenizer.eos, tokenizer.mask) == (0, 1, 2, 56)
    assert tokenizer.vocab_size == 57
    assert tokenizer.ordinary_ids.tolist() == list(range(4, 56))


def test_offsets_are_those_of_the_original(tokenizer: Tokenizer, ids: Callable[[str], list[int]]) -> None:
    piece = tokenizer.encode("ab c")
    assert (piece.ids, piece.starts, piece.ends) == (
        ids("ab c"),
        [0, 1, 2],
        [1, 2, 4],
    )  # a space belongs to the word after it
    # a + acute join to one unknown character, which stands for both
    piece = tokenizer.encode("a\u0301b")
    assert (piece.ids[-1], piece.starts[-1], piece.ends[-1]) == (ids("ab")[1], 2, 3)
    assert piece.ends[-2] == 2


def test_layouts(tokenizer: Tokenizer) -> None:
    assert tokenizer.single([5]) == [0, 5, 2]
    assert tokenizer.pair([5], [6, 7]) == [0, 5, 2, 2, 6, 7, 2]


@pytest.mark.parametrize("special", ["<s>", "</s>", "<pad>", "<mask>"])
def test_a_special_token_spelled_in_a_text_is_none(tokenizer: Tokenizer, special: str) -> None:
    found = tokenizer.encode(f"a {special} b").ids
    assert not {0, 1, 2, 56} & set(found)
    assert 3 in found
    assert not {0, 1, 2, 56} & set(tokenizer.encode_words((special,))[0])


def test_words_by_themselves(tokenizer: Tokenizer, ids: Callable[[str], list[int]]) -> None:
    assert tokenizer.encode_words(("ab", "c", "")) == [ids("ab"), ids("c"), [3]]


def test_same_ids_as_the_library_on_normalised_text(real: Tokenizer, real_data: Path) -> None:
    library = AutoTokenizer.from_pretrained(str(real_data / "tokenizer"))
    for code in ("eng", "yor", "amh", "zho-CN", "arb"):
        name = "newstest2019-src.eng.txt" if code == "eng" else f"newstest2019-ref.{code}.txt"
        path = real_data / "ntrex" / name
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines()[:100]:
                expected = library(unicodedata.normalize("NFC", line), add_special_tokens=False)["input_ids"]
                assert real.encode(line).ids == expected


@pytest.mark.parametrize(
    ("task", "language"),
    [("tydiqa", "swh_Latn"), ("tydiqa", "arb_Arab"), ("xquad", "hin_Deva"), ("xquad", "deu_Latn")],
)
def test_answers_are_cut_from_the_original(real: Tokenizer, real_data: Path, task: str, language: str) -> None:
    """The tokens that touch an answer cover it, and lie in it but for what shares its first and last token."""
    layout, source = find_task(task).locate(real_data, "test", language)
    for example in islice(layout.read(source), 150):
        assert isinstance(example, SpanExample)
        piece = real.encode(example.context)
        assert piece.starts == sorted(piece.starts)
        assert all(0 <= a <= b <= len(example.context) for a, b in zip(piece.starts, piece.ends, strict=True))
        answer = example.answers[0]
        stop = answer.start + len(answer.text)
        touched = [i for i in range(len(piece.ids)) if piece.starts[i] < stop and piece.ends[i] > answer.start]
        cut = example.context[piece.starts[touched[0]] : piece.ends[touched[-1]]]
        assert answer.text.strip() in cut


def test_what_is_no_xlmr_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^model.tokenizer: there is no folder .*/absent; mend the path"):
        Tokenizer(str(tmp_path / "absent"))


def test_an_error_without_a_message_is_one_line_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise OSError

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", fail)
    with pytest.raises(UserError, match=r"cannot load .* [(]OSError[)]; give"):
        Tokenizer(str(tmp_path))


def test_broken_tokenizer_file(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(UserError, match="cannot load") as error:
        Tokenizer(str(tmp_path))
    assert "\n" not in str(error.value)


def test_which_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    assert find_tokenizer("own", "checkpoint", tmp_path) == "own"
    assert find_tokenizer(None, "checkpoint", tmp_path) == "checkpoint"
    assert find_tokenizer(None, None, tmp_path) == str(tmp_path / "tokenizer")
    with pytest.raises(UserError, match=r"model\.tokenizer is not set"):
        find_tokenizer(None, None, None)
