from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from xstilts.config.reference import find_keys, keys, page
from xstilts.core.errors import UserError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "recipe.md"


def test_every_key_says_what_it_means_and_how_it_is_written() -> None:
    for key in keys():
        assert key.meaning, f"{key.path} has no documentation under its field"
        if key.type != "section":
            (value,) = yaml.safe_load(key.example).values()
            assert value not in (None, {}, []), f"{key.path} wants an example"


def test_a_key_in_full() -> None:
    (key,) = find_keys("training.batch_size")
    assert key.text().splitlines() == [
        "training.batch_size",
        "  Examples in a step, over all ranks.",
        "  type     whole number (examples)",
        "  default  32",
        "  example  batch_size: 32",
    ]


@pytest.mark.parametrize(
    "path", ["warmup", "training.warmup", "arms.nine.0.training.warmup", "targets.a.training.warmup"]
)
def test_a_key_by_its_end_or_by_the_path_of_an_override(path: str) -> None:
    assert [key.path for key in find_keys(path)] == ["training.warmup"]


def test_every_key_of_that_end() -> None:
    assert {key.path for key in find_keys("lr")} >= {"training.lr", "pretraining.N.subset.reference.lr"}


def test_a_section() -> None:
    assert [key.path for key in find_keys("training.dev")][:2] == ["training.dev", "training.dev.every"]


def test_unknown_key() -> None:
    with pytest.raises(UserError, match=r"no key 'training.learning_rate' in a recipe; "):
        find_keys("training.learning_rate")
    with pytest.raises(UserError, match=r"no key 'batchsize' in a recipe; did you mean 'batch_size'"):
        find_keys("batchsize")


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, f"run: python -m xstilts.config.reference {PAGE.name}"
