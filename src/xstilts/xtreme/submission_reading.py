"""XTREME's submission layout, read: one file of predictions beside its file of labels becomes items to score."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from xstilts.core.errors import UserError
from xstilts.core.reading import read_json, read_jsonl, read_lines
from xstilts.evaluation.metrics.qa import QaGold
from xstilts.kinds.squad_json import read_squad_json
from xstilts.xtreme.submission import Form


@dataclass(frozen=True)
class Items:
    """What metrics compare, item by item."""

    golds: Sequence[Any]
    predictions: Sequence[Any]
    """None where the file has no prediction for the item: it scores 0, as in the official scripts."""
    notes: tuple[str, ...] = ()
    """What the user should know about the files without it being an error."""


@dataclass
class _Lines:
    """Items of a file in which the order of lines says what belongs together, and the line of each."""

    path: Path
    items: list[Any] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)


def read_items(form: Form, predictions: Path, labels: Path, language: str, vocabulary: Collection[str] = ()) -> Items:
    """The items of one language.

    Args:
        form: of both files.
        language: language key of the texts, for metrics that normalise by it.
        vocabulary: labels that are known beside those that occur in the labels file.

    Raises:
        UserError: a file is malformed, or the two differ in length.
    """
    match form:
        case Form.ANSWERS:
            questions = read_squad_json(labels, unanswerable=True, check_offsets=False)
            truths = {e.id: QaGold(tuple(answer.text for answer in e.answers), language) for e in questions}
            return _by_id(truths, _read_mapping(predictions, str), predictions)
        case Form.RANKINGS:
            right = {id_: tuple(ids) for id_, ids in _read_mapping(labels, list).items()}
            ranked = {id_: tuple(ids) for id_, ids in _read_mapping(predictions, list).items()}
            return _by_id(right, ranked, predictions)
        case Form.PAIRS:
            return Items(*pairs_by_source(_read_pairs(labels), _read_pairs(predictions)))
        case Form.TAGS:
            items = _in_order(form, _read_tags(predictions), _read_tags(labels))
            gold_tags, tags = chain.from_iterable(items.golds), chain.from_iterable(items.predictions)
            return replace(items, notes=_unknown(predictions, gold_tags, tags, vocabulary))
        case Form.LABELS:
            items = _in_order(form, _read_labels(predictions), _read_labels(labels))
            return replace(items, notes=_unknown(predictions, items.golds, items.predictions, vocabulary))
        case Form.CHOICES:
            return _in_order(form, _read_choices(predictions), _read_choices(labels))
        case Form.INDICES:
            items = _in_order(form, _read_indices(predictions), _read_indices(labels))
            return Items([(gold,) for gold in items.golds], [(guess,) for guess in items.predictions])


def pairs_by_source(
    gold: Iterable[tuple[str, str]], mined: Iterable[tuple[str, str]]
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Pairs of (source id, target id) -> true and mined targets of every source that has any, sorted by source.

    Repeated pairs count once.
    """
    columns: list[dict[str, set[str]]] = [{}, {}]
    for column, pairs in zip(columns, (gold, mined), strict=True):
        for source, target in pairs:
            column.setdefault(source, set()).add(target)
    sources = sorted(columns[0].keys() | columns[1].keys())
    right, found = ([tuple(sorted(column.get(source, ()))) for source in sources] for column in columns)
    return right, found


def _by_id(truths: Mapping[str, Any], guesses: Mapping[str, Any], path: Path) -> Items:
    notes = []
    if unanswered := truths.keys() - guesses.keys():
        notes.append(f"{path}: no prediction for {len(unanswered)} of {len(truths)} items, which score 0")
    if unknown := guesses.keys() - truths.keys():
        notes.append(
            f"{path}: {len(unknown)} predictions for ids that the labels do not have, such as '{min(unknown)}'"
        )
    return Items(list(truths.values()), [guesses.get(id_) for id_ in truths], tuple(notes))


def _in_order(form: Form, predictions: _Lines, labels: _Lines) -> Items:
    if len(predictions.items) != len(labels.items):
        counts = f"{len(predictions.items)} {form.unit} where {labels.path} has {len(labels.items)}"
        raise UserError.at(predictions.path, None, counts, "write one per test item, in the order of the test set")
    if form is Form.TAGS:
        for i, (guess, gold) in enumerate(zip(predictions.items, labels.items, strict=True)):
            if len(guess) != len(gold):
                counts = (
                    f"sentence {i + 1} has {len(guess)} tags where {labels.path}:{labels.numbers[i]} has {len(gold)}"
                )
                raise UserError.at(predictions.path, predictions.numbers[i], counts, "write one tag per word")
    return Items(labels.items, predictions.items)


def _unknown(path: Path, golds: Iterable[str], guesses: Iterable[str], vocabulary: Collection[str]) -> tuple[str, ...]:
    strange = set(guesses) - set(golds) - set(vocabulary)
    if not strange:
        return ()
    return (f"{path}: labels that neither the task nor the labels file has, such as '{min(strange)}'",)


def _read_labels(path: Path) -> _Lines:
    lines = _Lines(path)
    for number, line in read_lines(path):
        if not (label := line.strip()):
            raise UserError.at(
                path, number, "blank line where a label was expected", "write one label per line, and no more"
            )
        lines.items.append(label)
        lines.numbers.append(number)
    return _not_empty(lines)


def _read_indices(path: Path) -> _Lines:
    lines = _read_labels(path)
    for number, index in zip(lines.numbers, lines.items, strict=True):
        if not (index.isascii() and index.isdigit()):
            raise UserError.at(
                path, number, f"'{index}' is not an index", "write the candidate's line number, counted from 0"
            )
    lines.items = [int(index) for index in lines.items]
    return lines


def _read_tags(path: Path) -> _Lines:
    """Sentences by their first line; a second blank line makes an empty sentence, as in XTREME."""
    lines, sentence, start = _Lines(path), [], 1
    for number, line in read_lines(path):
        tag = line.strip()
        if len(tag.split()) > 1:
            raise UserError.at(path, number, f"'{tag}' is not one tag", "write one tag per line, without the word")
        if tag:
            sentence.append(tag)
            continue
        lines.items.append(tuple(sentence))
        lines.numbers.append(start)
        sentence, start = [], number + 1
    if sentence:
        lines.items.append(tuple(sentence))
        lines.numbers.append(start)
    return _not_empty(lines)


def _read_choices(path: Path) -> _Lines:
    lines = _Lines(path)
    for number, row in read_jsonl(path, required=["label"]):
        if type(row["label"]) is not int:
            raise UserError.at(
                path, number, f"label {row['label']!r} is not a number", "write the option's index, counted from 0"
            )
        lines.items.append(row["label"])
        lines.numbers.append(number)
    return _not_empty(lines)


def _read_pairs(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in read_lines(path):
        ids = line.strip().split("\t")
        if len(ids) != 2:
            raise UserError.at(
                path, number, f"{len(ids)} columns where a pair of ids was expected", "write 'id<TAB>id' per line"
            )
        yield ids[0], ids[1]


def _read_mapping(path: Path, type_: type) -> dict[str, Any]:
    document = read_json(path)
    if not isinstance(document, dict):
        raise UserError.at(
            path, None, f"expected a JSON object, found {type(document).__name__}", "write an object of id: prediction"
        )
    for id_, value in document.items():
        if not isinstance(value, type_) or (isinstance(value, list) and not all(isinstance(x, str) for x in value)):
            expected = "a string" if type_ is str else "a list of ids"
            raise UserError.at(
                path, None, f"'{id_}' has {value!r:.40} where {expected} was expected", "correct the prediction"
            )
    return document


def _not_empty(lines: _Lines) -> _Lines:
    if not lines.items:
        raise UserError.at(lines.path, None, "the file is empty", "write the predictions or labels of the test set")
    return lines
