"""Checkpoints of `transformers` made elsewhere: classes in another order, other names, other classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoTokenizer,
    XLMRobertaConfig,
    XLMRobertaForMultipleChoice,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

from xstilts.core.errors import UserError
from xstilts.core.sealed import read_sealed
from xstilts.data.batch import collate
from xstilts.exchange.from_transformers import import_checkpoint
from xstilts.kinds import ChoiceExample, PairExample
from xstilts.kinds.feature import Encoding
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.study.models import load_trained
from xstilts.study.record import WEIGHTS, read_record
from xstilts.synthetic.tokenizer import train_tokenizer
from xstilts.tasks import find_task
from xstilts.text.tokenizer import Tokenizer

MNLI = find_task("mnli")
TEXTS = ["the old dog sees a young cat", "a cat hears the dog", "dogs and cats sleep"] * 5


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A sequence classifier whose classes have the names of other people."""
    folder = tmp_path / "checkpoint"
    train_tokenizer(TEXTS, 60, folder)
    tokenizer = Tokenizer(str(folder))
    torch.manual_seed(2)
    config = XLMRobertaConfig(
        vocab_size=tokenizer.vocab_size,
        pad_token_id=tokenizer.pad,
        type_vocab_size=1,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=130,
        initializer_range=0.2,
        id2label=dict(enumerate(["CONTRADICTION", "NEUTRAL", "ENTAILMENT"])),
        label2id={"CONTRADICTION": 0, "NEUTRAL": 1, "ENTAILMENT": 2},
    )
    XLMRobertaForSequenceClassification(config).save_pretrained(folder)
    return folder


def take_in(checkpoint: Path, to: Path, labels: tuple[str, ...] = (), task: str = "mnli") -> Path:
    return import_checkpoint(str(checkpoint), find_task(task), to, labels=labels, precision="fp32")


@torch.no_grad()
def test_the_same_scores_and_labels_in_the_order_of_the_head(checkpoint: Path, tmp_path: Path) -> None:
    folder = take_in(checkpoint, tmp_path / "in")
    record, tokenizer = read_record(folder), Tokenizer(str(checkpoint))
    assert record.labels == {"mnli": ["contradiction", "neutral", "entailment"]}
    assert record.tokenizer == tokenizer.fingerprint and record.origin.model["pretrained"] == "checkpoint"
    model = load_trained(folder, record, tokenizer).eval()
    pair = (" ".join(TEXTS[:6]), " ".join(TEXTS[3:8]))
    feature = MNLI.kind.encode(PairExample("1", *pair, None), Encoding(tokenizer, 128, 16, {}))
    batch = collate([TaskItems.of("mnli", [feature], 1.0)], {"mnli": MNLI.kind}, Collation(tokenizer))
    ours = model(batch, "logits")["mnli"]
    given = AutoTokenizer.from_pretrained(checkpoint)(*pair, return_tensors="pt")
    theirs = XLMRobertaForSequenceClassification.from_pretrained(checkpoint).eval()(**given).logits
    assert ours.std() > 1e-3
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_multiple_choice_model_scores_options_as_it_did(checkpoint: Path, tmp_path: Path) -> None:
    config = XLMRobertaConfig.from_pretrained(checkpoint)
    given = XLMRobertaForMultipleChoice(config).eval()
    torch.nn.init.constant_(given.classifier.bias, 3.0)  # shifts all options of a question alike
    given.save_pretrained(checkpoint)
    folder, tokenizer = take_in(checkpoint, tmp_path / "in", task="cosmos_qa"), Tokenizer(str(checkpoint))
    record, kind = read_record(folder), find_task("cosmos_qa").kind
    assert record.labels == {"cosmos_qa": None}
    model = load_trained(folder, record, tokenizer).eval()
    options = ("a cat", "the old dog", "dogs and cats", "sleep")
    example = ChoiceExample("1", TEXTS[0], "the dog sees", options, 2)
    feature = kind.encode(example, Encoding(tokenizer, 128, 16, {}))
    batch = collate([TaskItems.of("cosmos_qa", [feature], 1.0)], {"cosmos_qa": kind}, Collation(tokenizer))
    ours = model(batch, "logits")["cosmos_qa"]
    texts = [TEXTS[0]] * 4, [f"the dog sees {option}" for option in options]
    encoded = AutoTokenizer.from_pretrained(checkpoint)(*texts, padding=True, return_tensors="pt")
    theirs = given(**{name: tensor[None] for name, tensor in encoded.items()}).logits
    assert ours.std() > 1e-3
    torch.testing.assert_close(ours + 3.0, theirs, rtol=0, atol=1e-5)


def test_labels_without_names_must_be_told(checkpoint: Path, tmp_path: Path) -> None:
    config = XLMRobertaConfig.from_pretrained(checkpoint)
    config.id2label = {i: f"LABEL_{i}" for i in range(3)}
    config.save_pretrained(checkpoint)
    told = r"its 3 classes are LABEL_0, LABEL_1, LABEL_2, not entailment, neutral, contradiction; .* --labels A,B"
    with pytest.raises(UserError, match=told):
        take_in(checkpoint, tmp_path / "in")
    with pytest.raises(UserError, match="its 3 classes are neutral, entailment, not"):
        take_in(checkpoint, tmp_path / "in", ("neutral", "entailment"))
    assert not (tmp_path / "in").exists()
    folder = take_in(checkpoint, tmp_path / "in", ("neutral", "entailment", "contradiction"))
    assert read_record(folder).labels == {"mnli": ["neutral", "entailment", "contradiction"]}
    with pytest.raises(UserError, match="in: is there already"):
        take_in(checkpoint, tmp_path / "in")


def test_another_class_is_an_error(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"XLMRobertaForTokenClassification lacks classifier\.bias; give an XLM-R checkpoint of"
    ):
        take_in(checkpoint, tmp_path / "in", task="panx")
    with pytest.raises(UserError, match="no checkpoint of transformers has a head that predicts 'tatoeba'"):
        take_in(checkpoint, tmp_path / "in", task="tatoeba")
    bare = XLMRobertaModel(XLMRobertaConfig.from_pretrained(checkpoint))
    bare.save_pretrained(checkpoint)
    with pytest.raises(UserError, match=r"XLMRobertaForSequenceClassification lacks classifier\."):
        take_in(checkpoint, tmp_path / "in")


def test_the_pooler_of_a_checkpoint_is_left_out(checkpoint: Path, tmp_path: Path) -> None:
    names = read_sealed(take_in(checkpoint, tmp_path / "in") / WEIGHTS, "").keys()
    assert {name for name in names if not name.startswith("encoder.")} == {
        f"heads.mnli.{name}" for name in ("dense.weight", "dense.bias", "out.weight", "out.bias")
    }
    assert not any("pooler" in name or "position_ids" in name for name in names)
