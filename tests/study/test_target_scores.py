"""How much of a target is scored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.evaluation.results import examples_of
from xstilts.evaluation.work import Work
from xstilts.study.open import open_study
from xstilts.study.run import run_study
from xstilts.study.works import works_of

pytestmark = pytest.mark.usefixtures("one_rank")

MakeRecipe = Callable[..., Recipe]


def targets(**targets: dict[str, Any]) -> dict[str, Any]:
    languages = {"languages": ["qaa_Latn"]}
    return {"pretraining": [], "arms": {"none": []}, "targets": {name: t | languages for name, t in targets.items()}}


def works(recipe: Recipe, folder: Path) -> list[Work]:
    study = open_study(recipe, folder, device="cpu")
    return [work for leaf in study.graph.leaves for work in works_of(leaf, study.catalogue, {})]


def test_the_first_queries_are_scored_among_all_candidates(recipe: MakeRecipe, tmp_path: Path) -> None:
    limited = recipe(**targets(tatoeba={"max_examples": 3}, lareqa={"max_examples": 2}))
    for work, num_queries in zip(works(limited, tmp_path), (3, 2), strict=True):
        examples = [work.task.kind.restore(fields) for fields in work.features.examples(slice(None))]
        candidates = [example for example in examples if example.role == "candidate"]
        queries = [example for example in examples if example.role == "query"]
        assert len(queries) > num_queries and len(candidates) > num_queries
        assert examples_of(work) == [*candidates, *queries[:num_queries]]
    assert [(row.task, row.num_examples) for row in run_study(open_study(limited, tmp_path, device="cpu"))] == [
        ("tatoeba", 3),
        ("lareqa", 2),
    ]


@pytest.mark.parametrize("limit", [16, 17, 1000, None])
def test_a_limit_above_the_number_of_queries_leaves_all(recipe: MakeRecipe, tmp_path: Path, limit: int | None) -> None:
    (work,) = works(recipe(**targets(tatoeba={"max_examples": limit})), tmp_path)
    assert work.num_examples == len(work.features) == 32


def test_mining_in_a_part_of_its_collections_is_refused(recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"targets\.bucc2018\.max_examples: .* drop the option") as error:
        works(recipe(**targets(bucc2018={"max_examples": 5})), tmp_path)
    assert "\n" not in str(error.value)
