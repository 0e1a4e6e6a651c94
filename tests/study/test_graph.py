"""What a stage's id depends on, what it does not, and which stages are shared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.study.graph import Graph, Leaf
from xstilts.study.open import open_study

MakeRecipe = Callable[..., Recipe]
MakeGraph = Callable[..., Graph]

HALF = {"part": "random", "fraction": 0.5}
ADAPTERS = {"encoder": "none", "bottleneck": 8}
MLM = {"tasks": ["mlm_text"], "languages": ["eng_Latn", "qaa_Latn"]}
TRAINING = {"steps": 2, "batch_size": 4, "lr": 1e-3}
TWO_STEPS = {"udpos": {"languages": ["qaa_Latn"], "training": {"steps": 2}}}


@pytest.fixture
def graph(recipe: MakeRecipe, tmp_path: Path) -> MakeGraph:
    def make(**sections: Any) -> Graph:
        return open_study(recipe(**sections), tmp_path / "run", device=None).graph

    return make


def leaf(graph: Graph, arm: str, target: str = "udpos", seed: int = 0) -> Leaf:
    (found,) = [one for one in graph.leaves if (one.arm, one.target, one.seed) == (arm, target, seed)]
    return found


def ids(graph: Graph) -> list[str]:
    return [stage.id for stage in graph.stages()]


def test_stages_stand_in_the_order_of_training(graph: MakeGraph) -> None:
    stages = list(graph().stages())
    assert [stage.label for stage in stages] == ["pretraining", "none.udpos", "pairs", "pairs.udpos"]
    mlm, none_udpos, pairs, pairs_udpos = stages
    assert (mlm.parent, none_udpos.parent, pairs.parent, pairs_udpos.parent) == (None, mlm, mlm, pairs)
    assert [stage.is_leaf for stage in stages] == [False, True, False, True]
    assert len({stage.id for stage in stages}) == 4
    assert mlm.sizes == {"mlm_text": 80}


def test_stages_of_one_chain_are_numbered(graph: MakeGraph) -> None:
    made = graph(
        arms={"none": [], "two": [{"tasks": ["mnli"]}, {"tasks": ["qqp"]}]},
        targets={"xcopa": {"languages": ["qaa_Latn"], "train_on": ["siqa", "copa"]}},
    )
    labels = [stage.label for stage in leaf(made, "two", "xcopa").lineage]
    assert labels == ["pretraining", "two-1", "two-2", "two.xcopa-1", "two.xcopa-2"]
    assert [stage.config.tasks for stage in leaf(made, "two", "xcopa").lineage[3:]] == [["siqa"], ["copa"]]


@pytest.mark.parametrize(
    ("target", "train_on", "continued"),
    [
        ("xcopa", ["siqa", "copa"], [None, "siqa"]),
        ("xquad", ["squad_v2", "squad_v1"], [None, "squad_v2"]),
        ("xcopa", ["squad_v1", "copa"], [None, None]),
        # heads that know labels start anew, even where the labels are the same
        ("xnli", ["anli_plus", "mnli"], [None, None]),
    ],
)
def test_a_targets_stages_go_on_with_a_head_of_their_kind(
    graph: MakeGraph, target: str, train_on: list[str], continued: list[str | None]
) -> None:
    made = graph(
        arms={"none": [], "choice": [{"tasks": ["siqa"]}]},
        targets={target: {"languages": ["qaa_Latn"], "train_on": train_on}},
    )
    assert [stage.continues for stage in leaf(made, "none", target).lineage[1:]] == continued
    # an arm's head is left behind, whatever its kind
    assert [stage.continues for stage in leaf(made, "choice", target).lineage[1:]] == [None, *continued]


def test_epochs_of_a_mixture_count_no_more_than_the_cap(graph: MakeGraph) -> None:
    training = {"epochs": 3, "batch_size": 4, "lr": 1e-3}
    pairs = {"tasks": ["mnli", "qqp"], "mixing": {"cap": 10}, "training": training}
    made = graph(arms={"none": [], "pairs": [pairs]})
    # 3 x (10 + 10) / 4 steps, not 3 x (40 + 40) / 4
    assert leaf(made, "pairs").lineage[1].num_steps == 15


def test_languages_are_those_of_the_text_and_no_other_tasks(graph: MakeGraph) -> None:
    mixed = {"tasks": ["mnli", "mlm_text"], "languages": ["eng_Latn", "qaa_Latn"]}
    made = graph(pretraining=[], arms={"none": [], "mixed": [mixed]})
    (stage,) = leaf(made, "mixed").lineage[:1]
    assert stage.sizes == {"mnli": 40, "mlm_text": 80}


@pytest.mark.parametrize(
    "sections",
    [
        {"runtime": {"deepspeed": "zero3_fp32_cpu"}},
        {"runtime": {"deepspeed": "zero1_fp32_cpu", "tokens_per_micro_batch": 300}},
        {"runtime": {"deepspeed": "zero1_fp32_cpu", "log_every": 7, "checkpoint_every": 1, "keep_checkpoints": 5}},
        {"runtime": {"deepspeed": "zero1_fp32_cpu", "activation_checkpointing": True, "keep_leaf_weights": True}},
        {"name": "other", "title": "Another title"},
        {"baseline": "pairs"},
        {"targets": {"udpos": {"languages": ["qaa_Latn"], "max_examples": 3}}},
    ],
)
def test_how_it_is_computed_and_scored_is_in_no_id(graph: MakeGraph, sections: dict[str, Any]) -> None:
    assert ids(graph(**sections)) == ids(graph())


@pytest.mark.parametrize(
    "sections",
    [
        {"model": {"config": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}}},
        {"seeds": [1]},
        {"runtime": {"deepspeed": "zero1_bf16_cpu"}},
        {"pretraining": [{**MLM, "training": {**TRAINING, "steps": 3}}]},
        {"pretraining": [{**MLM, "languages": ["eng_Latn"]}]},
        {"pretraining": []},
    ],
    ids=["model", "seed", "precision", "steps before", "languages before", "no stage before"],
)
def test_what_comes_first_is_in_every_id(graph: MakeGraph, sections: dict[str, Any]) -> None:
    assert not set(ids(graph(**sections))) & set(ids(graph()))


@pytest.mark.parametrize(
    "change",
    [
        *({"training": {**TRAINING, key: value}} for key, value in {"lr": 2e-3, "batch_size": 8, "steps": 3}.items()),
        *({"training": {**TRAINING, key: value}} for key, value in {"weight_decay": 0.0, "warmup": 0.5}.items()),
        {"training": {**TRAINING, "dev": {"every": 1}}},
        {"mixing": {"weighting": "uniform"}},
        {"mixing": {"by": "batch"}},
        {"mixing": {"loss_weights": {"mnli": 2.0}}},
        {"labels": "shuffled"},
        {"labels": "random"},
        {"tasks": ["mnli"], "subset": {"part": "random", "fraction": 0.5}},
        {"tasks": ["qqp", "mnli"]},
        {"tasks": ["mnli"]},
    ],
    ids=str,
)
def test_a_stage_and_what_follows_it_depend_on_its_own_configuration(graph: MakeGraph, change: dict[str, Any]) -> None:
    stage = {"tasks": ["mnli", "qqp"], "training": TRAINING, **change}
    before, after = graph(), graph(arms={"none": [], "pairs": [stage]})
    unchanged = {*(stage.id for stage in leaf(before, "none").lineage)}
    assert set(ids(before)) & set(ids(after)) == unchanged


@pytest.mark.parametrize(
    ("tasks", "one", "other"),
    [
        (["mnli"], {}, {"labels": "shuffled"}),
        (["mnli"], {"labels": "random"}, {"labels": "shuffled"}),
        (["mnli"], {}, {"subset": {"part": "random", "fraction": 1.0}}),
        (["mnli"], {"subset": HALF}, {"subset": {**HALF, "fraction": 0.4}}),
        (["mnli"], {"subset": HALF}, {"subset": {**HALF, "stratify": "label"}}),
        (["mnli"], {}, {"trainable": {"encoder": "none"}}),
        (["mnli"], {"trainable": {"encoder": "none"}}, {"trainable": ADAPTERS}),
        (["mnli"], {"trainable": ADAPTERS}, {"trainable": {**ADAPTERS, "bottleneck": 4}}),
        (["mnli"], {"trainable": ADAPTERS}, {"trainable": {**ADAPTERS, "orthogonal": 0.1}}),
        (["mlm_text"], {}, {"inputs_of": "mnli"}),
        (["mlm_text"], {"inputs_of": "mnli"}, {"inputs_of": "qqp"}),
    ],
    ids=str,
)
def test_every_key_is_in_the_id_of_its_stage(
    graph: MakeGraph, tasks: list[str], one: dict[str, Any], other: dict[str, Any]
) -> None:
    stages = [
        leaf(graph(arms={"none": [], "pairs": [{"tasks": tasks, **each}]}), "pairs").lineage[1] for each in (one, other)
    ]
    assert stages[0].id != stages[1].id and stages[0].randomness == stages[1].randomness


def test_weights_that_a_target_keeps_are_in_the_id_of_its_stage_alone(graph: MakeGraph) -> None:
    plain, keeping = (graph(**each) for each in ({}, {"selection": {"also": ["average"], "every": 1}}))
    changed = {stage.label for stage in keeping.stages()} - {
        stage.label for stage in keeping.stages() if stage.id in ids(plain)
    }
    assert changed == {"none.udpos", "pairs.udpos"}


def test_an_option_at_its_default_is_in_no_id(graph: MakeGraph) -> None:
    absent = dict.fromkeys(("subset", "match", "code_switch", "inputs_of", "sweep"))
    trainable = {"encoder": "all", "bottleneck": None, "orthogonal": 0.0}
    written = {"labels": "gold", "source_language": "eng_Latn", "trainable": trainable, **absent}
    stage = {"tasks": ["mnli", "qqp"], **written}
    assert ids(graph(arms={"none": [], "pairs": [stage]}, selection=None, pilot_seeds=None)) == ids(graph())


def test_a_control_takes_the_steps_of_the_arm_that_it_matches(graph: MakeGraph) -> None:
    training = {"batch_size": 4, "lr": 1e-3}
    two = [{"tasks": ["mnli"], "training": {"epochs": 2}}, {"tasks": ["qqp"], "training": {"steps": 7}}]
    control = {"tasks": ["mnli"], "labels": "shuffled"}
    arms = {"none": [], "control": [{**control, "match": {"steps": "two"}}], "two": two}
    # 2 x 40 / 4 steps and 7; pretraining's 3 are in both arms
    made = graph(training=training, pretraining=[{**MLM, "training": {"steps": 3}}], arms=arms, targets=TWO_STEPS)
    assert [stage.num_steps for stage in leaf(made, "control").lineage] == [3, 27, 2]
    assert [stage.num_steps for stage in leaf(made, "two").lineage] == [3, 20, 7, 2]
    written_out = {**arms, "control": [{**control, "training": {"steps": 27}}]}
    other = graph(
        training=training, pretraining=[{**MLM, "training": {"steps": 3}}], arms=written_out, targets=TWO_STEPS
    )
    assert ids(other) == ids(made)


def test_pretraining_has_seeds_of_its_own_where_they_are_named(graph: MakeGraph) -> None:
    every = graph(seeds=[0, 1])
    assert ids(graph(seeds=[0, 1], pretraining_seeds=[0, 1])) == ids(every)
    once = graph(seeds=[0, 1], pretraining_seeds=[0])
    assert [stage.id for stage in leaf(once, "pairs", seed=0).lineage] == [
        stage.id for stage in leaf(every, "pairs", seed=0).lineage
    ]
    mine, shared = leaf(every, "pairs", seed=1).lineage, leaf(once, "pairs", seed=1).lineage
    assert shared[0].id == leaf(every, "pairs", seed=0).lineage[0].id
    assert [stage.seed for stage in shared] == [0, 1, 1]
    assert not {stage.id for stage in mine} & {stage.id for stage in shared}
    assert [stage.randomness for stage in mine[1:]] == [stage.randomness for stage in shared[1:]]


def test_ids_follow_the_content_of_the_data(graph: MakeGraph, recipe: MakeRecipe, world: Path) -> None:
    data = {**recipe().data.model_dump(exclude_unset=True)}
    shorter = graph(data={**data, "sources": {"qqp": {"train": "qqp/train.tsv[:30]"}}})
    assert set(ids(shorter)) & set(ids(graph())) == {stage.id for stage in leaf(graph(), "none").lineage}
    assert leaf(shorter, "pairs").lineage[1].sizes == {"mnli": 40, "qqp": 30}
    cut = graph(data={**data, "max_length": 40})
    assert not set(ids(cut)) & set(ids(graph()))


def test_arms_with_a_common_beginning_share_it(graph: MakeGraph) -> None:
    made = graph(
        arms={"none": [], "one": [{"tasks": ["mnli"]}], "two": [{"tasks": ["mnli"]}, {"tasks": ["qqp"]}]},
        seeds=[0, 1],
    )
    assert leaf(made, "one").lineage[1].id == leaf(made, "two").lineage[1].id
    # Per seed: MLM, mnli, mnli-qqp, and UDPOS for each arm. Seeds share nothing.
    assert len(list(made.stages())) == 2 * 6


def test_targets_that_train_alike_share_the_stage(graph: MakeGraph) -> None:
    targets = {
        "xquad": {"languages": ["qaa_Latn"]},
        "mlqa": {"languages": ["qaa_Latn"]},
        "tatoeba": {"languages": ["qaa_Latn"], "train_on": ["squad_v1"]},
    }
    made = graph(arms={"none": []}, targets=targets)
    assert [stage.label for stage in made.stages()] == ["pretraining", "none.xquad"]
    targets["mlqa"]["training"] = {**TRAINING, "steps": 5}
    assert len(list(graph(arms={"none": []}, targets=targets).stages())) == 3


def test_randomness_of_a_target_is_that_of_its_seed_in_every_arm(graph: MakeGraph) -> None:
    made = graph(seeds=[0, 1])
    by_arm = {arm: leaf(made, arm).lineage[-1] for arm in ("none", "pairs")}
    assert by_arm["none"].id != by_arm["pairs"].id
    assert by_arm["none"].randomness == by_arm["pairs"].randomness
    assert by_arm["none"].randomness != leaf(made, "none", seed=1).lineage[-1].randomness
    # A task trained before the target does not meet its batches in the same order there.
    early = graph(arms={"none": [], "early": [{"tasks": ["udpos"]}]})
    assert leaf(early, "early").lineage[1].randomness != leaf(early, "early").lineage[2].randomness


def test_retrieval_is_scored_on_the_last_stage_of_the_arm(graph: MakeGraph) -> None:
    targets = {"tatoeba": {"languages": ["qaa_Latn"]}}
    made = graph(targets=targets)
    assert leaf(made, "pairs", "tatoeba").lineage[-1].label == "pairs"
    assert leaf(made, "none", "tatoeba").lineage[-1].label == "pretraining"
    bare = leaf(graph(targets=targets, pretraining=[]), "none", "tatoeba")
    assert (bare.stage, bare.lineage) == (None, [])


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"targets": {"mlm_text": {}}}, "targets: 'mlm_text' has no score; name a task with a metric"),
        ({"targets": {"xcopa": {"languages": ["qaa_Latn"], "train_on": ["siqa"]}}}, r"must end with 'copa'"),
        ({"targets": {"udpos": {"languages": ["xxx_Latn"]}}}, "task 'udpos' has no language 'xxx_Latn'"),
        ({"arms": {"none": [], "a": [{"tasks": ["tatoeba"]}]}}, "'tatoeba' is retrieval and cannot be trained on"),
        (
            {"pretraining": [{**MLM, "training": {**TRAINING, "dev": {}}}]},
            "stage 'pretraining': masked language modelling has no dev metric",
        ),
        ({"training": {"batch_size": 4}}, "training.steps and training.epochs are both unset; give one"),
    ],
)
def test_what_cannot_be_computed_is_told_before_anything_is(
    graph: MakeGraph, sections: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        graph(**sections)
