"""What the shipped recipes would run, found out without their data: sizes are those of the official releases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from xstilts.config.load import load_recipe, shipped_recipes
from xstilts.config.recipe import Recipe
from xstilts.config.training import StageConfig
from xstilts.data.catalogue import Catalogue, Part
from xstilts.study import build_graph
from xstilts.study.graph import Graph
from xstilts.study.open import open_study
from xstilts.study.sources import sources_of
from xstilts.study.stage_data import training_features
from xstilts.tasks import Task, find_task
from xstilts.tasks.suites import find_suite

_IDS = Path(__file__).parents[1] / "golden" / "stage_ids.json"
"""Recipe -> label -> id, of the first seed."""
_UNKNOWN_SIZE = 1000
"""For what has no official release: text, and treebanks, of which everybody has others."""


@dataclass(frozen=True)
class _Unread:
    """Features by their number alone."""

    fingerprint: str
    size: int

    def __len__(self) -> int:
        return self.size


class _NoData:
    """Stands for a catalogue of everything."""

    tokenizer = SimpleNamespace(fingerprint="tokenizer")

    def train(self, task: Task, languages: Sequence[str]) -> _Unread:
        sizes = [task.num_examples.get(("train", language), _UNKNOWN_SIZE) for language in languages]
        return _Unread(f"{task.name} {languages}", sum(sizes))

    def open(self, part: Part) -> _Unread:
        return _Unread(repr(part), _UNKNOWN_SIZE)

    def source(self, task: Task, split: str, language: str) -> SimpleNamespace:
        return SimpleNamespace(contents=lambda: {f"{task.name}.{split}.{language}": "content"})


@pytest.fixture(autouse=True)
def _data_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XSTILTS_DATA", "/data")


def laid_out(recipe: Recipe) -> Graph:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_graph, "training_features", _training_features)
        return build_graph.build_graph(recipe, cast(Catalogue, _NoData()), "model", "bf16")


def _training_features(catalogue: Catalogue, config: StageConfig, randomness: int, measured: None) -> dict[str, Any]:
    """Views of rows that are not there: by what they are said to be. The real function takes all others."""
    if config.subset is None and config.labels == "gold":
        return dict(training_features(catalogue, config, randomness))
    part = config.subset and (config.subset.part, config.subset.fraction, config.subset.stratify)
    said = f"{part} {config.labels} {randomness}"
    return {name: _Unread(f"{name} {said}", _UNKNOWN_SIZE) for name in config.tasks}


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_can_be_laid_out(name: str) -> None:
    recipe = load_recipe(name)
    graph = laid_out(recipe)
    assert {leaf.arm for leaf in graph.leaves} == set(recipe.arms)
    assert all(stage.num_steps > 0 for stage in graph.stages())


@pytest.mark.parametrize("name", shipped_recipes())
def test_all_that_a_recipe_reads_is_released(name: str) -> None:
    recipe = load_recipe(name)
    for part in sources_of(recipe):
        task = find_task(part.task)
        is_translated = part.split == "train" and part.language in task.translated
        if not is_translated:
            task.code_of(part.language)
        on_disk = any(part.split in layout.paths for layout in (task.translations if is_translated else task.layouts))
        on_hub = recipe.data.hub and task.hub is not None and part.split in task.hub.splits
        assert on_disk or on_hub, part


@pytest.mark.parametrize(("name", "suite"), [("phang2020", "xtreme"), ("xtreme-r", "xtreme-r")])
def test_a_suites_recipe_scores_all_of_it(name: str, suite: str) -> None:
    targets = load_recipe(name).targets
    assert {task: tuple(target.languages or ()) for task, target in targets.items()} == find_suite(suite).tasks


@pytest.mark.parametrize("name", ["phang2020", "phang2020-mlm"])
def test_a_recipe_can_be_planned_on_the_artificial_world(name: str, world: Path, tmp_path: Path) -> None:
    data = f"{{root: {world}, cache: {world.parent / 'cache'}, max_length: 64, doc_stride: 16}}"
    sizes = "{hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 32}"
    overrides = [f"data={data}", f"model={{config: {sizes}}}", "seeds=[1]"]
    overrides += [f"targets.{target}.languages=[qaa_Latn]" for target in load_recipe(name).targets]
    if name == "phang2020-mlm":
        overrides.append("arms.mnli_mlm.0.languages=[eng_Latn, qaa_Latn]")
    study = open_study(load_recipe(name, overrides), tmp_path / "run", device=None)
    assert {leaf.arm for leaf in study.graph.leaves} == set(study.recipe.arms)


def test_steps_of_phang2020_by_hand() -> None:
    steps = {stage.label: stage.num_steps for stage in laid_out(load_recipe("phang2020", ["seeds=[1]"])).stages()}
    # 2 x 392,702 / 24; 10 x 9,741 / 4
    assert (steps["mnli"], steps["commonsense_qa"]) == (32_726, 24_353)
    # 3 x (3 x 131,072 + 130,319 + 87,599 + 39,905 + 38,015 + 25,262 + 9,741) / 24
    assert steps["nine"] == 90_508
    # 2 x 3,696 / 16
    assert steps["none.tydiqa"] == steps["nine.tydiqa"] == 462
    # XQuAD and MLQA share SQuAD; BUCC and Tatoeba train nothing: 10 arms, and 6 stages behind each of 11
    assert len(steps) == 10 + 6 * 11


def test_africa_scores_the_suite_and_swahili() -> None:
    suite = find_suite("africa").tasks
    for task, target in load_recipe("africa").targets.items():
        assert tuple(target.languages or ()) == suite.get(task, (*["eng_Latn"][: task == "tydiqa"], "swh_Latn"))


@pytest.mark.parametrize("name", shipped_recipes())
def test_ids_are_those_checked_in(name: str) -> None:
    """What a recipe does not say changes no id: whoever has trained a stage does not train it again after an update.
    `tests/golden/stage_ids.json` was written before the first of the options that are now at their default; it is
    written anew when the version of stages, or what these recipes say, changes."""
    seed = (graph := laid_out(load_recipe(name))).leaves[0].seed
    found = {stage.label: stage.id for stage in graph.stages() if stage.seed == seed}
    assert found == json.loads(_IDS.read_text(encoding="utf-8"))[name]
