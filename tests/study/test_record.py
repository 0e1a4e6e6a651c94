"""What a finished stage says of itself is believed only as it was written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from xstilts.core.errors import UserError
from xstilts.study.graph import DataPart
from xstilts.study.record import Origin, Parent, Record, has_record, read_record, write_record

ORIGIN = Origin(
    id="0123456789ab",
    model={"pretrained": None, "id": "ab"},
    parents=[Parent("ba9876543210", "mixed")],
    hyperparameters={"tasks": ["udpos"], "training": {"lr": 1e-5}},
    randomness=2**63 + 1,
    continues=None,
    precision="bf16",
    deepspeed={"bf16": {"enabled": True}},
    data=[DataPart("udpos", "train", "eng_Latn", 40, "f00d")],
)
RECORD = Record(
    label="mixed.udpos",
    tasks=["udpos"],
    labels={"udpos": ["ADJ", "NOUN"]},
    seed=3,
    seeds="3-3",
    encoder={"hidden_size": 32, "layer_norm_eps": 1e-5, "id2label": {"2": "x", "10": "y"}},
    tokenizer="abc",
    num_steps=10,
    selected_step=8,
    selection="best_dev",
    dev_score=41.25,
    weights="00ff",
    origin=ORIGIN,
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert not has_record(tmp_path)
    write_record(tmp_path, RECORD)
    assert has_record(tmp_path)
    assert read_record(tmp_path) == RECORD


def test_keys_that_are_numbers_do_not_break_the_seal(tmp_path: Path) -> None:
    write_record(tmp_path, replace(RECORD, encoder={"id2label": {2: "x", 10: "y"}}))
    assert read_record(tmp_path).encoder == {"id2label": {"2": "x", "10": "y"}}


def test_no_byte_with_a_flipped_bit_changes_what_is_read(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    path = tmp_path / "stage.json"
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert read_or_none(tmp_path) in (RECORD, None), "1e-05 may become 1E-05, which is the same"


def read_or_none(folder: Path) -> Record | None:
    try:
        return read_record(folder)
    except UserError:
        return None


def test_a_record_that_was_edited_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    path = tmp_path / "stage.json"
    fields = json.loads(path.read_bytes())
    for edited in ({**fields, "seed": 4}, {name: value for name, value in fields.items() if name != "sha256"}):
        path.write_text(json.dumps(edited))
        with pytest.raises(UserError, match="it is not what was written"):
            read_record(tmp_path)
