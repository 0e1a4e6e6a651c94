from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from xstilts.core.errors import UserError
from xstilts.core.reading import line_of, read_csv, read_json, read_jsonl, read_lines, read_tsv, read_tsv_table

Release = Callable[[str, str | bytes], Path]


def fails(rows: Iterable[object]) -> str:
    with pytest.raises(UserError) as error:
        list(rows)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_lines_end_at_line_feeds_only(release: Release) -> None:
    path = release("a.txt", "\ufeffone\r\ntwo\u2028still two\x0b\x85\n\nlast")
    assert list(read_lines(path)) == [(1, "one"), (2, "two\u2028still two\x0b\x85"), (3, ""), (4, "last")]


def test_missing_file(tmp_path: Path) -> None:
    assert fails(read_lines(tmp_path / "none.txt")).startswith(f"{tmp_path / 'none.txt'}: No such file")


def test_wrong_encoding_names_line_and_byte(release: Release) -> None:
    path = release("a.txt", "good\nna\u00efve\n".encode("latin-1"))
    assert fails(read_lines(path)) == f"{path}:2: not UTF-8 (byte 2 of the line); convert the file to UTF-8"


def test_utf16_is_refused(release: Release) -> None:
    path = release("a.txt", "text".encode("utf-16"))
    assert fails(read_lines(path)).startswith(f"{path}:1: not UTF-8")


def test_jsonl(release: Release) -> None:
    path = release("a.jsonl", b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": "x\\ny", "b": null}\n')
    assert list(read_jsonl(path, ["a"])) == [(1, {"a": 1}), (3, {"a": "x\ny", "b": None})]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"a": "cut of', "malformed JSON (Unterminated string starting at at column 7)"),
        ("[1]", "expected a JSON object, found list"),
        ('{"b": 1}', "no field 'a'"),
        ('{"a": "1", "a": "2"}', "field 'a' occurs twice in one object"),
        ('{"a": "1", "c": {"x": 1, "x": 1}}', "field 'x' occurs twice in one object"),
        ('{"a": null}', "field 'a' is not a text"),
        ('{"a": ' + "1" * 5000, "unreadable JSON ("),
        ("[" * 100_000, "unreadable JSON ("),
    ],
)
def test_broken_jsonl_line(release: Release, line: str, problem: str) -> None:
    path = release("a.jsonl", '{"a": "fine"}\n' + line)
    assert fails(read_jsonl(path, texts=["a"])).startswith(f"{path}:2: {problem}")


def test_json(release: Release) -> None:
    assert read_json(release("a.json", b'\xef\xbb\xbf{"a":\r\n[1, 2]}\r\n')) == {"a": [1, 2]}


def test_truncated_json_names_the_line(release: Release) -> None:
    path = release("a.json", '{"a":\n  [1,\n  2')
    assert fails(_lazily(path)).startswith(f"{path}:3: malformed JSON (Expecting ',' ")


def _lazily(path: Path) -> Iterable[object]:
    yield read_json(path)


def test_line_of(release: Release) -> None:
    path = release("a.json", '{"x": 1,\n"id": "q7"}')
    assert line_of(path, '"q7"') == 2
    assert line_of(path, '"q8"') is None


def test_tsv_has_no_quoting(release: Release) -> None:
    path = release("a.tsv", '"one\ttwo "quoted"\r\n\'\t"\n')
    assert list(read_tsv(path, 2)) == [(1, ['"one', 'two "quoted"']), (2, ["'", '"'])]


def test_tsv_of_another_width(release: Release) -> None:
    path = release("a.tsv", "a\tb\na\tb\tc\n")
    assert fails(read_tsv(path, 2)).startswith(f"{path}:2: 3 columns where 2 were expected; ")


def test_tsv_table(release: Release) -> None:
    path = release("a.tsv", "x\ty\n1\t2\n")
    assert list(read_tsv_table(path, ["y"])) == [(2, {"x": "1", "y": "2"})]


def test_tsv_table_errors(release: Release) -> None:
    path = release("a.tsv", "x\ty\n1\n")
    assert fails(read_tsv_table(path, ["y"])).startswith(f"{path}:2: 1 columns where the header has 2; ")
    assert fails(read_tsv_table(path, ["z"])).startswith(f"{path}:1: no column 'z'; ")
    twice = release("b.tsv", "x\tx\n1\t2\n")
    assert fails(read_tsv_table(twice, ["x"])).startswith(f"{twice}:1: column 'x' occurs 2 times; ")


def test_tsv_table_counts_rows_that_the_release_tore(release: Release) -> None:
    path = release("a.tsv", "x\ty\n1\n2\t3\n4\t5\t6\n")
    skipped: Counter[str] = Counter()
    assert list(read_tsv_table(path, ["x"], skipped)) == [(3, {"x": "2", "y": "3"})]
    assert skipped == {"row without the 2 columns of the header": 2}


def test_csv_quoting(release: Release) -> None:
    path = release("a.csv", b'\xef\xbb\xbfid,text\r\n1,"a ""b"", c\r\nsecond line"\r\n2,plain\r\n')
    assert list(read_csv(path, ["id", "text"])) == [
        (3, {"id": "1", "text": 'a "b", c\nsecond line'}),
        (4, {"id": "2", "text": "plain"}),
    ]


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        ("id,text\n1,a\n2\n", 3, "row does not have the header's 2 columns"),
        ("id,text\n1,a,b\n", 2, "row does not have the header's 2 columns"),
        ('id,text\n1,"cut of', 2, "malformed CSV (unexpected end of data)"),
        ('id,text\n1,"a"b\n', 2, "malformed CSV ("),
        ("id\n1\n", 1, "no column 'text'"),
        ("id,text,id\n1,a,1\n", 1, "column 'id' occurs 2 times"),
    ],
)
def test_broken_csv(release: Release, content: str, line: int, problem: str) -> None:
    path = release("a.csv", content)
    assert fails(read_csv(path, ["id", "text"])).startswith(f"{path}:{line}: {problem}")


def test_empty_files(release: Release) -> None:
    path = release("empty", "")
    for rows in (read_jsonl(path), read_tsv(path), read_tsv_table(path, ["a"]), read_csv(path, ["a"]), _lazily(path)):
        assert fails(rows) == f"{path}: the file has no rows; download the file again"


def test_header_alone(release: Release) -> None:
    for rows in (read_tsv_table(release("a.tsv", "a\n"), ["a"]), read_csv(release("a.csv", "a\n"), ["a"])):
        assert "the file has no rows" in fails(rows)
