"""A control that takes as many updates as an arm on the same inputs, by masked language modelling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xstilts.config.recipe import Recipe
from xstilts.data.loader import StepLoader
from xstilts.study.graph import Stage
from xstilts.study.open import open_study
from xstilts.study.study import Study

MakeRecipe = Callable[..., Recipe]
TASKS = ["mnli", "squad_v2", "cosmos_qa", "ccg"]


def controlled(recipe: MakeRecipe, task: str) -> Recipe:
    arm = [{"tasks": [task], "training": {"steps": 3}}]
    control = [{"tasks": ["mlm_text"], "inputs_of": task, "match": {"steps": "task"}}]
    return recipe(arms={"none": [], "task": arm, "control": control}, pretraining=[])


def stages_of(opened: Study) -> dict[str, Stage]:
    return {stage.label: stage for stage in opened.graph.stages()}


def test_a_control_reads_the_inputs_of_its_task_and_nothing_else(recipe: MakeRecipe, tmp_path: Path) -> None:
    ids = set()
    for task in TASKS:
        opened = open_study(controlled(recipe, task), tmp_path / task, device="cpu")
        stages = stages_of(opened)
        control, arm = stages["control"], stages["task"]
        assert control.num_steps == arm.num_steps == 3
        assert [part.task for part in control.data] == [task]
        (labelled,), (text,) = (opened.steps(stage).features.values() for stage in (arm, control))
        assert len(text) == len(labelled) and text.fingerprint != labelled.fingerprint
        rows = range(10)
        for with_label, without in zip(labelled.load(rows), text.load(rows), strict=True):
            assert (without.tokens, without.lengths) == (with_label.tokens, with_label.lengths)
            assert with_label.targets and not without.targets and not without.positions
        ids.add(control.id)
    assert len(ids) == len(TASKS)


def test_pieces_of_every_segment_are_hidden_and_predicted(recipe: MakeRecipe, tmp_path: Path) -> None:
    opened = open_study(controlled(recipe, "cosmos_qa"), tmp_path / "run", device="cpu")
    loader = StepLoader.of(opened.steps(stages_of(opened)["control"]))
    (micro, *_) = next(loader.iterate(0, 1, 0, 1))
    head = micro.batch.heads["mlm_text"]
    item = loader.features["mlm_text"].load([0])[0]
    assert len(item.lengths) == 4, "an option each"
    assert len(head.targets) == len(head.positions_T) > 0 and (head.targets >= 0).all()
