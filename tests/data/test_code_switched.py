"""Words replaced from a dictionary: what is read, what is switched, what is to be restored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from xstilts.core.errors import UserError
from xstilts.data.batch import collate
from xstilts.data.code_switched import CodeSwitchedSet, code_switched, find_words, read_dictionary
from xstilts.data.source import ExampleSource
from xstilts.data.store import build
from xstilts.kinds import MLM, TextExample
from xstilts.kinds.feature import NO_LABEL, Encoding, Feature
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.tasks import find_task
from xstilts.text.tokenizer import Tokenizer

PIECES = "<s> <pad> </s> <unk> ▁the ▁dog ▁sees ▁mbwa ▁ana on a ▁( ▁. . , ) ▁cat s ▁ki mi Dog ▁Dog".split()
SWITCH = "dog\tmbwa\nsees\tanaona\ncats\tkimi\n"


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Unigram pieces of which longer ones win."""
    vocabulary = [(piece, -1.0) for piece in [*PIECES, "<mask>"]]
    backend = Backend(models.Unigram(vocabulary, unk_id=3))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    names = {"bos": "<s>", "eos": "</s>", "pad": "<pad>", "unk": "<unk>", "mask": "<mask>"}
    folder = tmp_path_factory.mktemp("words")
    PreTrainedTokenizerFast(
        tokenizer_object=backend, **{f"{name}_token": token for name, token in names.items()}
    ).save_pretrained(folder)
    return Tokenizer(str(folder))


Make = Callable[..., CodeSwitchedSet]


@pytest.fixture
def make(words: Tokenizer, tmp_path: Path) -> Make:
    """The texts, switched at a rate by a key."""

    def switched(texts: Sequence[str], rate: float, key: int = 3, pairs: str = SWITCH) -> CodeSwitchedSet:
        class Given(ExampleSource):
            def examples(self):  # type: ignore[no-untyped-def]
                return iter([TextExample(f"e{i}", text) for i, text in enumerate(texts)])

            def fingerprint(self) -> str:
                return f"{hash(tuple(texts)):x}"

        path = tmp_path / "pairs.txt"
        path.write_text(pairs, encoding="utf-8")
        source = Given(find_task("mlm_text"), "train", "eng_Latn")
        stored = build(source, Encoding(words, 64, 16, {}), None, tmp_path / "cache", scored=False)
        return code_switched(stored, words, read_dictionary(path, words), pairs, rate, key)

    return switched


def pieces(words: Tokenizer, tokens: Sequence[int]) -> list[str]:
    return [words.piece(token) for token in tokens]


def test_words_are_found_between_spaces_without_signs_and_without_case(words: Tokenizer) -> None:
    tokens = words.single(words.encode("the (Dog) sees cats .").ids)
    found = list(find_words(words, tokens))
    assert [word for *_, word in found] == ["the", "dog", "sees", "cats"]
    assert ["".join(pieces(words, tokens[start:end])) for start, end, _ in found] == ["▁the", "Dog", "▁sees", "▁cats"]


def test_pieces_of_the_word_are_targets_at_those_of_the_translation(words: Tokenizer, make: Make) -> None:
    (feature,) = make(["the dog sees cats."], 1.0, pairs="dog\tmbwa\nsees\tanaona\ncats\tmbwa\n").load([0])
    # dog: one piece for one. sees: three pieces, of which two restore nothing. cats: one piece for two.
    assert pieces(words, feature.tokens)[:7] == ["<s>", "▁the", "▁mbwa", "▁ana", "on", "a", "▁mbwa"]
    restored = [words.piece(t) if t != NO_LABEL else None for t in feature.targets]
    whole = dict(zip(feature.positions, restored, strict=True))
    assert {p: whole[p] for p in range(2, 6)} == {2: "▁dog", 3: "▁sees", 4: None, 5: None}
    assert len(feature.tokens) == 8 and feature.tokens[-1] == words.eos, "cut to the length that it had"
    assert feature.lengths == [8] and feature.positions == sorted(feature.positions)
    assert max(feature.positions) < 7
    (shorter,) = make(["cats sees cats."], 1.0, pairs="cats\tmbwa\n").load([0])
    assert pieces(words, shorter.tokens) == ["<s>", "▁mbwa", "<mask>", "▁sees", "▁mbwa", "<mask>", ".", "</s>"]
    assert [words.piece(target) for target in shorter.targets] == ["▁cat", "s", "▁cat", "s"]
    assert shorter.positions == [1, 2, 4, 5]


def test_it_is_a_pure_function_of_key_row_and_word(make: Make) -> None:
    texts = [("the dog sees cats . " * (1 + i % 3)).strip() for i in range(40)]
    one = make(texts, 0.5)
    whole = one.load(range(40))
    again = make(texts, 0.5).load([7, 30, 7])
    assert again == [whole[7], whole[30], whole[7]]
    assert make(texts, 0.5, key=4).load(range(40)) != whole
    prints = {s.fingerprint for s in (one, make(texts, 0.5, key=4), make(texts, 0.4), make(texts, 0.5, pairs="dog x"))}
    assert len(prints) == 4
    assert all(len(feature.tokens) <= size for feature, size in zip(whole, one.num_tokens, strict=True))
    share = sum(len(f.targets) for f in whole) / sum(len(f.targets) for f in make(texts, 1.0).load(range(40)))
    assert 0.35 < share < 0.65
    # Which words are drawn does not depend on what the dictionary holds.
    assert [f.targets[:1] for f in make(["dog"] * 40, 0.5).load(range(40))] == [
        f.targets[:1] for f in make(["dog"] * 40, 0.5, pairs="dog ana\nsees dog").load(range(40))
    ]


def test_the_rest_is_masked_and_each_target_counts_alike(words: Tokenizer) -> None:
    feature = Feature("e", [0, *[4] * 20, 7, 8, 9, 2], [25], positions=[21, 22, 23], targets=[5, 6, NO_LABEL])
    item = TaskItems.of("mlm_text", [feature], 1.0, turn=1)
    (head,) = collate([item], {"mlm_text": MLM}, Collation(words, 0.2)).heads.values()
    assert head.positions_T.tolist()[4:] == [21, 22] and head.targets.tolist() == [4, 4, 4, 4, 5, 6]
    assert set(head.positions_T.tolist()[:4]) <= set(range(1, 21))
    assert head.weights.tolist() == pytest.approx([1 / 6] * 6)
    only = Feature("e", [0, 7, 2], [3], positions=[1], targets=[5])
    batch = collate([TaskItems.of("mlm_text", [only], 2.0)], {"mlm_text": MLM}, Collation(words))
    assert batch.tokens_L.tolist() == [0, 7, 2] and batch.heads["mlm_text"].weights.tolist() == [2.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("dog\tmbwa\nsees\n", "pairs.txt:2: 'sees' is no pair of words; write one word, a tab, and a translation"),
        (
            "the dog\tmbwa\n",
            "pairs.txt:1: 'the dog' is not one word that the tokenizer knows, and would replace none; remove the line",
        ),
        (".\tmbwa\n", "'.' is not one word"),
        ("\n", "pairs.txt: no pair of words"),
    ],
)
def test_what_is_no_dictionary_is_refused(words: Tokenizer, tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text(content)
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        read_dictionary(path, words)


def test_a_word_may_have_several_translations_of_several_words(words: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text("Dog mbwa\n\ndog\tana mbwa\nDog\tmbwa\n")
    (translations,) = read_dictionary(path, words).values()
    assert [pieces(words, translation) for translation in translations] == [["▁mbwa"], ["▁ana", "▁mbwa"]]
