from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.kinds import ChoiceExample
from xstilts.tasks import find_task

Release = Callable[[str, str | bytes], Path]

ROW: dict[str, Any] = {
    "ind": 24,
    "activity_label": "Roof shingle removal",
    "ctx_a": "A man is sitting on a roof.",
    "ctx_b": "he",
    "ctx": "A man is sitting on a roof. he",
    "split": "val",
    "split_type": "indomain",
    "label": 3,
    "endings": ["sleeps.", "sings.", "swims.", "starts pulling up roofing."],
    "source_id": "activitynet~v_-JhWjGDPHMY",
}
EXAMPLE = ChoiceExample("24", "A man is sitting on a roof. he", "", tuple(ROW["endings"]), 3)


def test_endings(release: Release, read_split: Callable[..., Any]) -> None:
    release("hellaswag/hellaswag_val.jsonl", json.dumps(ROW) + "\r\n")
    assert read_split("hellaswag", "dev")[0] == [EXAMPLE]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"label": 4}, "unknown label 4; known: 0 to 3"),
        ({"label": "3"}, "unknown label '3'; known: 0 to 3"),
        ({"endings": ["one", "two", "three"]}, "'endings' are not 4 texts; "),
        ({"endings": ["one", "two", "three", None]}, "'endings' are not 4 texts; "),
        ({"ctx": 5}, "field 'ctx' is not a text; "),
    ],
)
def test_broken_row(release: Release, user_error: Callable[..., str], change: dict[str, Any], problem: str) -> None:
    path = release("hellaswag/hellaswag_train.jsonl", json.dumps(ROW) + "\n" + json.dumps({**ROW, **change}) + "\n")
    assert user_error("hellaswag", "train").startswith(f"{path}:2: {problem}")


def test_test_file_without_labels(release: Release, user_error: Callable[..., str]) -> None:
    row = {key: value for key, value in ROW.items() if key != "label"}
    path = release("hellaswag/hellaswag_val.jsonl", json.dumps(row))
    assert user_error("hellaswag", "dev").startswith(f"{path}:1: no field 'label'; ")


def test_hub_row_has_its_label_as_text() -> None:
    hub = find_task("hellaswag").hub
    assert hub is not None
    assert hub.example({**ROW, "label": "3"}, 0) == EXAMPLE
