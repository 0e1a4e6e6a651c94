from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from xstilts.config.recipe import Recipe
from xstilts.study.describe_data import describe_data, show_data, to_json

WORLD = {"languages": {"qaa_Latn": 0.3, "qab_Latn": 0.5}, "num_train": 12, "num_dev": 6, "num_test": 7}


def test_a_world(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {
            **{"name": "r", "model": {}, "arms": {"none": []}, "training": {"steps": 1}},
            "data": {"world": {**WORLD, "num_text": 40, "num_bitext": 6}},
            "targets": {"xquad": {"languages": ["qaa_Latn"]}},
        }
    )
    description = describe_data(recipe, tmp_path)
    assert [(found.part.task, found.num_examples) for found in description.parts] == [("squad_v1", 12), ("xquad", 7)]
    assert (description.absent, description.unscored) == ([], {"xquad": ["qab_Latn"]})

    said = json.loads(to_json(description))
    assert said["parts"][1]["task"] == "xquad"
    assert said["parts"][1]["num_examples"] == 7
    assert said["unscored"] == {"xquad": ["qab_Latn"]}

    shown = io.StringIO()
    show_data(description, Console(file=shown, width=160))
    lines = shown.getvalue().splitlines()
    assert lines[0].strip() == "SQuAD v1.1: squad_v1, span"
    assert any("train" in line and "eng_Latn" in line and " 12 " in line for line in lines)
    assert any(line == "  not in the recipe: qab_Latn" for line in lines)

    narrow = io.StringIO()
    show_data(description, Console(file=narrow, width=80))
    told = narrow.getvalue()
    assert max(map(len, told.splitlines())) <= 80
    for heading in ("examples", "truncated", "duplicates", "seen in training", "labels", "eng_Latn", "qaa_Latn"):
        assert heading in told
    assert "\u2026" not in told


def test_files_that_are_not_there_are_listed(tmp_path: Path) -> None:
    folder = tmp_path / "copa"
    folder.mkdir()
    recipe = Recipe.model_validate(
        {
            **{"name": "r", "data": {"root": str(tmp_path)}, "arms": {"none": []}, "training": {"steps": 1}},
            "model": {"tokenizer": str(_tokenizer(tmp_path))},
            "targets": {"xcopa": {"languages": ["swh_Latn", "tha_Thai"], "train_on": ["copa"]}},
        }
    )
    description = describe_data(recipe, tmp_path / "run")
    assert description.parts == []
    assert [(part.task, part.language) for part in description.absent] == [
        ("copa", "eng_Latn"),
        ("xcopa", "swh_Latn"),
        ("xcopa", "tha_Thai"),
    ]
    shown = io.StringIO()
    show_data(description, Console(file=shown, width=160))
    assert "  no files: test swh_Latn, test tha_Thai" in shown.getvalue().splitlines()


def _tokenizer(folder: Path) -> Path:
    from xstilts.synthetic import World, write_world

    settings = World.model_validate({**WORLD, "num_text": 40, "num_bitext": 6})
    write_world(settings, folder / "world")
    return folder / "world" / "tokenizer"
