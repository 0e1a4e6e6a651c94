"""Folders that are worked in by one launch and published once, whoever wakes when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from xstilts.study import attempt
from xstilts.study.lease import Lease, Leases, attempts
from xstilts.study.owner import Presence, Watch
from xstilts.training.superseded import Superseded


@pytest.fixture
def final(tmp_path: Path) -> Path:
    return tmp_path / "stages" / "0f"


@pytest.fixture
def leases(tmp_path: Path) -> Iterator[Leases]:
    presence = Presence(tmp_path, 100, "study")
    presence.begin(lambda: None)
    yield Leases(tmp_path, presence, Watch(tmp_path, 100))
    presence.end()


def taken(leases: Leases) -> Lease:
    lease = leases.take("stage", "0f", "a stage")
    assert lease
    return lease


def overtaken(leases: Leases, lease: Lease) -> Lease:
    """As if the owner had been silent."""
    lease.release("silent")
    return taken(leases)


def is_whole(folder: Path) -> bool:
    return (folder / "stage.json").exists()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_a_folder_gets_its_name_when_it_is_whole(final: Path, leases: Leases) -> None:
    lease = taken(leases)
    folder = attempt.begin(final, lease, is_whole)
    assert folder == final.with_name("0f.1") and not final.exists()
    (folder / "stage.json").touch()
    attempt.publish(folder, final, lease)
    assert files(final) == {"stage.json"} and attempts(final) == []
    assert attempt.begin(final, overtaken(leases, lease), is_whole) is None


def test_who_takes_over_goes_on_where_the_other_stopped_and_alone_can_publish(final: Path, leases: Leases) -> None:
    first = taken(leases)
    frozen = attempt.begin(final, first, is_whole)
    assert frozen
    (frozen / "steps.jsonl").write_text("1\n")
    with (frozen / "steps.jsonl").open("a") as held_open:
        second = overtaken(leases, first)
        folder = attempt.begin(final, second, is_whole)
        assert folder and files(folder) == {"steps.jsonl"} and not frozen.exists()
        held_open.write("2\n")  # it wakes
    assert (folder / "steps.jsonl").read_text() == "1\n"
    # It goes on as if nothing had happened, and is refused before and after the other has published.
    frozen.mkdir()
    (frozen / "stage.json").write_text("of the first")
    with pytest.raises(Superseded):
        attempt.publish(frozen, final, first)
    (folder / "stage.json").write_text("of the second")
    attempt.publish(folder, final, second)
    frozen.mkdir(exist_ok=True)
    with pytest.raises(Superseded):
        attempt.publish(frozen, final, first)
    attempt.abandon(frozen, first)
    assert (final / "stage.json").read_text() == "of the second"
    assert [path.name for path in final.parent.iterdir()] == ["0f"]


def test_one_that_was_frozen_in_the_very_call_has_nothing_to_rename(
    final: Path, leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = taken(leases)
    frozen = attempt.begin(final, first, is_whole)
    assert frozen
    (frozen / "stage.json").touch()
    rename = attempt.os.rename
    stolen = []

    def late(source: Path, target: Path) -> None:
        monkeypatch.setattr(attempt.os, "rename", rename)
        stolen.append(attempt.begin(final, overtaken(leases, first), is_whole))
        rename(source, target)

    monkeypatch.setattr(attempt.os, "rename", late)
    with pytest.raises(Superseded):
        attempt.publish(frozen, final, first)
    assert not final.exists() and is_whole(stolen[0])


def test_one_that_was_frozen_before_it_began_takes_nothing(final: Path, leases: Leases) -> None:
    first = taken(leases)
    second = overtaken(leases, first)
    folder = attempt.begin(final, second, is_whole)
    with pytest.raises(Superseded):
        attempt.begin(final, first, is_whole)
    assert folder and folder.exists()
    (folder / "stage.json").touch()
    attempt.publish(folder, final, second)
    assert [path.name for path in final.parent.iterdir()] == ["0f"]


def test_what_is_there_and_not_whole_is_gone_on_with(final: Path, leases: Leases) -> None:
    """An older version worked under the name itself."""
    (final / "checkpoints" / "step-00000007").mkdir(parents=True)
    folder = attempt.begin(final, taken(leases), is_whole)
    assert folder and (folder / "checkpoints" / "step-00000007").is_dir() and not final.exists()


def test_what_was_published_while_it_was_taken_for_unfinished_is_given_back(final: Path, leases: Leases) -> None:
    final.mkdir(parents=True)
    seen = []

    def is_whole_later(folder: Path) -> bool:
        seen.append(folder)
        if len(seen) == 1:
            (final / "stage.json").touch()
            return False
        return is_whole(folder)

    assert attempt.begin(final, taken(leases), is_whole_later) is None
    assert files(final) == {"stage.json"}
