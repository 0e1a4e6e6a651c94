from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from xstilts.core.errors import UserError
from xstilts.data.source import ExampleSource
from xstilts.data.store import FeatureSet, build, collect_labels
from xstilts.kinds import Answer, Example, PairExample, SpanExample, TaggingExample
from xstilts.kinds.feature import Encoding
from xstilts.tasks import Layout, Source, find_task
from xstilts.text.tokenizer import Tokenizer

LABELS = ("X", "Y")


def read(source: Source) -> Iterator[Example]:
    """`label text` per line; `-` is a broken row."""
    for path in source.files:
        for line in path.read_text().splitlines():
            label, text = line.split(" ", 1)
            if label == "-":
                source.skipped["no label"] += 1
            elif label == "!":
                raise UserError.at(path, 1, "broken", "mend it")
            else:
                yield PairExample(text, text, None, label)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    path = tmp_path / "release.txt"
    path.write_text("X ab\n- c\nY cde\nX f\n")
    return path


def source(release: Path, **changes: str) -> ExampleSource:
    return replace(ExampleSource(find_task("qqp"), "train", "eng_Latn", (release,), Layout(read, {})), **changes)


def encoding(tokenizer: Tokenizer, max_length: int = 16, doc_stride: int = 4) -> Encoding:
    return Encoding(tokenizer, max_length, doc_stride, {"X": 0, "Y": 1})


def test_round_trip(release: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    stored = build(source(release), encoding(tokenizer), LABELS, tmp_path / "cache", scored=True)
    assert len(stored) == 3
    assert (stored.num_tokens.tolist(), stored.longest_segment) == ([4, 5, 3], 5)
    assert stored.skipped == {"no label": 1}
    features = stored.load([2, 0, 2])
    assert [feature.id for feature in features] == ["f", "ab", "f"]
    assert features[1].example == {"id": "ab", "text_a": "ab", "text_b": None, "label": "X"}
    assert (features[1].tokens, features[1].lengths, features[1].targets) == ([0, 4, 31, 2], [4], [0])
    assert stored.load([]) == []
    assert stored.segment_lengths([1, 0]).lists() == [[5], [4]]


def test_training_features_carry_no_offsets_and_no_example(tokenizer: Tokenizer, tmp_path: Path, release: Path) -> None:
    question = SpanExample("1", "q", "abc", (Answer("b", 1),))
    asked = ExampleSource(find_task("xquad"), "test", "eng_Latn", (release,), Layout(lambda _: iter([question]), {}))
    for scored in (True, False):
        stored = build(asked, encoding(tokenizer), None, tmp_path / "cache", scored=scored)
        (feature,) = stored.load([0])
        assert (bool(feature.starts), bool(feature.ends), bool(feature.example)) == (scored,) * 3
    with pytest.raises(UserError, match="holds no examples; remove it"):
        list(stored.examples(slice(1)))


def test_second_opening_reads_no_example(release: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    rows: list[int] = []
    made = [
        build(
            source(release),
            encoding(tokenizer),
            LABELS,
            tmp_path / "cache",
            scored=False,
            on_row=lambda: rows.append(1),
        )
        for _ in range(2)
    ]
    assert len(rows) == 3
    assert made[0].fingerprint == made[1].fingerprint
    assert made[1].skipped == {"no label": 1}


def test_key_changes_with_everything_that_matters(release: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    other = tmp_path / "other.txt"
    other.write_text(release.read_text() + "Y g\n")

    def built(
        source: ExampleSource, encoding: Encoding, labels: tuple[str, ...] = LABELS, *, scored: bool = False
    ) -> FeatureSet:
        return build(source, encoding, labels, cache, scored=scored)

    plain = encoding(tokenizer)
    sets = [
        built(source(release), plain),
        built(source(other), plain),
        built(source(release, stop="2"), plain),
        built(source(release, split="dev"), plain),
        built(source(release, language="deu_Latn"), plain),
        built(replace(source(release), task=replace(find_task("qqp"), version=99)), plain),
        built(source(release), encoding(tokenizer, max_length=17)),
        built(source(release), encoding(tokenizer, doc_stride=5)),
        built(source(release), plain, ("Y", "X")),
        built(source(release), plain, scored=True),
    ]
    assert len({stored.fingerprint for stored in sets}) == len(sets)
    assert len(list(cache.glob("*.arrow"))) == len(sets)


def test_a_changed_file_is_read_again(release: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    before = build(source(release), encoding(tokenizer), LABELS, tmp_path / "cache", scored=False)
    release.write_text("X ab\n")
    os.utime(release, ns=(1, 1))
    after = build(source(release), encoding(tokenizer), LABELS, tmp_path / "cache", scored=False)
    assert (len(before), len(after)) == (3, 1)


def test_error_in_the_middle_leaves_nothing(release: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    release.write_text("X ab\n! c\n")
    with pytest.raises(UserError, match="broken"):
        build(source(release), encoding(tokenizer), LABELS, tmp_path / "cache", scored=False)
    assert list((tmp_path / "cache").iterdir()) == []


def test_no_examples(release: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="task 'qqp', train, eng_Latn: no examples; check the files or the slice"):
        build(source(release, start="7"), encoding(tokenizer), LABELS, tmp_path / "cache", scored=False)
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_a_killed_process_left_is_removed(release: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    left, held, young = (cache / f"{name}.tmp" for name in ("left", "held", "young"))
    for path in (left, held, young):
        path.write_bytes(b"half")
    for path in (left, held):
        os.utime(path, (1, 1))
    with held.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        build(source(release), encoding(tokenizer), LABELS, cache, scored=False)
    assert (left.exists(), held.exists(), young.exists()) == (False, True, True)


def test_damaged_cache_is_named(release: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    stored = build(source(release), encoding(tokenizer), LABELS, tmp_path / "cache", scored=False)
    note = stored.path.with_suffix(".json")
    note.write_text(json.dumps({**json.loads(note.read_text()), "num_rows": 4}))
    with pytest.raises(UserError, match=r"damaged features \(3 of 4 rows\); remove the file and launch again"):
        build(source(release), encoding(tokenizer), LABELS, tmp_path / "cache", scored=False)
    stored.path.write_bytes(b"not arrow")
    with pytest.raises(UserError, match="damaged features"):
        build(source(release), encoding(tokenizer), LABELS, tmp_path / "cache", scored=False)
    note.unlink()
    assert len(build(source(release), encoding(tokenizer), LABELS, tmp_path / "cache", scored=False)) == 3


def test_labels_are_collected_once(release: Path, tmp_path: Path) -> None:
    reads = []

    def sentences(source: Source) -> Iterator[Example]:
        reads.append(source)
        yield TaggingExample("1", ("a", "b"), ("N", "V"))
        yield TaggingExample("2", ("c", "d"), ("A", "N"))

    tagged = ExampleSource(find_task("ccg"), "train", "eng_Latn", (release,), Layout(sentences, {}))
    assert collect_labels(tagged, tmp_path / "cache") == ("A", "N", "V")
    assert collect_labels(tagged, tmp_path / "cache") == ("A", "N", "V")
    assert len(reads) == 1


def test_a_million_rows_open_in_little_memory(release: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """An int32 column is 4 MB; the tokens, 128 MB, stay on disk."""
    stored = build(source(release), encoding(tokenizer), LABELS, tmp_path / "cache", scored=False)
    num_rows = 1_000_000
    lists = pa.ListArray.from_arrays(
        pa.array(np.arange(0, 32 * num_rows + 1, 32, dtype=np.int32)), pa.array(np.zeros(32 * num_rows, dtype=np.int32))
    )
    empty = pa.ListArray.from_arrays(pa.array(np.zeros(num_rows + 1, dtype=np.int32)), pa.array([], pa.int32()))
    with pa.OSFile(str(stored.path), "wb") as sink, pa.ipc.new_stream(sink, stored.table.schema) as writer:
        columns = [
            lists
            if name == "tokens"
            else empty
            if name in ("lengths", "positions", "targets", "starts", "ends")
            else pa.array([""] * num_rows)
            if name in ("id", "gold")
            else pa.array(np.full(num_rows, 32, np.int32))
            for name in stored.table.schema.names
        ]
        for batch in pa.table(columns, schema=stored.table.schema).to_batches(max_chunksize=1024):
            writer.write_batch(batch)
    note = stored.path.with_suffix(".json")
    note.write_text(json.dumps({**json.loads(note.read_text()), "num_rows": num_rows}))
    script = (
        "import sys, xstilts.data.store as store\n"
        "from pathlib import Path\n"
        "def anonymous():\n"
        "    return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('RssAnon'))\n"
        "before = anonymous()\n"
        "opened = store._open(Path(sys.argv[1]), 'x')\n"
        "opened.load([5, 999_999])\n"
        "print(len(opened), anonymous() - before)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(stored.path)], capture_output=True, text=True, check=True)
    num_opened, kilobytes = map(int, done.stdout.split())
    assert num_opened == num_rows
    assert kilobytes < 60_000
