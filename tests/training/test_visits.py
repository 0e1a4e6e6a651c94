"""From the losses of targets to the visits of items, by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from xstilts.core.errors import StorageError
from xstilts.data.batch import collate
from xstilts.data.loader import MicroBatch
from xstilts.kinds import CHOICE, MLM, PAIR, SPAN, TAGGING
from xstilts.kinds.feature import NO_LABEL, Feature
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.measures.visits import VisitRecorder, read_visits
from xstilts.text.tokenizer import Tokenizer
from xstilts.training import visits
from xstilts.training.visits import begin_visits, finish_visits, flush_visits, record_step

KINDS = {"qqp": PAIR, "copa": CHOICE, "squad": SPAN, "pos": TAGGING, "text": MLM}
WINDOW = Feature("c", [0, 9, 10, 2], [4], [0], [1, 2], num_targets=2)
TAGGED = Feature("d", [0, 12, 13, 14, 2], [5], [1, 3, 2], [4, NO_LABEL, 3], num_targets=2)
UNTAGGED = Feature("untagged", [0, 12, 2], [3], [1], [NO_LABEL], num_targets=0)


def micro_batch(tokenizer: Tokenizer, items: list[tuple[TaskItems, int]]) -> MicroBatch:
    batch = collate([item for item, _ in items], KINDS, Collation(tokenizer, mlm_probability=0.5))
    ids: dict[str, list[str]] = {item.task: [] for item, _ in items}
    visits: dict[str, list[int]] = {item.task: [] for item, _ in items}
    for item, visit in items:
        ids[item.task] += item.features.ids
        visits[item.task] += [visit] * len(item.features)
    return MicroBatch(0, batch, ids, visits)


def test_each_kind_by_hand(tokenizer: Tokenizer, tmp_path: Path) -> None:
    first = micro_batch(
        tokenizer,
        [
            (TaskItems.of("qqp", [Feature("a", [0, 5, 2], [3], [0], [1])], 0.5), 0),
            (TaskItems.of("qqp", [Feature("a2", [0, 5, 2], [3], [0], [1])], 0.5), 1),
            (TaskItems.of("copa", [Feature("b", [0, 7, 2, 0, 8, 2], [3, 3], [0, 3], [1])], 0.25), 2),
            (TaskItems.of("squad", [WINDOW], 0.5), 0),
            (TaskItems.of("pos", [TAGGED, UNTAGGED], 1.0), 0),
            (TaskItems.of("text", [Feature("nothing to mask", [0, 2], [2])], 1.0), 0),
        ],
    )
    second = micro_batch(tokenizer, [(TaskItems.of("squad", [WINDOW], 0.5), 0)])
    filler = MicroBatch(-1, collate([], KINDS, Collation(tokenizer)), {}, {})
    losses = [
        # qqp, qqp, copa, a window, three words and one without a tag
        np.array([0.5, np.nan, 1.0, 0.25, 2.0, 0.0, 1.0, 0.0], dtype=np.float32),
        np.array([1.5], dtype=np.float32),
        np.array([], dtype=np.float32),
    ]
    recorder = VisitRecorder(tmp_path, first_step=0, rank=0, world_size=1)
    record_step(recorder, 0, [first, second, filler], losses)
    assert finish_visits(recorder, tmp_path, 1) == 5
    rows = {row["id"]: row for row in read_visits(tmp_path, 1).to_pylist()}
    assert rows.keys() == {"a", "a2", "b", "c", "d"}
    found = {id_: [row["visit"], row["nll"], row["p_gold"], row["num_targets"]] for id_, row in rows.items()}
    assert found["a"] == pytest.approx([0, 0.5, math.exp(-0.5), 1])
    assert found["a2"][0] == 1 and math.isnan(found["a2"][1])
    assert found["b"] == pytest.approx([2, 1.0, math.exp(-1), 1])
    # start and end of each window: twice the mean that is the loss
    assert found["c"] == pytest.approx([0, 0.5 + 3.0, (math.exp(-0.5) + math.exp(-3)) / 2, 2])
    assert found["d"] == pytest.approx([0, 3.0, (math.exp(-2) + math.exp(-1)) / 2, 2])


def test_half_a_record_is_none(tokenizer: Tokenizer, tmp_path: Path) -> None:
    recorder = begin_visits(tmp_path, 0)
    assert recorder is not None
    flush_visits(recorder, 4)
    assert begin_visits(tmp_path, 3) is not None
    assert begin_visits(tmp_path, 5) is None, "steps 4 and 5 were taken without a record"
    assert not list(tmp_path.iterdir())


def test_a_damaged_record_is_said_and_ends_no_training(tmp_path: Path) -> None:
    recorder = begin_visits(tmp_path, 0)
    assert recorder is not None
    flush_visits(recorder, 4)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:50])
    assert begin_visits(tmp_path, 2) is None, "what is left of it would have to be read"
    flush_visits(recorder, 8)
    recorder = VisitRecorder(tmp_path, first_step=8, rank=0, world_size=1)
    found = finish_visits(recorder, tmp_path, 10)
    assert isinstance(found, str) and "the visits from step 0 of 10 on are not here" in found


def test_what_cannot_be_written_is_an_error_on_every_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = begin_visits(tmp_path, 0)
    assert recorder is not None
    monkeypatch.setattr(visits.dist, "gather", lambda failure: [failure, StorageError("the disk of rank 1")])
    with pytest.raises(StorageError, match="the disk of rank 1"):
        flush_visits(recorder, 1)
