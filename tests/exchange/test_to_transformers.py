"""A stage with every kind of head, exported and loaded by `transformers` alone: the same scores from the same texts."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from huggingface_hub import ModelCard
from transformers import AutoTokenizer, XLMRobertaConfig, XLMRobertaModel

from xstilts import cli
from xstilts.core.errors import UserError
from xstilts.core.sealed import write_sealed
from xstilts.data.batch import collate
from xstilts.exchange.to_transformers import export_stage
from xstilts.kinds import ChoiceExample, Example, PairExample, SpanExample, TaggingExample, TextExample
from xstilts.kinds.feature import Encoding, Feature
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.model.attention import NAME
from xstilts.model.multitask import HeadSpec, MultiTaskModel
from xstilts.study.graph import DataPart
from xstilts.study.record import WEIGHTS, Origin, Parent, Record, write_record
from xstilts.synthetic.tokenizer import train_tokenizer
from xstilts.tasks import find_task
from xstilts.text.tokenizer import Tokenizer

WORDS = "the old dog sees a young cat and hears another one that sleeps near its house all day".split()
LABELS: dict[str, list[str] | None] = {
    "mnli": ["entailment", "neutral", "contradiction"],
    "udpos": ["ADJ", "DET", "NOUN", "VERB"],
    "squad_v2": None,
    "cosmos_qa": None,
    "mlm_text": None,
}
MAX_LENGTH = 384


class Stage:
    """A finished stage of random weights, and the model that it is of."""

    def __init__(self, run_dir: Path, tasks: Sequence[str]) -> None:
        sentences = [" ".join(random.Random(i).choices(WORDS, k=9)) for i in range(50)]
        (run_dir / "world").mkdir(parents=True)
        train_tokenizer(sentences, 60, run_dir / "world" / "tokenizer")
        self.tokenizer = Tokenizer(str(run_dir / "world" / "tokenizer"))
        config = XLMRobertaConfig(
            vocab_size=self.tokenizer.vocab_size,
            pad_token_id=self.tokenizer.pad,
            type_vocab_size=1,
            hidden_size=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=96,
            max_position_embeddings=514,
            layer_norm_eps=1e-5,
            initializer_range=0.15,
        )
        config._attn_implementation = NAME
        torch.manual_seed(1)
        encoder = XLMRobertaModel(config, add_pooling_layer=False)
        specs = {name: HeadSpec(find_task(name).kind, len(LABELS[name] or ())) for name in tasks}
        self.model = MultiTaskModel(encoder, specs, seed=3).eval()
        for name, parameter in self.model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.2)  # zeros would hide one that is lost
        self.folder = run_dir / "stages" / "0123456789ab"
        self.folder.mkdir(parents=True)
        tensors = {name: parameter.detach().clone() for name, parameter in self.model.named_parameters()}
        self.record = Record(
            label="nine.squad",
            tasks=list(tasks),
            labels={name: LABELS[name] for name in tasks},
            seed=3,
            seeds="3-3",
            encoder=config.to_dict(),
            tokenizer=self.tokenizer.fingerprint,
            num_steps=20,
            selected_step=10,
            selection="best_dev",
            dev_score=61.5,
            weights=write_sealed(self.folder / WEIGHTS, tensors),
            origin=Origin(
                id="0123456789ab",
                model={"pretrained": None, "tokenizer": None, "config": {}, "id": "ab"},
                parents=[Parent("ba9876543210", "nine")],
                hyperparameters={},
                deepspeed={},
                randomness=1,
                continues=None,
                precision="fp32",
                data=[DataPart("mnli", "train", "eng_Latn", 40, "f00d")],
            ),
        )
        write_record(self.folder, self.record)

    def feature(self, task: str, example: Example) -> Feature:
        labels = LABELS[task] or []
        encoding = Encoding(self.tokenizer, MAX_LENGTH, 128, {label: i for i, label in enumerate(labels)})
        return find_task(task).kind.encode(example, encoding)

    @torch.no_grad()
    def scores(self, task: str, features: Sequence[Feature]) -> torch.Tensor:
        kinds = {name: find_task(name).kind for name in self.record.tasks}
        batch = collate([TaskItems.of(task, features, 1.0)], kinds, Collation(self.tokenizer))
        return self.model(batch, "logits")[task]


def text(length: int, seed: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=length))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("run"), list(LABELS))


def loaded(stage: Stage, task: str, auto: Any, folder: Path) -> tuple[Any, Any]:
    """Model and tokenizer of the exported folder, which is all that is left of the run."""
    to = folder / "exported"
    assert export_stage(stage.folder, to, head=task, tokenizer=None).name == task
    model, told = auto.from_pretrained(to, output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"] and not told["mismatched_keys"]
    return model.eval(), AutoTokenizer.from_pretrained(to)


def same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert ours.shape == theirs.shape and ours.std() > 1e-3  # a hundred times what is allowed
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-5)


@torch.no_grad()
def test_pairs(stage: Stage, tmp_path: Path) -> None:
    model, tokenizer = loaded(stage, "mnli", transformers.AutoModelForSequenceClassification, tmp_path)
    pairs = [(text(2, 1), text(3, 2)), (text(90, 3), text(60, 4)), (text(20, 5), text(7, 6))]
    features = [stage.feature("mnli", PairExample(str(i), a, b, "neutral")) for i, (a, b) in enumerate(pairs)]
    given = tokenizer(*map(list, zip(*pairs, strict=True)), padding=True, return_tensors="pt")
    rows = [ids[mask.bool()].tolist() for ids, mask in zip(given["input_ids"], given["attention_mask"], strict=True)]
    assert rows == [feature.tokens for feature in features] and max(map(len, rows)) > 150
    same(stage.scores("mnli", features), model(**given).logits)
    assert model.config.id2label == dict(enumerate(LABELS["mnli"] or ()))


@torch.no_grad()
def test_tags(stage: Stage, tmp_path: Path) -> None:
    model, tokenizer = loaded(stage, "udpos", transformers.AutoModelForTokenClassification, tmp_path)
    words = text(120, 7).split()
    feature = stage.feature("udpos", TaggingExample("1", tuple(words), None))
    given = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    assert given["input_ids"][0].tolist() == feature.tokens and len(feature.tokens) > 120
    firsts = [given.word_ids().index(i) for i in range(len(words))]
    assert firsts == feature.positions
    same(stage.scores("udpos", [feature]), model(**given).logits[0, firsts])
    assert model.config.label2id["NOUN"] == 2


@torch.no_grad()
def test_spans(stage: Stage, tmp_path: Path) -> None:
    model, tokenizer = loaded(stage, "squad_v2", transformers.AutoModelForQuestionAnswering, tmp_path)
    question, context = text(8, 8), text(230, 9)
    feature = stage.feature("squad_v2", SpanExample("1", question, context, ()))
    given = tokenizer(question, context, return_tensors="pt")
    assert given["input_ids"][0].tolist() == feature.tokens and len(feature.tokens) > 200
    found = model(**given)
    same(stage.scores("squad_v2", [feature])[:, 0], torch.stack((found.start_logits[0], found.end_logits[0])))


@torch.no_grad()
def test_choices(stage: Stage, tmp_path: Path) -> None:
    model, tokenizer = loaded(stage, "cosmos_qa", transformers.AutoModelForMultipleChoice, tmp_path)
    context, question, options = text(90, 10), text(6, 11), [text(n, n) for n in (1, 5, 9, 30)]
    feature = stage.feature("cosmos_qa", ChoiceExample("1", context, question, tuple(options), 0))
    seconds = [f"{question} {option}" for option in options]
    given = tokenizer([context] * 4, seconds, padding=True, return_tensors="pt")
    rows = [row[mask.bool()] for row, mask in zip(given["input_ids"], given["attention_mask"], strict=True)]
    assert torch.cat(rows).tolist() == feature.tokens
    theirs = model(**{name: tensor.unsqueeze(0) for name, tensor in given.items()}).logits
    same(stage.scores("cosmos_qa", [feature]), theirs)


@torch.no_grad()
def test_masked_text(stage: Stage, tmp_path: Path) -> None:
    model, _ = loaded(stage, "mlm_text", transformers.AutoModelForMaskedLM, tmp_path)
    feature = stage.feature("mlm_text", TextExample("1", text(150, 12)))
    kinds = {name: find_task(name).kind for name in stage.record.tasks}
    batch = collate([TaskItems.of("mlm_text", [feature], 1.0, turn=4)], kinds, Collation(stage.tokenizer))
    ours = stage.model(batch, "logits")["mlm_text"]
    theirs = model(input_ids=batch.tokens_L.unsqueeze(0)).logits[0, batch.heads["mlm_text"].positions_T]
    assert (batch.tokens_L == stage.tokenizer.mask).any()
    same(ours, theirs)


def test_what_the_folder_says_of_itself(stage: Stage, tmp_path: Path) -> None:
    to = tmp_path / "exported"
    export_stage(stage.folder, to, head="mnli", tokenizer=None)
    assert not list(tmp_path.glob(".*"))
    config = json.loads((to / "config.json").read_text())
    assert config["architectures"] == ["XLMRobertaForSequenceClassification"]
    assert NAME not in (to / "config.json").read_text()
    card = ModelCard.load(to / "README.md")
    assert card.data.pipeline_tag == "text-classification" and card.data.library_name == "transformers"
    for said in (
        "entailment, neutral, contradiction",
        "nine, nine.squad",
        "step 10 (best_dev, dev score 61.50)",
        "MNLI",
    ):
        assert said in card.text
    assert str(tmp_path.parent) not in card.content


def test_which_head(stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    several = "has several heads: mnli, udpos, squad_v2, cosmos_qa, mlm_text; choose one with --head TASK"
    assert cli.main(["export", str(stage.folder), "--to", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err == f"error: {stage.folder}: {several}\n"
    with pytest.raises(UserError, match="no head of that task to export; did you mean 'udpos'"):
        export_stage(stage.folder, tmp_path / "x", head="udpoz", tokenizer=None)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UserError, match="full: is there already; give another --to"):
        export_stage(stage.folder, tmp_path / "full", head="mnli", tokenizer=None)


def test_adapters_are_refused(tmp_path: Path) -> None:
    own = Stage(tmp_path / "run", ["mnli"])
    write_record(own.folder, dataclasses.replace(own.record, encoder={**own.record.encoder, "adapter_widths": [8]}))
    with pytest.raises(UserError, match="its encoder has adapters, and transformers has no class for them"):
        export_stage(own.folder, tmp_path / "exported", head=None, tokenizer=None)
    assert not (tmp_path / "exported").exists()


def test_one_head_needs_no_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = Stage(tmp_path / "run", ["udpos"])
    to = tmp_path / "exported"
    assert cli.main(["export", str(stage.folder), "--to", str(to)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{to}: AutoModelForTokenClassification with the head of udpos"
    train_tokenizer([text(9, i)[::-1] for i in range(9)], 40, tmp_path / "other")
    with pytest.raises(UserError, match="other is not the tokenizer that the stage was trained with"):
        export_stage(stage.folder, tmp_path / "again", head=None, tokenizer=str(tmp_path / "other"))
    (stage.folder / WEIGHTS).unlink()
    with pytest.raises(UserError, match=r"weights are not there; train it with runtime\.keep_leaf_weights=true"):
        export_stage(stage.folder, tmp_path / "again", head=None, tokenizer=None)
    assert not (tmp_path / "again").exists()
