"""What a study costs, worked out by hand from a small recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from xstilts.config.deepspeed import load_deepspeed_config
from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.model.encoder import new_encoder
from xstilts.model.fields import shape_of
from xstilts.model.flops import training_flops
from xstilts.model.multitask import HeadSpec, MultiTaskModel
from xstilts.model.shape import Shape
from xstilts.study.cost import cost_of, longest_chain, sent_bytes, zero_bytes
from xstilts.study.describe_cost import cost_as_json, describe_cost
from xstilts.study.graph import Stage
from xstilts.study.models import count_parameters
from xstilts.study.open import open_study, planned_study
from xstilts.study.size import planned_size
from xstilts.study.study import Study
from xstilts.tasks import find_task

MakeRecipe = Callable[..., Recipe]
PARAMETERS = 1_000_000


@pytest.mark.parametrize(
    ("file", "ranks", "expected"),
    [
        # Bytes per parameter: weight, gradient in fp32, master and two moments.
        ("zero0_fp32_cpu", 4, 4 + 4 + 8),
        ("zero1_fp32_cpu", 4, 4 + 4 + 12 / 4),
        ("zero1_bf16_cpu", 4, 2 + 4 + 12 / 4),
        ("zero2_bf16_cpu", 4, 2 + (4 + 12) / 4),
        ("zero3_bf16_cpu", 4, (2 + 4 + 12) / 4),
        ("zero2_bf16_offload", 4, 2 + 4 / 4),
    ],
)
def test_zero_shares_states_over_ranks(file: str, ranks: int, expected: float) -> None:
    given = load_deepspeed_config(file)
    found = zero_bytes(PARAMETERS, given.precision, given.zero_stage, given.offload, world_size=ranks)
    assert found == pytest.approx(expected * PARAMETERS)


def test_of_offloaded_parameters_only_those_at_work_are_on_the_device() -> None:
    found = zero_bytes(PARAMETERS, "bf16", 3, "optimizer+param", world_size=4, gathered=1000)
    assert found == 2 * 1000 + 4 * PARAMETERS / 4


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("zero0_fp32_cpu", 4),  # gradients
        ("zero1_bf16_cpu", 4 + 2),  # gradients in fp32 once, weights in bf16 once
        ("zero2_fp32_cpu", 3 * 4 + 4),  # gradients after each of three backwards
        ("zero3_fp32_cpu", 3 * 4 + 2 * 3 * 4),  # weights before each forward and backward
    ],
)
def test_what_is_exchanged_in_a_step_of_three_forwards(file: str, expected: int) -> None:
    assert sent_bytes(PARAMETERS, load_deepspeed_config(file), 3) == expected * PARAMETERS


def test_tokens_and_flops_are_those_of_the_plans_own_steps(recipe: MakeRecipe, tmp_path: Path) -> None:
    study = open_study(recipe(), tmp_path, device=None)
    stage = study.missing()[0]
    cost = cost_of(study, stage, world_size=1)
    loader = study.steps(stage)
    drawn = [units for step in range(stage.num_steps) for micro in loader.cut(step) for units in micro]
    assert cost.num_tokens == pytest.approx(sum(units.num_tokens.sum() for units in drawn), rel=0.15)
    assert cost.weights == 4 * sum(p.numel() for p in _outline(study, stage).parameters())
    shape = shape_of(study.recipe.model, study.catalogue.tokenizer)
    shortest, longest = training_flops(shape, [1]), training_flops(shape, [shape.max_position_embeddings])
    per_token = cost.flops / cost.num_tokens
    assert shortest < per_token < longest / shape.max_position_embeddings


def test_a_chain_of_stages_takes_its_time_on_any_number_of_lanes(recipe: MakeRecipe, tmp_path: Path) -> None:
    study = open_study(recipe(), tmp_path, device=None)
    stages = study.missing()
    assert [stage.label for stage in stages][:2] == ["pretraining", "none.udpos"]
    assert longest_chain(stages[:2], [2.0, 3.0]) == 5.0
    alone, shared = (cost_as_json(study, "core", 1, lanes) for lanes in (1, 100))
    assert alone["hours"] == pytest.approx(alone["device_hours"])
    assert 0 < shared["hours"] < alone["hours"]
    assert json.dumps(alone)


def test_the_cost_is_said_at_80_columns_for_known_devices(recipe: MakeRecipe, tmp_path: Path) -> None:
    study = open_study(recipe(), tmp_path, device=None)
    lines = describe_cost(study, "A100", world_size=2)
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("Estimated for 2 x A100 a stage") and "supposed" in lines[0]
    with pytest.raises(UserError, match=r"no device 'H10' is known.*H100"):
        describe_cost(study, "H10")


def test_a_model_that_is_not_here_is_planned_by_its_published_sizes(
    recipe: MakeRecipe, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    model = {"pretrained": "facebook/xlm-roberta-xl", "tokenizer": str(world / "tokenizer")}
    made = recipe(model=model, pretraining=[], runtime={"deepspeed": "zero3_bf16_offload"})
    study = planned_study(made, tmp_path / "run")
    assert study.caveats()[0].startswith("facebook/xlm-roberta-xl is not here: planned by its published sizes")
    stage = study.missing()[0]
    cost = cost_of(study, stage, world_size=8)
    assert cost.weights == pytest.approx(4 * 3.476e9, rel=1e-3)
    # 16 bytes a parameter on each rank at stage 0 but for the rows left out; weights and optimizer shared out at 3.
    layers = 36 * (12 * 2560**2 + 4 * 2560 + 10240 + 5 * 2560)
    assert cost.by_zero[0] > cost.by_zero[1] > cost.by_zero[2] > cost.by_zero[3] > cost.offloaded[0]
    assert cost.by_zero[0] - cost.by_zero[3] == pytest.approx(18 * layers * 7 / 8, rel=0.02)
    assert cost.offloaded[1] == pytest.approx(14 * layers / 8, rel=0.02)
    with pytest.raises(UserError, match="it can be planned, not trained"):
        open_study(made, tmp_path / "run", device=None)


@pytest.mark.parametrize("arm", [[{"tasks": ["mnli", "ccg"]}], [{"tasks": ["cosmos_qa", "squad_v2", "mlm_text"]}]])
def test_a_models_size_is_that_of_the_model(recipe: MakeRecipe, tmp_path: Path, arm: list[dict[str, Any]]) -> None:
    study = open_study(recipe(arms={"none": [], "arm": arm}), tmp_path, device=None)
    stage = next(stage for stage in study.missing() if stage.label == "arm")
    shape = shape_of(study.recipe.model, study.catalogue.tokenizer)
    model = _outline(study, stage)
    assert planned_size(shape, study.catalogue, stage.config.tasks) == count_parameters(model)
    assert Shape.of(model.encoder.config) == shape


def _outline(study: Study, stage: Stage) -> MultiTaskModel:
    """The model that the stage would train, as shapes without values."""
    catalogue = study.catalogue
    tasks = map(find_task, stage.config.tasks)
    with torch.device("meta"):
        encoder = new_encoder(study.recipe.model, catalogue.tokenizer, seed=0)
        heads = {task.name: HeadSpec(task.kind, len(catalogue.labels(task) or ())) for task in tasks}
        return MultiTaskModel(encoder, heads, seed=0)
