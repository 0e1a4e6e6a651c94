from __future__ import annotations

import fcntl
import io
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console

from xstilts.config.recipe import Data
from xstilts.core.checksum import Checksums
from xstilts.core.errors import UserError
from xstilts.data.catalogue import Catalogue, Part
from xstilts.data.prepare import Prepared, prepare
from xstilts.data.progress import Reporter
from xstilts.text.tokenizer import Tokenizer

HEADER = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
TRAIN, DEV = Part("qqp", "train", "eng_Latn", False), Part("qqp", "dev", "eng_Latn", True)


class Heard:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.advanced: dict[Part, int] = {}
        self.finished: list[Prepared] = []

    def advance(self, part: Part, num_examples: int) -> None:
        self.advanced[part] = self.advanced.get(part, 0) + num_examples

    def finish(self, prepared: Prepared) -> None:
        self.finished.append(prepared)


def rows(number: int) -> str:
    return HEADER + "".join(f"{i}\t1\t2\tq {i}\tr\t{i % 2}\n" for i in range(number))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "qqp").mkdir(parents=True)
    (folder / "qqp" / "train.tsv").write_text(rows(1203))
    (folder / "qqp" / "dev.tsv").write_text(rows(2) + "2\t1\t2\tbroken\n")
    return folder


def catalogue(root: Path, tokenizer: Tokenizer) -> Catalogue:
    return Catalogue(Data(root=root), root, root.parent / "cache", tokenizer)


def released(path: Path) -> bool:
    """Whether no process holds a file: the worker that wrote it is gone with all its threads."""
    with path.open("rb") as half, suppress(BlockingIOError):
        fcntl.flock(half, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def test_all_parts_once(root: Path, tokenizer: Tokenizer) -> None:
    heard = Heard()
    train, dev = prepare(catalogue(root, tokenizer), [TRAIN, DEV], 2, heard)
    assert (train.part, train.num_examples, train.num_tokenised) == (TRAIN, 1203, 1203)
    # the whole of GLUE's QQP: 363,846 and 40,430
    assert (train.official, dev.official) == (363_846, 40_430)
    assert (dev.num_examples, sum(dev.skipped.values())) == (2, 1)
    assert train.contents == {str(root / "qqp" / "train.tsv"): Checksums().of(root / "qqp" / "train.tsv")}
    assert heard.advanced == {TRAIN: 1203, DEV: 2}
    assert sorted(prepared.part for prepared in heard.finished) == [DEV, TRAIN]

    again = prepare(catalogue(root, tokenizer), [TRAIN, DEV], 1, Heard())
    assert [(part.num_examples, part.num_tokenised) for part in again] == [(1203, 0), (2, 0)]
    assert len(catalogue(root, tokenizer).open(TRAIN)) == 1203


def test_missing_file_is_found_before_any_work(root: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="task 'mnli', train, eng_Latn: no file"):
        prepare(catalogue(root, tokenizer), [TRAIN, Part("mnli", "train", "eng_Latn", False)], 1, Heard())
    assert not list((root.parent / "cache").glob("qqp*"))


def test_broken_file_ends_all_and_keeps_what_is_done(root: Path, tokenizer: Tokenizer) -> None:
    prepare(catalogue(root, tokenizer), [DEV], 1, Heard())
    path = root / "qqp" / "train.tsv"
    path.write_bytes(path.read_bytes() + b"7\t1\t2\t\xff\tr\t0\n")
    with pytest.raises(UserError, match=r"train\.tsv:1205: not UTF-8"):
        prepare(catalogue(root, tokenizer), [TRAIN, DEV], 1, Heard())
    assert {file.suffix for file in (root.parent / "cache").glob("qqp*")} == {".arrow", ".json"}
    assert prepare(catalogue(root, tokenizer), [DEV], 1, Heard())[0].num_tokenised == 0


def test_killed_and_called_again_it_continues(root: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    (root / "qqp" / "train.tsv").write_text(rows(400_000))
    prepare(catalogue(root, tokenizer), [DEV], 1, Heard())
    script = f"""
        import pickle
        from pathlib import Path
        from xstilts.data.catalogue import Part
        from xstilts.data.prepare import prepare
        class Deaf:
            def advance(self, *told): pass
            finish = advance
        if __name__ == "__main__":
            catalogue = pickle.loads(Path({str(tmp_path / "pickled")!r}).read_bytes())
            prepare(catalogue, [Part(*{tuple(TRAIN)!r})], 2, Deaf())
    """
    (tmp_path / "pickled").write_bytes(pickle.dumps(catalogue(root, tokenizer)))
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    running = subprocess.Popen([sys.executable, str(tmp_path / "script.py")])
    cache = root.parent / "cache"
    deadline = time.monotonic() + 60
    while not (half := list(cache.glob("qqp-train-*.tmp"))) and time.monotonic() < deadline:
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    while not released(half[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list(cache.glob("qqp-train-*.arrow"))

    os.utime(half[0], (1, 1))
    (root / "qqp" / "train.tsv").write_text(rows(3))
    train, dev = prepare(catalogue(root, tokenizer), [TRAIN, DEV], 1, Heard())
    assert (train.num_tokenised, dev.num_tokenised) == (3, 0)
    assert not list(cache.glob("*.tmp"))


def test_official_size_is_that_of_whole_official_files(root: Path, tokenizer: Tokenizer) -> None:
    sliced = Data(root=root, sources={"qqp": {"train": "qqp/train.tsv[:10]"}})
    made = Catalogue(sliced, root, root.parent / "cache", tokenizer)
    assert (made.official_size(TRAIN), made.official_size(DEV)) == (None, 40_430)
    world = Catalogue(Data.model_validate({"world": {}}), root, root.parent / "cache", tokenizer)
    assert world.official_size(DEV) is None


def test_plain_lines() -> None:
    shown = io.StringIO()
    with Reporter(2, Console(file=shown, width=80)) as reporter:
        reporter.advance(TRAIN, 500)
        reporter.finish(Prepared(TRAIN, 1203, 363_846, {"no label": 2}, {}, 1203, 1.25))
        reporter.finish(Prepared(DEV, 40_430, 40_430, {}, {}, 0, 0.1))
    assert shown.getvalue().splitlines() == [
        "[1/2] qqp train eng_Latn: 1,203 examples, 1.2 s",
        "    left out 2: no label",
        "    the official release has 363,846 examples, these files 1,203",
        "[2/2] qqp dev eng_Latn: 40,430 examples, in the cache",
    ]


def test_long_sources_are_heard_of_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    clock = iter([0.0, 20.0, 31.0, 50.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with Reporter(1, Console(file=shown, width=80)) as reporter:
        for _ in range(3):
            reporter.advance(TRAIN, 500)
    assert shown.getvalue() == "qqp train eng_Latn: 1,000 examples so far\n"


def test_a_bar_on_a_terminal() -> None:
    shown = io.StringIO()
    with Reporter(2, Console(file=shown, width=100, force_terminal=True)) as reporter:
        reporter.advance(TRAIN, 500)
        reporter.finish(Prepared(DEV, 2, None, {}, {}, 2, 0.1))
    assert "500 examples" in shown.getvalue()
    assert "1/2" in shown.getvalue()
