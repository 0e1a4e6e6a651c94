from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.core.errors import UserError
from xstilts.measures.visits import SCHEMA, VisitRecorder, compact, read_visits, rewind

NUM_STEPS = 12
NUM_ITEMS = 7


def drawn(step: int) -> list[tuple[str, str, int]]:
    """Task, id and visit of a step's three items: seven items in turn, two tasks."""
    draws = range(3 * step, 3 * step + 3)
    return [("even" if d % 2 else "odd", f"item-{d % NUM_ITEMS}", d // NUM_ITEMS) for d in draws]


def train(folder: Path, first: int, end: int, world_size: int, flush_at: set[int]) -> list[VisitRecorder]:
    """Steps `first` to `end` - 1 on all ranks, as a stage that resumes at `first`; what is not flushed is lost."""
    rewind(folder, first)
    ranks = [VisitRecorder(folder, first_step=first, rank=r, world_size=world_size) for r in range(world_size)]
    for step in range(first, end):
        for place, (task, item, visit) in enumerate(drawn(step)):
            rank = ranks[(step + place) % world_size]
            rank.add(task, step, ids=[item], visits=[visit], nll=[step + 0.5], p_gold=[0.25], num_targets=[place + 1])
        if step + 1 in flush_at:
            for rank in ranks:
                rank.flush(step + 1)
    return ranks


@pytest.fixture(scope="module")
def expected() -> list[dict[str, object]]:
    """The rows of an undisturbed run, written down without the code under test."""
    rows = [
        {
            "task": task,
            "id": item,
            "step": step,
            "visit": visit,
            "nll": step + 0.5,
            "p_gold": 0.25,
            "num_targets": i + 1,
        }
        for step in range(NUM_STEPS)
        for i, (task, item, visit) in enumerate(drawn(step))
    ]
    return sorted(rows, key=lambda row: (row["step"], row["task"], row["id"]))


def test_reads_back_what_was_recorded(tmp_path: Path, expected: list[dict[str, object]]) -> None:
    train(tmp_path, 0, NUM_STEPS, 1, {5, NUM_STEPS})
    table = read_visits(tmp_path, NUM_STEPS)
    assert table.schema == SCHEMA
    assert table.to_pylist() == expected


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, NUM_STEPS), st.integers(0, NUM_STEPS), st.integers(1, 3), st.sets(st.integers(1, 11))),
        max_size=4,
    ),
    st.integers(1, 3),
)
def test_killed_and_resumed_on_other_ranks_repeats_and_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    expected: list[dict[str, object]],
    lives: list[tuple[int, int, int, set[int]]],
    last_world_size: int,
) -> None:
    folder = tmp_path_factory.mktemp("visits")
    recorded = 0
    for killed_at, back, world_size, checkpoints in lives:
        first = max(0, recorded - back)  # the newest checkpoint may be damaged: an older one is taken
        if killed_at > first:
            train(folder, first, killed_at, world_size, checkpoints)
            recorded = max([first, *(c for c in checkpoints if first < c <= killed_at)])
    train(folder, recorded, NUM_STEPS, last_world_size, {NUM_STEPS})
    assert read_visits(folder, NUM_STEPS).to_pylist() == expected
    compact(folder, NUM_STEPS)
    assert len(list(folder.iterdir())) == 1
    assert read_visits(folder, NUM_STEPS).to_pylist() == expected


@pytest.mark.parametrize("step", range(NUM_STEPS))
def test_resumed_at_any_step(tmp_path: Path, expected: list[dict[str, object]], step: int) -> None:
    train(tmp_path, 0, NUM_STEPS - 1, 2, {4, NUM_STEPS - 1})
    train(tmp_path, step, NUM_STEPS, 1, {NUM_STEPS})
    assert read_visits(tmp_path, NUM_STEPS).to_pylist() == expected


def test_a_segment_of_some_ranks_only_is_not_taken_for_all(tmp_path: Path) -> None:
    """Killed while checkpointing: one rank of two has written."""
    train(tmp_path, 0, 6, 2, {4})
    ranks = train(tmp_path, 4, 8, 2, set())
    ranks[0].flush(8)
    with pytest.raises(UserError, match="from step 4 of 8 on are not here, or not of all ranks; train the stage again"):
        read_visits(tmp_path, 8)
    train(tmp_path, 4, 8, 2, {8})
    assert len(read_visits(tmp_path, 8)) == 3 * 8


def test_a_stage_whose_first_steps_were_not_recorded_is_not_measured(tmp_path: Path) -> None:
    train(tmp_path, 3, NUM_STEPS, 1, {NUM_STEPS})
    with pytest.raises(UserError, match="from step 0 of 12 on are not here"):
        read_visits(tmp_path, NUM_STEPS)


def test_compaction_killed_between_its_two_halves(tmp_path: Path, expected: list[dict[str, object]]) -> None:
    train(tmp_path, 0, NUM_STEPS, 2, {3, NUM_STEPS})
    pieces = {path: path.read_bytes() for path in tmp_path.iterdir()}
    compact(tmp_path, NUM_STEPS)
    for path, content in list(pieces.items())[:2]:
        path.write_bytes(content)
    assert read_visits(tmp_path, NUM_STEPS).to_pylist() == expected
    compact(tmp_path, NUM_STEPS)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_finished_stage_that_goes_back_to_an_older_checkpoint(
    tmp_path: Path, expected: list[dict[str, object]]
) -> None:
    train(tmp_path, 0, NUM_STEPS, 2, {NUM_STEPS})
    compact(tmp_path, NUM_STEPS)
    train(tmp_path, 7, NUM_STEPS, 3, {NUM_STEPS})
    assert read_visits(tmp_path, NUM_STEPS).to_pylist() == expected


def test_an_idle_rank_writes_a_segment_and_no_steps_write_none(tmp_path: Path) -> None:
    recorder = VisitRecorder(tmp_path, first_step=0, rank=0, world_size=1)
    recorder.flush(0)
    assert not list(tmp_path.iterdir())
    recorder.flush(2)
    assert read_visits(tmp_path, 2).equals(SCHEMA.empty_table())


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:40] + b"\xff" * 8 + b[48:]])
def test_damage_is_a_users_error_in_one_line(tmp_path: Path, damage: object) -> None:
    train(tmp_path, 0, 200, 1, {200})
    (path,) = tmp_path.iterdir()
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="damaged record of visits") as caught:
        read_visits(tmp_path, 200)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_flipped_bit_is_never_read_as_another_number(tmp_path: Path) -> None:
    train(tmp_path, 0, 60, 1, {60})
    (path,) = tmp_path.iterdir()
    content, table = path.read_bytes(), read_visits(tmp_path, 60)
    refused = 0
    for place in range(4, len(content) // 2, 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        try:
            assert read_visits(tmp_path, 60).equals(table), place
        except UserError:
            refused += 1
    assert refused > 50


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    train(tmp_path, 0, 2, 1, {2})
    (path,) = tmp_path.iterdir()
    pq.write_table(pa.table({"task": ["a"]}), path)
    with pytest.raises(UserError, match="damaged record of visits"):
        read_visits(tmp_path, 2)
