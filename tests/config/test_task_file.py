"""What a task file may say; each mistake is one line with its place and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from xstilts.config.task_file import load_task
from xstilts.core.errors import UserError
from xstilts.kinds import SPAN_OR_NONE

BASE = """\
name: own_nli
kind: pair
form: tsv
files: {train: "nli/{code}.tsv", test: "nli/{code}.tsv"}
fields: {text_a: premise, text_b: hypothesis, label: gold}
labels: [entailment, neutral]
languages: [English, sw]
metric: accuracy
"""


def write(folder: Path, *changes: tuple[str, str]) -> Path:
    text = BASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "task.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_DATA", "elsewhere")
    task = load_task(write(tmp_path, ("form: tsv", "form: tsv\nroot: $OWN_DATA\ntrained_by: mnli")))
    assert (task.name, task.title, task.kind.name, task.trained_by) == ("own_nli", "own_nli", "pair", "mnli")
    assert task.labels == ("entailment", "neutral") and task.metrics == ("accuracy",) and task.max_length == 256
    assert task.languages == {"eng_Latn": "English", "swh_Latn": "sw"}
    assert task.layouts[0].root == tmp_path / "elsewhere"


def test_questions_without_answer_are_a_kind_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "qa.yaml"
    path.write_text(
        "name: qa\nkind: span\nform: squad\nfiles: {train: a.json, test: b.json}\nlanguages: [en]\n"
        "unanswerable: true\nmetric: [squad2_f1, squad2_em]\n"
    )
    task = load_task(path)
    assert task.kind is SPAN_OR_NONE and task.max_length == 384


def test_what_changes_the_definition_and_what_does_not(tmp_path: Path) -> None:
    ours = load_task(write(tmp_path)).definition
    for same in (("form: tsv", "form: tsv\ntitle: NLI"), ("[English, sw]", "[English]"), ("nli/", "")):
        assert load_task(write(tmp_path, same)).definition == ours
    for other in (
        ("[entailment, neutral]", "[neutral, entailment]"),
        ("gold", "label"),
        ("metric: accuracy", "metric: accuracy\nmax_length: 64"),
        ("metric: accuracy", "metric: accuracy\ntrained_by: mnli"),
    ):
        assert load_task(write(tmp_path, other)).definition != ours


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("kind: pair", "kind: par"), "2: kind: expected 'pair', .* found 'par'"),
        (("form: tsv", "form: conll"), "3: form: pair tasks have no form 'conll'; write one of: tsv, csv, jsonl"),
        (("train:", "trian:"), "4: files.trian: expected 'train', 'dev' or 'test'"),
        (('"nli/{code}.tsv", test', '"/nli/x.tsv", test'), "4: files: '/nli/x.tsv' is no path below the root"),
        (('test: "nli/{code}.tsv"', 'test: "nli/{lang}.tsv"'), "4: files: .* has braces that are not {code}; "),
        (("text_b", "text_c"), "5: fields: pair tasks have no 'text_c'; did you mean 'text_b'"),
        (("label: gold", "id: gold"), "5: fields: 'label' is missing; say which column holds it"),
        (("label: gold", "label: 3"), "5: fields: some columns are numbers and some are names; "),
        (("label: gold", "label: 0"), "5: fields: 0 is no column; write its name, or its number from 1"),
        (("text_a: premise", "text_a: [premise]"), "5: fields: 'text_a' is in one column; "),
        (("[entailment, neutral]", "[yes, no]"), "6: labels: True is no label; put it into quotes"),
        (("[entailment, neutral]", "[neutral, neutral]"), "6: labels: 'neutral' stands there twice; "),
        (("[entailment, neutral]", "[neutral]"), "6: labels: a pair task has two labels or more; "),
        (("[English, sw]", "[en, swx]"), "7: languages: unknown language 'swx'; did you mean 'swh'"),
        (("[English, sw]", "[en, no]"), "7: languages: False is no language; put it into quotes"),
        (("[English, sw]", "[en, swa, sw]"), "7: languages: a language stands there twice, under two names; "),
        (('test: "nli/{code}.tsv"', "test: nli.tsv"), "7: languages: all would read the same test file, nli.tsv; "),
        (("metric: accuracy", "metric: acuracy"), "8: metric: pair tasks are not scored by 'acuracy'; did you mean"),
        (("metric: accuracy", "metric: top1"), "8: metric: pair tasks are not scored by 'top1'; known: accuracy"),
        (("metric: accuracy", "metrics: accuracy"), "8: unknown key 'metrics'; did you mean 'metric'"),
        (("metric: accuracy", ""), " metric: it is missing; write one of: accuracy"),
        (("[English, sw]", "[sw, yo]"), " trained_by: its training data are English, .*; add eng_Latn"),
        (('train: "nli/{code}.tsv", ', ""), " trained_by: nothing trains it: it has no train file; "),
        (("metric: accuracy", "metric: accuracy\ntrained_by: panx"), "9: trained_by: 'panx' is of kind tagging; "),
        (("metric: accuracy", "metric: accuracy\ntrained_by: pawsx"), "9: trained_by: 'pawsx' knows no label 'ent"),
        (("metric: accuracy", "metric: accuracy\nunanswerable: true"), "9: unanswerable: only span tasks have "),
        (("form: tsv", "form: tsv\nroot: $NO_SUCH"), "4: root is .* the variable NO_SUCH is not set; export NO_SUCH="),
        (("name: own_nli", "name: values"), "1: name: 'values' is what torch calls .*; write my_values"),
        (("name: own_nli", "name: Own NLI"), "1: name: String should match"),
    ],
)
def test_mistakes(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    path = write(tmp_path, change)
    with pytest.raises(UserError, match=rf"^{path}:{told}"):
        load_task(path)
