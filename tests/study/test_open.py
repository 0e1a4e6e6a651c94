"""Mistakes that are told when a study is opened, before any training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.distributed import heartbeat
from xstilts.study.open import open_study

MakeRecipe = Callable[..., Recipe]


@pytest.fixture
def fails(recipe: MakeRecipe, tmp_path: Path) -> Callable[..., str]:
    """The one line that opening a recipe ends with."""

    def told(device: str | None = "cpu", **sections: Any) -> str:
        with pytest.raises(UserError) as caught:
            open_study(recipe(**sections), tmp_path / "run", device=device)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return told


def test_segments_longer_than_the_model_reaches(recipe: MakeRecipe, fails: Callable[..., str]) -> None:
    # Positions count from the padding index plus one: of 40 position embeddings 38 are for tokens.
    model = {"config": {**recipe().model.config, "max_position_embeddings": 40}}
    assert fails(model=model) == "data.max_length is 64, but the model reaches 38 tokens; lower it"
    data = {**recipe().data.model_dump(exclude_unset=True), "max_length": None}
    message = fails(model=model, data=data, pretraining=[], targets={"xquad": {"languages": ["qaa_Latn"]}})
    assert "tokens, but the model reaches 38; set data.max_length to 38" in message


def test_a_micro_batch_that_an_example_does_not_fit(fails: Callable[..., str]) -> None:
    runtime = {"deepspeed": "zero1_fp32_cpu", "tokens_per_micro_batch": 8}
    assert fails(runtime=runtime).startswith("runtime.tokens_per_micro_batch is 8, but task 'mlm_text' has an example")


def test_a_precision_that_the_device_does_not_have(
    recipe: MakeRecipe, fails: Callable[..., str], tmp_path: Path
) -> None:
    runtime = {"deepspeed": "zero1_fp16", "tokens_per_micro_batch": 1024}
    assert "no fp16 on the CPU" in fails(runtime=runtime)
    open_study(recipe(runtime=runtime), tmp_path / "planned", device=None)


def test_an_unknown_deepspeed_file(fails: Callable[..., str]) -> None:
    assert "did you mean 'zero1_fp32_cpu'?" in fails(runtime={"deepspeed": "zero1_fp32_cpuu"})


def test_an_unknown_field_of_the_model(fails: Callable[..., str]) -> None:
    assert fails(model={"config": {"hiden_size": 4}}).endswith("did you mean 'hidden_size'?")


def test_a_checkpoint_without_weights_or_config(world: Path, fails: Callable[..., str], tmp_path: Path) -> None:
    model = {"pretrained": str(tmp_path), "tokenizer": str(world / "tokenizer")}
    assert str(tmp_path) in fails(model=model)
    (tmp_path / "config.json").write_text('{"model_type": "xlm-roberta"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    assert f"no *.safetensors in {tmp_path}; convert the checkpoint" in fails(model=model)


def test_a_run_directory_that_cannot_be_made(recipe: MakeRecipe, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot make the run directory .*; give another --run-dir"):
        open_study(recipe(), tmp_path / "file" / "run", device=None)


def test_a_target_without_files_and_mining_without_dev_files(
    recipe: MakeRecipe, world: Path, fails: Callable[..., str], tmp_path: Path
) -> None:
    assert "task 'udpos', test, deu_Latn: no file" in fails(targets={"udpos": {"languages": ["deu_Latn"]}})
    root = tmp_path / "root"
    for path in (world / "bucc2018").rglob("*.training.*"):
        copy = root / path.relative_to(world)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    model = {**recipe().model.model_dump(exclude_unset=True), "tokenizer": str(world / "tokenizer")}
    data = {"root": root, "max_length": 64}
    targets = {"bucc2018": {"languages": ["qaa_Latn"]}}
    message = fails(model=model, data=data, pretraining=[], arms={"none": []}, targets=targets)
    assert "task 'bucc2018', dev, qaa_Latn: no file" in message


def test_every_example_that_is_tokenised_counts_as_progress(
    recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = []
    monkeypatch.setattr(heartbeat, "progress", lambda: moves.append(1))
    data = {**recipe().data.model_dump(exclude_unset=True), "cache": tmp_path / "cache"}
    study = open_study(recipe(data=data), tmp_path / "run", device=None)
    num_tokenised = sum(len(features) for features in study.catalogue._opened.values())
    assert num_tokenised > 100
    assert len(moves) > num_tokenised
