from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.core.errors import UserError
from xstilts.kinds import TextExample
from xstilts.tasks import find_task

Release = Callable[[str, str | bytes], Path]

REAL_NTREX = (
    "eng_Latn afr_Latn amh_Ethi arb_Arab deu_Latn fin_Latn fra_Latn hau_Latn hin_Deva ibo_Latn kin_Latn gaz_Latn "
    "rus_Cyrl sna_Latn som_Latn spa_Latn swh_Latn tsn_Latn tur_Latn vie_Latn wol_Latn xho_Latn yor_Latn zho_Hans "
    "zul_Latn"
).split()


@pytest.mark.parametrize(("language", "code"), [("swh_Latn", "swh"), ("qaa_Latn", "qaa"), ("qab_Cyrl", "qab")])
def test_lines(release: Release, read_split: Callable[..., Any], language: str, code: str) -> None:
    release(f"text/{code}.txt", "\ufeffHabari ya leo.\r\n\r\n  \nNzuri.")
    for split in ("train", "dev"):
        examples, skipped = read_split("mlm_text", split, language)
        assert examples == [TextExample(f"{code}-1", "Habari ya leo."), TextExample(f"{code}-4", "Nzuri.")]
        assert skipped == {"blank line": 2}


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_no_text(release: Release, user_error: Callable[..., str], content: str) -> None:
    path = release("text/yor.txt", content)
    assert user_error("mlm_text", "train", "yor_Latn") == f"{path}: no text; give one sentence per line"


def test_unknown_language() -> None:
    with pytest.raises(UserError, match=r"no language 'swh_Latin'; did you mean 'swh_Latn'\?"):
        find_task("mlm_text").code_of("swh_Latin")


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("eng_Latn", "src.eng"),
        ("swh_Latn", "ref.swa"),
        ("sna_Latn", "ref.sna-Latn"),
        ("zho_Hans", "ref.zho-CN"),
        ("gaz_Latn", "ref.orm"),
    ],
)
def test_ntrex_has_its_own_codes(release: Release, read_split: Callable[..., Any], language: str, name: str) -> None:
    release(f"ntrex/newstest2019-{name}.txt", "One.\nTwo.\n")
    assert [example.text for example in read_split("mlm_ntrex", "dev", language)[0]] == ["One.", "Two."]


@pytest.mark.parametrize("language", REAL_NTREX)
def test_real_ntrex(real_data: Path, read_split: Callable[..., Any], language: str) -> None:
    examples, skipped = read_split("mlm_ntrex", "train", language, root=real_data)
    assert len(examples) == 1_997
    assert not skipped
