from __future__ import annotations

import pytest

from xstilts.core.errors import UserError
from xstilts.tasks import all_tasks
from xstilts.tasks.languages import all_languages, codes_as_written, codes_iso1, codes_iso3, find_language


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("swh_Latn", "swh_Latn"),
        ("swh", "swh_Latn"),
        ("swa", "swh_Latn"),
        ("sw", "swh_Latn"),
        ("Swahili", "swh_Latn"),
        ("swahili", "swh_Latn"),
        ("zho", "zho_Hans"),
        ("cmn", "zho_Hans"),
        ("fas", "pes_Arab"),
        ("pes", "pes_Arab"),
        ("ara", "arb_Arab"),
        ("orm", "gaz_Latn"),
        ("Haitian Creole", "hat_Latn"),
    ],
)
def test_find_by_any_word(word: str, key: str) -> None:
    assert find_language(word).key == key


def test_unknown_language_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown language 'Swahil'; did you mean 'Swahili'\?"):
        find_language("Swahil")


def test_artificial_languages_are_made_on_the_fly() -> None:
    language = find_language("qab_Cyrl")
    assert (language.iso3, language.script, language.iso1) == ("qab", "Cyrl", None)
    assert not language.in_xlmr
    assert language not in all_languages()
    for word in ("qua_Latn", "qab"):  # outside qaa..qtz; without a script
        with pytest.raises(UserError, match="unknown language"):
            find_language(word)


def test_no_word_means_two_languages() -> None:
    words = [
        word
        for language in all_languages()
        for word in {other.lower() for other in (language.key, language.iso3, language.name, *language.codes)}
    ]
    assert len(words) == len(set(words))
    keys = [language.key for language in all_languages()]
    assert keys == sorted(keys)


def test_xlmr_pretraining_languages_of_africa() -> None:
    """Conneau et al. 2020, as fairseq's notes list them (Arabic is listed under the Middle East)."""
    seen = {language.name for language in all_languages() if language.region == "Africa" and language.in_xlmr}
    assert seen == {"Afrikaans", "Amharic", "Hausa", "Malagasy", "Oromo", "Somali", "Swahili", "Xhosa"}


def test_codes() -> None:
    assert codes_iso1("de swa") == {"deu_Latn": "de", "swh_Latn": "sw"}
    assert codes_iso3(["deu_Latn", "swh_Latn"], swh="swa") == {"deu_Latn": "deu", "swh_Latn": "swa"}
    assert codes_as_written("sna-Latn arb") == {"sna_Latn": "sna-Latn", "arb_Arab": "arb"}


def test_every_task_uses_registered_languages() -> None:
    known = {language.key for language in all_languages()}
    for task in all_tasks():
        assert set(task.languages) <= known, task.name
        assert task.code_of("qac_Latn") == "qac"
