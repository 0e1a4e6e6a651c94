"""Expected tags are worked out by hand from the trees drawn in the fixtures, counts from XTREME's own conversion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Release = Callable[[str, str | bytes], Path]
ReadSplit = Callable[..., tuple[list[Any], Any]]


def row(id_: str, form: str, tag: str = "_", head: str = "_", deps: str = "_") -> str:
    return "\t".join((id_, form, "_", tag, "_", "_", head, "_", deps, "_"))


def sentence(*rows: str) -> str:
    return "# text = ...\n" + "\n".join(rows) + "\n\n"


FRENCH = sentence(  # both words of "du" hang on 4: a tie, in which ADP precedes DET in French
    row("1", "vient", "VERB", "0"),
    row("2-3", "du"),
    row("2", "de", "DET", "4"),
    row("3", "le", "ADP", "4"),
    row("4", "nord", "NOUN", "1"),
)


def tagged(read_split: ReadSplit, language: str = "eng_Latn", task: str = "udpos") -> list[tuple[str, str]]:
    examples, _ = read_split(task, "test", language)
    return [pair for example in examples for pair in zip(example.words, example.tags, strict=True)]


def test_fused_token_takes_the_tag_of_the_word_nearest_the_root(release: Release, read_split: ReadSplit) -> None:
    release(
        "ud/en_x-ud-test.conllu",
        sentence(
            row("1-2", "don't"),
            row("1", "do", "AUX", "3"),
            row("2", "n't", "PART", "1"),  # ancestors: do, go, root; do has two
            row("3", "go", "VERB", "0"),
        ),
    )
    assert tagged(read_split) == [("don't", "AUX"), ("go", "VERB")]
    assert tagged(read_split, task="udpos_words") == [("do", "AUX"), ("n't", "PART"), ("go", "VERB")]


def test_tie_is_decided_by_the_default_order(release: Release, read_split: ReadSplit) -> None:
    """Both words of `am` hang on 3: PRON precedes ADP although it stands second."""
    release(
        "ud/de_x-ud-test.conllu",
        sentence(
            row("1-2", "am"), row("1", "an", "ADP", "3"), row("2", "dem", "PRON", "3"), row("3", "B", "NOUN", "0")
        ),
    )
    assert tagged(read_split, "deu_Latn") == [("am", "PRON"), ("B", "NOUN")]


def test_tie_is_decided_by_the_languages_own_order(release: Release, read_split: ReadSplit) -> None:
    release("ud/fr_x-ud-test.conllu", FRENCH)
    assert tagged(read_split, "fra_Latn") == [("vient", "VERB"), ("du", "ADP"), ("nord", "NOUN")]


def test_own_orders_differ_from_the_default(release: Release, read_split: ReadSplit) -> None:
    """Italian ranks ADV before PRON, the default the other way round."""
    tied = sentence(
        row("1-2", "ecco"), row("1", "a", "PRON", "3"), row("2", "b", "ADV", "3"), row("3", "c", "VERB", "0")
    )
    release("ud/it_x-ud-test.conllu", tied)
    release("ud/pt_x-ud-test.conllu", tied)
    assert tagged(read_split, "ita_Latn")[0] == ("ecco", "ADV")
    assert tagged(read_split, "por_Latn")[0] == ("ecco", "PRON")


def test_tag_outside_the_order_ranks_last_then_the_first_word_wins(release: Release, read_split: ReadSplit) -> None:
    release(
        "ud/es_x-ud-test.conllu",
        sentence(row("1-2", "%%"), row("1", "%", "SYM", "3"), row("2", "x", "DET", "3"), row("3", "c", "VERB", "0"))
        + sentence(row("1-2", "%%"), row("1", "%", "SYM", "3"), row("2", "x", "NOUN", "3"), row("3", "c", "VERB", "0")),
    )
    assert [tag for _, tag in tagged(read_split, "spa_Latn")] == ["DET", "VERB", "SYM", "VERB"]


def test_enhanced_dependencies_count_as_ancestors(release: Release, read_split: ReadSplit) -> None:
    """Basic heads alone make a tie, which NOUN wins; with the enhanced ones 1 has four ancestors and 2 has two."""
    release(
        "ud/en_x-ud-test.conllu",
        sentence(
            row("1-2", "ab"),
            row("1", "a", "NOUN", "3", "2:x|3:y|4:z|4.1:w"),
            row("2", "b", "ADP", "3"),
            row("3", "go", "VERB", "0"),
            row("4", "on", "ADV", "3"),
            row("4.1", "on", "ADV"),
        ),
    )
    assert tagged(read_split) == [("ab", "ADP"), ("go", "VERB"), ("on", "ADV")]


def test_enhanced_cycle_ends(release: Release, read_split: ReadSplit) -> None:
    rows = (row("1-2", "ab"), row("1", "a", "NOUN", "0", "2:x"), row("2", "b", "VERB", "1", "1:y"))
    release("ud/en_x-ud-test.conllu", sentence(*rows))
    assert tagged(read_split) == [("ab", "VERB")]  # both have the root and each other: a tie


def test_withheld_text_is_dropped_and_counted(release: Release, read_split: ReadSplit) -> None:
    release(
        "ud/en_x-ud-test.conllu",
        sentence(row("1", "_", "NOUN", "0"), row("2", "_", "VERB", "1"), row("3", ".", "PUNCT", "1"))  # all but one
        + sentence(row("1", "_", "NOUN", "0"))
        + sentence(row("1", "_", "SYM", "0"), row("2", "a", "VERB", "1"), row("3", ".", "PUNCT", "1"))
        + sentence(row("1", "a", "_", "0")),
    )
    examples, skipped = read_split("udpos", "test")
    assert [example.words for example in examples] == [("_", "a", ".")]
    assert skipped == {"sentence without its text": 2, "sentence with an untagged word": 1}


def test_words_are_cleaned(release: Release, read_split: ReadSplit) -> None:
    release("ud/fa_x-ud-test.conllu", sentence(row("1", "می\u200cرود", "VERB", "0"), row("2", "10 000", "NUM", "1")))
    assert [word for word, _ in tagged(read_split, "pes_Arab")] == ["میرود", "10000"]


def test_all_treebanks_of_a_language_are_read_in_order(release: Release, read_split: ReadSplit) -> None:
    release("ud/en_b-ud-train.conllu", sentence(row("1", "b", "NOUN", "0")))
    release("ud/en_a-ud-train.conllu", sentence(row("1", "a", "NOUN", "0")).rstrip("\n"))  # no blank line at the end
    release("ud/enm_c-ud-train.conllu", sentence(row("1", "c", "NOUN", "0")))
    examples, _ = read_split("udpos", "train")
    assert [(example.id, example.words) for example in examples] == [("en_a-0", ("a",)), ("en_b-0", ("b",))]


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        ("# c\n1\ta\t_\tNOUN\t_\t_\t0\t_\t_\n\n", 2, "9 columns where 10 were expected"),
        (sentence(row("1", "a", "NOUN", "0"), row("3", "b", "NOUN", "1")), 3, "word id '3' where 2 was expected"),
        (sentence(row("1", "a", "NOMEN", "0")), 2, "unknown tag 'NOMEN' (did you mean 'NOUN'?)"),
        (sentence(row("1", "a", "NOUN", "x")), 2, "head 'x' is not a number"),
        (sentence(row("1", "a", "NOUN", "7")), 2, "a head lies outside the sentence of 1 words"),
        (sentence(row("1-2", "ab"), row("1", "a", "NOUN", "0")), 2, "multiword token 'ab' spans 1-2 of 1 words"),
    ],
)
def test_broken_treebank(
    release: Release, user_error: Callable[..., str], content: str, line: int, problem: str
) -> None:
    path = release("ud/en_x-ud-test.conllu", content)
    assert user_error("udpos", "test").startswith(f"{path}:{line}: {problem}; ")


@pytest.mark.parametrize(
    ("language", "split", "sentences", "tokens", "words"),
    [
        ("eng_Latn", "test", 2077, 24_740, 25_094),
        ("yor_Latn", "test", 317, 8_198, 8_243),
        ("afr_Latn", "train", 1315, None, None),
        ("afr_Latn", "dev", 194, None, None),
        ("afr_Latn", "test", 425, None, None),
        ("eng_Latn", "train", 12_544, None, None),
        ("eng_Latn", "dev", 2001, None, None),
    ],
)
def test_real_counts(
    real_data: Path, read_split: ReadSplit, language: str, split: str, sentences: int, tokens: int | None, words: int
) -> None:
    """Tokens as XTREME's own converter counts them on these files; Afrikaans has no multiword tokens."""
    fused, skipped = read_split("udpos", split, language, real_data)
    assert len(fused) == sentences
    assert not skipped
    if tokens is not None:
        plain, _ = read_split("udpos_words", split, language, real_data)
        assert (sum(len(e.words) for e in fused), sum(len(e.words) for e in plain)) == (tokens, words)
    elif language == "afr_Latn":
        assert fused == read_split("udpos_words", split, language, real_data)[0]
