"""Words out of files of every form."""

from __future__ import annotations

from pathlib import Path

import pytest

from xstilts.core.errors import UserError
from xstilts.e5.texts import read_texts, words_of


def test_words_are_those_of_strings_cells_and_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one two\tthree\r\n", encoding="utf-8")
    (tmp_path / "b.conllu").write_text("1\tfour\t_\n", encoding="utf-8")
    (tmp_path / "c.json").write_text('{"key": [{"x": "f\\u00edve six"}, 7, null]}', encoding="utf-8")
    (tmp_path / "d.jsonl").write_text('{"x": "eight\u2028nine"}\n\n["ten"]\n', encoding="utf-8")
    (tmp_path / "e.csv").write_text('"eleven, twelve",13\n"four\nteen ""q""",\n', encoding="utf-8")
    words = words_of(read_texts([tmp_path]))
    plain = {"one", "two", "three", "1", "four", "_"}
    assert words == plain | {"fíve", "six", "eight\u2028nine", "ten", "eleven,", "twelve", "13", "teen", '"q"'}


def test_the_digest_is_that_of_the_contents(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name / "below").mkdir(parents=True)
        (tmp_path / name / "below" / f"{name}.txt").write_text("text")
    one, other = (read_texts([tmp_path / name]) for name in ("one", "other"))
    assert one.digest == other.digest
    (tmp_path / "other" / "more.txt").write_text("more")
    assert read_texts([tmp_path / "other"]).digest != one.digest


def test_files_that_are_no_text_are_counted_below_a_folder_and_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.model").write_bytes(b"\xff\xfe\0")
    texts = read_texts([tmp_path])
    assert [path.name for path in texts.contents] == ["a.txt"]
    assert texts.skipped == [tmp_path / "b.model"]
    with pytest.raises(UserError, match=r"b.model: is not UTF-8 .*; name files of text"):
        read_texts([tmp_path / "b.model"])


def test_a_mistake_is_one_line_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent: No such file"):
        read_texts([tmp_path / "absent"])
    with pytest.raises(UserError, match=r"--texts: no text below"):
        read_texts([tmp_path])
    (tmp_path / "a.json").write_text('{"x": ')
    with pytest.raises(UserError, match=r"a.json: is no .json file"):
        words_of(read_texts([tmp_path]))
