from __future__ import annotations

import numpy as np
import pytest

from xstilts.evaluation.metrics import find_metric
from xstilts.evaluation.metrics.qa import normalise_mlqa, normalise_squad
from xstilts.kinds.span import AnswerReference


def _scores(family: str, prediction: str, *answers: str, language: str = "eng_Latn") -> tuple[float, float]:
    """(exact match, F1) of one question, from 0 to 100."""
    gold = AnswerReference(answers, language)
    em, f1 = (find_metric(f"{family}_{name}").score([gold], [prediction]) for name in ("em", "f1"))
    return em, f1


def test_squad_normaliser() -> None:
    assert normalise_squad("The  U.S.A., a (big)\tone", "eng_Latn") == "usa big one"
    assert normalise_squad("an-them theory", "eng_Latn") == "anthem theory"
    assert normalise_squad("La maison «bleue»", "fra_Latn") == "la maison «bleue»", (
        "only ASCII punctuation, only English"
    )


def test_squad_partial_match() -> None:
    # cat sat | cat sat down: 2 common of 2 and of 3, F1 = 2 x 2/3 x 1 / (5/3).
    assert _scores("squad", "cat sat", "the cat sat down.") == (0.0, pytest.approx(80.0))
    # A repeated word counts as often as both have it: 2 common of 3 and of 2.
    assert _scores("squad", "ha ha ha", "ha ha") == (0.0, pytest.approx(80.0))


def test_squad_best_of_several_golds_per_metric() -> None:
    assert _scores("squad", "Cat.", "a dog", "the cat", "cat sat") == (100.0, 100.0)


def test_squad_empty_prediction() -> None:
    assert _scores("squad", "", "cat") == (0.0, 0.0)
    # v1.1: texts that normalise to nothing match exactly but have no common token.
    assert _scores("squad", "a", "the") == (100.0, 0.0)


def test_squad_v1_needs_golds() -> None:
    with pytest.raises(AssertionError, match=r"v2\.0"):
        _scores("squad", "x")


def test_squad2_no_answer() -> None:
    assert _scores("squad2", "") == (100.0, 100.0)
    assert _scores("squad2", "cat") == (0.0, 0.0)
    assert _scores("squad2", "", "cat") == (0.0, 0.0)
    assert _scores("squad2", "cat sat", "the cat sat down") == (0.0, pytest.approx(80.0))


def test_squad2_golds_that_normalise_to_nothing_do_not_count() -> None:
    assert _scores("squad2", "", "the", "cat") == (0.0, 0.0)
    assert _scores("squad2", "a", "the") == (100.0, 100.0)


def test_mlqa_arabic_article() -> None:
    assert _scores("mlqa", "كتاب", "الكتاب", language="arb_Arab") == (100.0, 100.0)
    assert _scores("squad", "كتاب", "الكتاب", language="arb_Arab") == (0.0, 0.0)
    # The rule removes the letters wherever they stand, so that one word becomes two.
    assert normalise_mlqa("بالعربية", "arb_Arab") == "ب عربية"
    # كتاب | كتاب جديد: 1 common of 1 and of 2.
    assert _scores("mlqa", "كتاب", "الكتاب الجديد،", language="arb_Arab") == (0.0, pytest.approx(200 / 3))


def test_mlqa_chinese_is_cut_into_characters() -> None:
    # 北 京 | 北 京 市: 2 common of 2 and of 3.
    assert _scores("mlqa", "北京", "北京市", language="zho_Hans") == (0.0, pytest.approx(80.0))
    assert _scores("squad", "北京", "北京市", language="zho_Hans") == (0.0, 0.0)
    assert normalise_mlqa("《2008年 Beijing》奥运", "zho_Hans") == "2008 年 beijing 奥 运"


@pytest.mark.parametrize(
    ("language", "text", "normal"),
    [
        ("eng_Latn", "The “old” house", "old house"),
        ("spa_Latn", "Las casas, el mar ¿y unos?", "casas mar y"),
        ("deu_Latn", "Dem Hund einer Frau", "hund frau"),
        ("vie_Latn", "Những con mèo của tôi", "con mèo tôi"),
        ("hin_Deva", "राम।", "राम"),
        ("swh_Latn", "The nyumba", "the nyumba"),
    ],
)
def test_mlqa_articles_and_punctuation(language: str, text: str, normal: str) -> None:
    assert normalise_mlqa(text, language) == normal


def test_averages_add_up_as_the_script_adds() -> None:
    golds = [AnswerReference(("a b c d e f g",), "eng_Latn")] * 3
    guesses = ["b", "b c", "b c d"]
    one = [find_metric("squad_f1").statistics(g, p)[0] for g, p in zip(golds, guesses, strict=True)]
    # Six tokens each, the article gone: F1 = 2n / (n + 6).
    assert one == pytest.approx([2 / 7, 4 / 8, 6 / 9])
    assert find_metric("squad_f1").score(golds, guesses) == 100.0 * (one[0] + one[1] + one[2]) / 3


def test_sums_over_many_questions_are_sequential() -> None:
    rng = np.random.default_rng(0)
    for n in (10, 1000, 12_345):
        rows = np.stack([rng.random(n), np.ones(n)], axis=1)
        assert float(find_metric("squad_f1").value(rows.sum(axis=0))) == 100.0 * sum(rows[:, 0].tolist()) / n
