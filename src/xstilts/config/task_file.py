"""A task of a user's own, as a YAML file describes it (docs/own-data.md)."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator

from xstilts.config.base import Section, TaskName, Tokens
from xstilts.config.explain import explain
from xstilts.config.own_kinds import KINDS, check_fields, check_trainer, kind_of
from xstilts.config.yaml_file import expand_path, read_yaml
from xstilts.core.errors import did_you_mean
from xstilts.kinds import CHOICE
from xstilts.tasks import Layout, Task, all_tasks
from xstilts.tasks.languages import find_language
from xstilts.tasks.own.reader import OwnReader

_ENGLISH = "eng_Latn"


def _label(written: object) -> object:
    if isinstance(written, bool) or not isinstance(written, str | int):
        raise ValueError(f"{written!r} is no label; put it into quotes")
    return str(written)


Label = Annotated[str, BeforeValidator(_label)]


class TaskFile(Section):
    """One task."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)
    """What recipes call it: small letters, digits, `_`."""
    title: str = ""
    """What reports call it; empty: its name."""
    kind: Literal["pair", "choice", "span", "tagging", "retrieval", "mlm"]
    """The form of its examples: it decides encoding, head and loss."""
    form: Literal["tsv", "csv", "jsonl", "conll", "squad", "lines"]
    """The form of its files."""
    root: Path = Path()
    """Folder that `files` are below; relative to the folder of this file. `$NAME` is taken from the environment."""
    files: Annotated[dict[Literal["train", "dev", "test"], str], Field(min_length=1)]
    """Split -> path; `{code}` stands for the language, and `*` and `?` for what they stand for in a shell."""
    fields: dict[str, Any] = Field({}, validate_default=True)
    """Part of an example -> name of the column or JSON field, or number of the column where there is no header."""
    labels: dict[Label, Label] | None = Field(None, validate_default=True)
    """Labels in the order of the head: a list, or a mapping from what files hold to what is meant."""
    languages: Annotated[dict[str, str], Field(min_length=1)]
    """Languages (key, code or name) as file names write them: a list, or a mapping from language to `{code}`."""
    unanswerable: bool = False
    """Whether a question may have no answer; for `span` only."""
    metric: list[str] = Field([], validate_default=True)
    """One or several; the first is what tables and selection go by."""
    trained_by: TaskName | None = Field(None, validate_default=True)
    """Task whose English data trains the head that predicts this one; None: its own."""
    max_length: Tokens | None = None
    """Longest segment; None: 384 for `span`, 512 for `retrieval`, 256 for the others."""

    @field_validator("name")
    @classmethod
    def _can_name_a_head(cls, name: str) -> str:
        from torch import nn

        if hasattr(nn.ModuleDict(), name):
            raise ValueError(f"'{name}' is what torch calls something of its own; write my_{name}")
        return name

    @field_validator("form")
    @classmethod
    def _form_is_the_kinds(cls, form: str, others: ValidationInfo) -> str:
        kind = others.data.get("kind")
        if kind is not None and form not in KINDS[kind].forms:
            raise ValueError(f"{kind} tasks have no form '{form}'; write one of: {', '.join(KINDS[kind].forms)}")
        return form

    @field_validator("fields")
    @classmethod
    def _fields_are_the_kinds(cls, fields: dict[str, Any], others: ValidationInfo) -> dict[str, Any]:
        if {"kind", "form"} <= others.data.keys():
            check_fields(others.data["kind"], others.data["form"], fields)
        return fields

    @field_validator("labels", mode="before")
    @classmethod
    def _list_of_labels(cls, labels: object) -> object:
        if not isinstance(labels, list):
            return labels
        written = list(map(_label, labels))
        if repeated := [label for i, label in enumerate(written) if label in written[:i]]:
            raise ValueError(f"'{repeated[0]}' stands there twice; name it once")
        return {label: label for label in written}

    @field_validator("labels")
    @classmethod
    def _labels_are_the_kinds(cls, labels: dict[str, str] | None, others: ValidationInfo) -> dict[str, str] | None:
        kind = others.data.get("kind")
        if kind == "pair" and len(set((labels or {}).values())) < 2:
            raise ValueError("a pair task has two labels or more; name them")
        if labels is not None and kind in ("span", "retrieval", "mlm"):
            raise ValueError(f"{kind} tasks have no labels; drop them")
        return labels

    @field_validator("languages", mode="before")
    @classmethod
    def _by_key(cls, languages: object) -> object:
        if isinstance(languages, list):
            languages = {word: word for word in languages}
        if not isinstance(languages, dict):
            return languages
        for word in (*languages, *languages.values()):
            if not isinstance(word, str):
                raise ValueError(f"{word!r} is no language; put it into quotes")
        found = {find_language(word).key: code for word, code in languages.items()}
        if len(found) < len(languages):
            raise ValueError("a language stands there twice, under two names; name it once")
        return found

    @field_validator("languages")
    @classmethod
    def _files_differ(cls, languages: dict[str, str], others: ValidationInfo) -> dict[str, str]:
        kind = others.data.get("kind")
        for split, path in others.data.get("files", {}).items():
            if len(languages) > 1 and "{code}" not in path and (split == "test" or kind == "mlm"):
                raise ValueError(f"all would read the same {split} file, {path}; write {{code}} where they differ")
        return languages

    @field_validator("files")
    @classmethod
    def _paths(cls, files: dict[str, str]) -> dict[str, str]:
        for path in files.values():
            if not path or Path(path).is_absolute():
                raise ValueError(f"'{path}' is no path below the root; set root, or shorten the path")
            if re.search(r"[{}]", path.replace("{code}", "")):
                raise ValueError(f"'{path}' has braces that are not {{code}}; write {{code}} for the language alone")
        return files

    @field_validator("unanswerable")
    @classmethod
    def _of_spans(cls, unanswerable: bool, others: ValidationInfo) -> bool:
        if unanswerable and others.data.get("kind") != "span":
            raise ValueError("only span tasks have questions without answer; drop it")
        return unanswerable

    @field_validator("metric", mode="before")
    @classmethod
    def _list_of_metrics(cls, metric: object) -> object:
        return [metric] if isinstance(metric, str) else metric

    @field_validator("metric")
    @classmethod
    def _metrics_are_the_kinds(cls, metrics: list[str], others: ValidationInfo) -> list[str]:
        if "kind" not in others.data or "unanswerable" not in others.data:
            return metrics
        kind = kind_of(others.data["kind"], unanswerable=others.data["unanswerable"])
        known = {name for task in all_tasks() if task.kind is kind for name in task.metrics}
        for name in metrics:
            if name not in known:
                raise ValueError(f"{kind.name} tasks are not scored by '{name}'; {did_you_mean(name, known)}")
        if not metrics and kind.scored:
            raise ValueError(f"it is missing; write one of: {', '.join(sorted(known))}")
        return metrics

    @field_validator("trained_by")
    @classmethod
    def _can_be_trained(cls, trained_by: str | None, others: ValidationInfo) -> str | None:
        if not {"kind", "files", "languages", "unanswerable"} <= others.data.keys():
            return trained_by
        kind = kind_of(others.data["kind"], unanswerable=others.data["unanswerable"])
        if trained_by is None:
            if kind.trainable and "train" not in others.data["files"]:
                raise ValueError("nothing trains it: it has no train file; add one, or name a task that trains it")
            if kind.trainable and not kind.any_language and _ENGLISH not in others.data["languages"]:
                raise ValueError(f"its training data are English, which is not among its languages; add {_ENGLISH}")
            return None
        check_trainer(kind, trained_by, others.data.get("labels"))
        return trained_by


def load_task(path: Path) -> Task:
    """The task that a file defines, not yet registered.

    Raises:
        UserError: the file is not what it should be; with line and remedy.
    """
    raw, lines = read_yaml(path, "a task is a mapping of keys", "begin with name, kind and form")
    expand_path(path, lines, raw, ("root",))
    try:
        said = TaskFile.model_validate(raw)
    except ValidationError as error:
        raise explain(error, TaskFile, path, lines, {}) from None
    kind = kind_of(said.kind, unanswerable=said.unanswerable)
    fields = {part: tuple(column) if isinstance(column, list) else column for part, column in said.fields.items()}
    reader = OwnReader(said.kind, said.form, fields, said.labels or {}, said.unanswerable)
    labels = tuple(dict.fromkeys((said.labels or {}).values()))
    return Task(
        name=said.name,
        kind=kind,
        title=said.title or said.name,
        layouts=(Layout(reader, {split: (file,) for split, file in said.files.items()}, path.parent / said.root),),
        languages=said.languages,
        metrics=tuple(said.metric),
        origin=str(path),
        labels=labels if labels and kind is not CHOICE else None,
        train_on=said.trained_by,
        max_length=said.max_length or KINDS[said.kind].max_length,
        definition=_digest(said),
    )


def _digest(said: TaskFile) -> str:
    """Of all that changes what is learned or scored: not of titles, of where files lie, whose content is known by hash,
    nor of which languages there are."""
    kept = said.model_dump(mode="json", exclude={"title", "root", "files", "languages", "labels"})
    labels = list((said.labels or {}).items())
    return hashlib.sha256(json.dumps([kept, labels], sort_keys=True).encode()).hexdigest()[:16]
