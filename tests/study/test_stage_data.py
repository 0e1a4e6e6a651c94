"""Parts of a task's training examples: which they are, and what of it is in a stage's id."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.data.code_switched import find_words
from xstilts.kinds.feature import Feature
from xstilts.study import run
from xstilts.study.graph import Stage
from xstilts.study.open import open_study
from xstilts.study.study import Study
from xstilts.tasks import find_task

pytestmark = pytest.mark.usefixtures("one_rank")

MakeRecipe = Callable[..., Recipe]
EPOCH = {"epochs": 1, "batch_size": 4, "lr": 1e-3}


@pytest.fixture
def study(recipe: MakeRecipe, tmp_path: Path) -> Callable[..., Study]:
    """A study with an arm that trains on part of MNLI, or with other options of that stage."""

    def opened(part: dict[str, Any], **options: Any) -> Study:
        arms = {"none": [], "part": [{"tasks": ["mnli"], "training": EPOCH, "subset": part, **options}]}
        return open_study(recipe(pretraining=[], arms=arms, seeds=[0, 1]), tmp_path / "run", device="cpu")

    return opened


def stage_of(study: Study, seed: int = 0) -> Any:
    return next(stage for stage in study.graph.stages() if stage.label == "part" and stage.seed == seed)


def ids_of(study: Study, seed: int = 0) -> list[str]:
    features = study.steps(stage_of(study, seed)).features["mnli"]
    return [feature.id for feature in features.load(range(len(features)))]


@pytest.fixture
def every(study: Callable[..., Study]) -> list[str]:
    """Ids of all 40 training examples, in their order."""
    features = study({"part": "random", "fraction": 1.0}).catalogue.train(find_task("mnli"), ["eng_Latn"])
    return [feature.id for feature in features.load(range(40))]


def write(path: Path, ids: Sequence[str]) -> Path:
    """Ranks in this order, lines in another."""
    lines = [json.dumps({"id": id_, "hardness": place}) for place, id_ in enumerate(ids)]
    path.write_text("\n".join(reversed(lines)) + "\n", encoding="utf-8")
    return path


def test_parts_by_rank_in_the_order_of_the_data(study: Callable[..., Study], every: list[str], tmp_path: Path) -> None:
    ranked = [*every[20:], *every[:20]]
    path = write(tmp_path / "a.jsonl", ranked)
    found = {}
    for part, expected in (("easiest", every[20:30]), ("hardest", every[10:20]), ("middle", every[35:] + every[:5])):
        opened = study({"part": part, "fraction": 0.25, "ranking": path})
        assert ids_of(opened) == sorted(expected, key=every.index) == ids_of(opened, seed=1)
        assert stage_of(opened).num_steps == 3, "an epoch is one of the part: 10 examples by 4"
        found[part] = stage_of(opened).id
    moved = study({"part": "hardest", "fraction": 0.25, "ranking": write(tmp_path / "b.jsonl", ranked)})
    other = study({"part": "hardest", "fraction": 0.25, "ranking": write(tmp_path / "c.jsonl", every)})
    assert stage_of(moved).id == found["hardest"], "the order is in the id, and no path"
    assert len({*found.values(), stage_of(other).id}) == 4


def test_a_random_part_is_another_for_each_seed(study: Callable[..., Study], every: list[str]) -> None:
    opened = study({"part": "random", "fraction": 0.25})
    one, two = ids_of(opened, 0), ids_of(opened, 1)
    assert len(set(one)) == len(set(two)) == 10 and one != two and {*one, *two} <= set(every)
    assert ids_of(study({"part": "random", "fraction": 0.25}), 0) == one


def test_labels_are_stratified(study: Callable[..., Study]) -> None:
    def labels(opened: Study) -> Counter[int]:
        features = opened.steps(stage_of(opened)).features["mnli"]
        return Counter(feature.targets[0] for feature in features.load(range(len(features))))

    whole = labels(study({"part": "random", "fraction": 1.0}))
    half = labels(study({"part": "random", "fraction": 0.5, "stratify": "label"}))
    assert half == {label: count // 2 for label, count in whole.items()} and len(half) == 3


def test_a_part_is_trained_on_and_its_labels_can_be_shuffled(study: Callable[..., Study]) -> None:
    opened = study({"part": "random", "fraction": 0.5}, labels="shuffled")
    assert {row.arm for row in run.run_study(opened)} == {"none", "part"}
    gold = study({"part": "random", "fraction": 0.5})
    assert ids_of(opened) == ids_of(gold)
    given = []
    for one in (opened, gold):
        features = one.steps(stage_of(one)).features["mnli"]
        given.append([feature.targets[0] for feature in features.load(range(20))])
    assert given[0] != given[1] and Counter(given[0]) == Counter(given[1])


def test_a_ranking_is_of_exactly_the_training_examples(
    study: Callable[..., Study], every: list[str], tmp_path: Path
) -> None:
    def message(ids: Sequence[str]) -> str:
        with pytest.raises(UserError) as error:
            study({"part": "hardest", "fraction": 0.5, "ranking": write(tmp_path / "a.jsonl", ids)})
        return str(error.value)

    assert f"1 of 40 training examples are not ranked, the first is '{every[0]}'" in message(every[1:])
    assert "a.jsonl:1: 'other' is no training example" in message([*every, "other"])
    assert f"a.jsonl:41: '{every[0]}' stands there twice" in message([every[0], *every])


def test_a_text_is_switched_by_the_content_of_a_dictionary_and_the_seed(recipe: MakeRecipe, tmp_path: Path) -> None:
    def opened(**section: Any) -> Study:
        arms = {"none": [], "text": [{"tasks": ["mlm_text"], "training": EPOCH, **section}]}
        return open_study(recipe(pretraining=[], arms=arms, seeds=[0, 1]), tmp_path / "run", device="cpu")

    def text(study: Study, seed: int = 0) -> tuple[Stage, list[Feature]]:
        stage = next(s for s in study.graph.stages() if s.label == "text" and s.seed == seed)
        features = study.steps(stage).features["mlm_text"]
        return stage, features.load(range(len(features)))

    plain, as_written = text(opened())
    words = {word for *_, word in find_words(opened().catalogue.tokenizer, as_written[0].tokens)}
    (tmp_path / "a.txt").write_text("".join(f"{word} {word}{word}\n" for word in sorted(words)), encoding="utf-8")
    (tmp_path / "b.txt").write_bytes((tmp_path / "a.txt").read_bytes())
    a, b = ({"code_switch": {"dictionary": tmp_path / name, "rate": 0.5}} for name in ("a.txt", "b.txt"))
    stage, switched = text(opened(**a))
    assert stage.id == text(opened(**b))[0].id != plain.id
    assert stage.files == {"a.txt": hashlib.sha256((tmp_path / "a.txt").read_bytes()).hexdigest()}
    assert plain.files == {}
    assert [f.id for f in switched] == [f.id for f in as_written]
    assert any(f.targets for f in switched) and not any(f.targets for f in as_written)
    assert switched != text(opened(**a), seed=1)[1]
    (tmp_path / "b.txt").write_text(f"{min(words)} other\n", encoding="utf-8")
    assert text(opened(**b))[0].id != stage.id
