from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.data.catalogue import Catalogue, Part
from xstilts.study.build_graph import build_graph
from xstilts.study.sources import check_sources, sources_of
from xstilts.study.works import works_of
from xstilts.study.workspace import Workspace, open_catalogue

ENGLISH, OTHER = "eng_Latn", "qaa_Latn"
WORLD = {"languages": {OTHER: 0.3}, "num_train": 12, "num_dev": 6, "num_test": 6, "num_text": 40, "num_bitext": 6}


def recipe() -> Recipe:
    """Every way in which a study comes to data."""
    raw: dict[str, Any] = {
        "name": "r",
        "model": {},
        "data": {"world": WORLD},
        "training": {"steps": 2},
        "pretraining": [{"tasks": ["mlm_text"], "languages": [ENGLISH, OTHER]}],
        "arms": {
            "none": [],
            "mixed": [
                {
                    "tasks": ["ccg", "mnli", "mlm_text"],
                    "languages": [ENGLISH, OTHER],
                    "training": {"dev": {"every": 1}},
                }
            ],
        },
        "targets": {
            "xquad": {"languages": [OTHER], "training": {"dev": {"every": 1}}},
            "xcopa": {"languages": [OTHER], "train_on": ["siqa", "copa"], "split": "dev"},
            "tatoeba": {"languages": [OTHER]},
            "bucc2018": {"languages": [OTHER]},
        },
    }
    return Recipe.model_validate(raw)


def test_by_hand() -> None:
    assert sources_of(recipe()) == [
        Part("mlm_text", "train", ENGLISH, False),
        Part("mlm_text", "train", OTHER, False),
        Part("ccg", "train", ENGLISH, False),
        Part("mnli", "train", ENGLISH, False),
        Part("ccg", "dev", ENGLISH, True),
        Part("mnli", "dev", ENGLISH, True),
        Part("squad_v1", "train", ENGLISH, False),
        Part("squad_v1", "dev", ENGLISH, True),
        Part("xquad", "test", OTHER, True),
        Part("siqa", "train", ENGLISH, False),
        Part("copa", "train", ENGLISH, False),
        Part("xcopa", "dev", OTHER, True),
        Part("tatoeba", "test", OTHER, True),
        # mined pairs are cut off at a threshold tuned on dev data
        Part("bucc2018", "test", OTHER, True),
        Part("bucc2018", "dev", OTHER, True),
    ]


def test_a_study_opens_just_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Part] = []
    plain = Catalogue.open

    def recorded(self: Catalogue, part: Part, *arguments: Any) -> Any:
        opened.append(part)
        return plain(self, part, *arguments)

    monkeypatch.setattr(Catalogue, "open", recorded)
    catalogue = open_catalogue(recipe(), Workspace(tmp_path))
    graph = build_graph(recipe(), catalogue, "scratch", "fp32")
    for leaf in graph.leaves:
        works_of(leaf, catalogue, {})
    assert set(opened) == set(sources_of(recipe()))


def test_any_split_that_the_target_has_can_be_scored() -> None:
    raw = {"name": "r", "model": {}, "data": {"world": WORLD}, "arms": {"none": []}, "training": {"steps": 1}}
    parsed = Recipe.model_validate(raw | {"targets": {"mnli": {"split": "dev_mismatched"}}})
    assert Part("mnli", "dev_mismatched", ENGLISH, True) in sources_of(parsed)


def test_a_split_that_the_target_lacks(tmp_path: Path) -> None:
    raw = {"name": "r", "model": {}, "data": {"world": WORLD}, "arms": {"none": []}, "training": {"steps": 1}}
    parsed = Recipe.model_validate(raw | {"targets": {"mnli": {"split": "dev_missmatched"}}})
    catalogue = open_catalogue(parsed, Workspace(tmp_path))
    (leaf,) = build_graph(parsed, catalogue, "m", "fp32").leaves
    with pytest.raises(UserError, match="'mnli' has no split 'dev_missmatched'; known: train, dev, dev_mismatched"):
        works_of(leaf, catalogue, {})


@pytest.mark.parametrize(("target", "refused"), [("tydiqa", True), ("udpos", False)])
def test_the_oracle_never_selects_on_test_data(target: str, refused: bool, tmp_path: Path) -> None:
    """TyDiQA's dev files are XTREME's test set, under both names; UDPOS has dev data of its own."""
    raw = {"name": "r", "model": {}, "data": {"world": WORLD}, "arms": {"none": []}, "training": {"steps": 1}}
    targets = {target: {"languages": [ENGLISH, OTHER]}}
    parsed = Recipe.model_validate(raw | {"targets": targets, "selection": {"also": ["oracle"], "every": 1}})
    catalogue = open_catalogue(parsed, Workspace(tmp_path))
    told = f"oracle would select {target} in {ENGLISH} on the test data that it scores"
    with pytest.raises(UserError, match=told) if refused else nullcontext():
        check_sources(parsed, catalogue)
