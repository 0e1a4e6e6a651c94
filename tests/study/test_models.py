"""Which weights a stage starts and ends with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.core.sealed import read_sealed, write_sealed
from xstilts.model.multitask import MultiTaskModel
from xstilts.study.graph import Stage
from xstilts.study.models import Models
from xstilts.study.open import open_study
from xstilts.study.record import WEIGHTS, Record, origin_of, write_record
from xstilts.study.study import Study

MakeRecipe = Callable[..., Recipe]

MLM = {"tasks": ["mlm_text"]}


def stages_of(study: Study) -> dict[str, Stage]:
    return {stage.label: stage for stage in study.graph.stages()}


def models_of(study: Study) -> Models:
    return Models(study.recipe.model, study.workspace, study.catalogue)


def finish(study: Study, stage: Stage, model: MultiTaskModel) -> Path:
    """Writes what training leaves behind."""
    folder = study.workspace.stage(stage.id)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: p.detach().clone() for name, p in model.named_parameters()}
    labels = {name: ["O"] * 17 if name == "udpos" else None for name in stage.config.tasks}
    record = Record(
        label=stage.label,
        tasks=list(stage.config.tasks),
        labels=labels,
        seed=0,
        seeds="0",
        encoder=model.encoder.config.to_dict(),
        tokenizer=study.catalogue.tokenizer.fingerprint,
        num_steps=1,
        selected_step=1,
        selection="last",
        dev_score=None,
        weights=write_sealed(folder / WEIGHTS, tensors),
        origin=origin_of(stage, study.recipe.model, study.graph.model_id, "fp32", {}, study.recipe.runtime),
    )
    write_record(folder, record)
    return folder


@pytest.fixture
def pretrained(recipe: MakeRecipe, world: Path, tmp_path: Path) -> Path:
    """A released XLM-R over the world's tokenizer."""
    study = open_study(recipe(pretraining=[]), tmp_path / "peek", device=None)
    tokenizer = study.catalogue.tokenizer
    torch.manual_seed(5)
    config = XLMRobertaConfig(
        vocab_size=tokenizer.vocab_size,
        pad_token_id=tokenizer.pad,
        type_vocab_size=1,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=66,
    )
    folder = tmp_path / "released"
    XLMRobertaForMaskedLM(config).save_pretrained(folder)
    return folder


def test_a_released_mlm_head_is_used_by_a_stage_of_mlm(
    recipe: MakeRecipe, world: Path, tmp_path: Path, pretrained: Path
) -> None:
    model = {"pretrained": str(pretrained), "tokenizer": str(world / "tokenizer")}
    study = open_study(recipe(model=model, pretraining=[MLM]), tmp_path / "run", device=None)
    started = models_of(study).start(stages_of(study)["pretraining"])
    whole = XLMRobertaForMaskedLM.from_pretrained(pretrained)
    head = started.heads["mlm_text"]
    assert torch.equal(head.dense.weight, whole.lm_head.dense.weight)
    assert torch.equal(head.norm.weight, whole.lm_head.layer_norm.weight)
    assert torch.equal(head.decoder.bias, whole.lm_head.bias)
    assert head.decoder.weight is started.encoder.get_input_embeddings().weight
    assert torch.equal(head.decoder.weight, whole.roberta.embeddings.word_embeddings.weight)


def test_ids_follow_the_content_of_the_checkpoint_and_not_its_place(
    recipe: MakeRecipe, world: Path, tmp_path: Path, pretrained: Path
) -> None:
    def model_id(folder: Path) -> str:
        model = {"pretrained": str(folder), "tokenizer": str(world / "tokenizer")}
        return open_study(recipe(model=model, pretraining=[]), tmp_path / "run", device=None).graph.model_id

    first = model_id(pretrained)
    moved = pretrained.rename(tmp_path / "moved")
    assert model_id(moved) == first
    config = moved / "config.json"
    config.write_text(config.read_text().replace('"initializer_range": 0.02', '"initializer_range": 0.03'))
    assert model_id(moved) != first


def test_a_stage_starts_from_its_parents_encoder_and_mlm_head(recipe: MakeRecipe, tmp_path: Path) -> None:
    study = open_study(
        recipe(pretraining=[MLM], arms={"none": [], "mix": [{"tasks": ["mnli", "mlm_text"]}]}), tmp_path, device=None
    )
    models, stages = models_of(study), stages_of(study)
    first = models.start(stages["pretraining"])
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(1.0)
    finish(study, stages["pretraining"], first)
    mix = models.start(stages["mix"])
    for name, parameter in mix.encoder.named_parameters():
        assert torch.equal(parameter, dict(first.encoder.named_parameters())[name]), name
    own, parents = mix.heads["mlm_text"].state_dict(), first.heads["mlm_text"].state_dict()
    assert all(torch.equal(own[name], parents[name]) for name in parents)
    assert mix.heads["mnli"].dense.bias.abs().max() == 0


def test_adapters_are_inherited_frozen_and_built_upon(recipe: MakeRecipe, tmp_path: Path) -> None:
    language, task = ({"encoder": "none", "bottleneck": width} for width in (3, 5))
    arms = {"none": [], "two": [{**MLM, "trainable": language}, {"tasks": ["squad_v2"], "trainable": task}]}
    made = recipe(pretraining=[], arms={**arms, "heads": [{"tasks": ["squad_v2"], "trainable": {"encoder": "none"}}]})
    study = open_study(made, tmp_path, device=None)
    models, stages = models_of(study), stages_of(study)
    assert len({stages["two-2"].id, stages["heads"].id}) == 2
    with_language = models.start(stages["two-1"])
    finish(study, stages["two-1"], with_language)
    with_both = models.start(stages["two-2"])
    before, after = (dict(model.encoder.named_parameters()) for model in (with_language, with_both))
    assert {name for name, p in before.items() if p.requires_grad} == {n for n in before if ".adapters.0." in n}
    assert {name for name, p in after.items() if p.requires_grad} == after.keys() - before.keys()
    assert {name.split(".")[5] for name in after.keys() - before.keys()} == {"1"}
    assert all(torch.equal(after[name], parameter) for name, parameter in before.items())
    assert all(p.requires_grad for name, p in with_both.named_parameters() if name.startswith("heads."))
    finish(study, stages["two-2"], with_both)
    everything = models.start(stages["two.udpos"])
    assert all(p.requires_grad for p in everything.parameters()), "the target trains all, adapters too"
    loaded = models.end(stages["two-2"])
    assert all(torch.equal(dict(loaded.named_parameters())[name], p) for name, p in with_both.named_parameters())
    heads = models.start(stages["heads"])
    assert not any(p.requires_grad for p in heads.encoder.parameters())


def test_a_bottleneck_is_narrower_than_the_model(recipe: MakeRecipe, tmp_path: Path) -> None:
    arms = {"none": [], "wide": [{"tasks": ["mnli"], "trainable": {"encoder": "none", "bottleneck": 16}}]}
    message = r"stage 'wide': trainable.bottleneck is 16, and the model is 16 wide; give less"
    with pytest.raises(UserError, match=message):
        open_study(recipe(arms=arms), tmp_path, device=None)


def test_a_targets_second_stage_goes_on_with_the_head_of_the_first(recipe: MakeRecipe, tmp_path: Path) -> None:
    targets = {"xcopa": {"languages": ["qaa_Latn"], "train_on": ["siqa", "copa"]}}
    study = open_study(recipe(pretraining=[], arms={"none": []}, targets=targets), tmp_path, device=None)
    models, stages = models_of(study), stages_of(study)
    first = models.start(stages["none.xcopa-1"])
    finish(study, stages["none.xcopa-1"], first)
    second = models.start(stages["none.xcopa-2"])
    before, after = first.heads["siqa"].state_dict(), second.heads["copa"].state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_stage_ends_with_its_own_heads_and_every_tensor_in_its_place(recipe: MakeRecipe, tmp_path: Path) -> None:
    study = open_study(recipe(pretraining=[], arms={"none": []}), tmp_path, device=None)
    models, stage = models_of(study), stages_of(study)["none.udpos"]
    trained = models.start(stage)
    folder = finish(study, stage, trained)
    ended = models.end(stage)
    assert all(torch.equal(tensor, ended.state_dict()[name]) for name, tensor in trained.state_dict().items())

    tensors = read_sealed(folder / WEIGHTS, "")

    def broken(**changes: Any) -> None:
        kept = {**tensors, **{name.replace("__", "."): tensor for name, tensor in changes.items()}}
        write_sealed(folder / WEIGHTS, {name: tensor for name, tensor in kept.items() if tensor is not None})
        with pytest.raises(UserError, match=r"weights\.safetensors: .*; .*stage"):
            models.end(stage)

    broken(heads__udpos__out__bias=None)
    broken(heads__udpos__out__bias=torch.zeros(3))
    broken(heads__extra__out__bias=torch.zeros(3))
    broken(encoder__embeddings__LayerNorm__bias=None)
