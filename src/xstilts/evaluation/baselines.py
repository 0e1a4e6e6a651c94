"""What a score is to be held against: a uniformly random prediction, and the best constant one.

Both go through the task's own metric and depend on the data alone, so that they are worked out once and kept beside the
features that they were worked out from or, where nothing can be written there, in the run directory. Where no closed
form exists, chance is the mean over seeded draws.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from xstilts.core.atomic import whole_file, write_whole
from xstilts.core.errors import UserError
from xstilts.evaluation.metrics import Metric, find_metric
from xstilts.evaluation.work import Work
from xstilts.kinds import Example, Kind

_VERSION = 1
"""Raised when chance or majority come out otherwise from the same data."""

_NUM_DRAWN = 2000
"""Random predictions drawn at least, over all items."""


@dataclass(frozen=True)
class Baselines:
    """What needs no model, in percent."""

    chance: float
    """Expected score of a uniformly random prediction."""
    majority: float | None
    """Score of the best constant prediction; None where there is none."""


_FILE = TypeAdapter(dict[str, Baselines])


def baselines_of(
    work: Work, examples: Sequence[Example], references: Sequence[Any], spare_cache: Path
) -> Mapping[str, Baselines]:
    """Metric -> its baselines on the scored examples; read from the features' folder or from `spare_cache` where they
    stand there."""
    kind, metrics = work.task.kind, [find_metric(name) for name in work.task.metrics]
    identity = (_VERSION, work.num_examples, work.labels, [(metric.name, metric.version) for metric in metrics])
    digest = hashlib.sha256(repr(identity).encode()).hexdigest()[:8]
    beside = work.features.path.with_suffix(f".baselines-{digest}.json")
    spare = spare_cache / beside.name
    for path in (beside, spare):
        if path.exists():
            return _read(path)
    made = {
        metric.name: Baselines(
            chance(kind, examples, references, metric, labels=work.labels or ()),
            majority(kind, examples, references, metric),
        )
        for metric in metrics
    }
    content = _FILE.dump_json(made)
    try:
        with whole_file(beside) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        if not any(spare_cache.glob("*.baselines-*.json")):
            reason = f"{beside.parent} cannot be written ({error.strerror})"
            print(f"{reason}: chance and constant scores are kept in {spare_cache}", flush=True)
        write_whole(spare, content)
    return made


def _read(path: Path) -> Mapping[str, Baselines]:
    try:
        return _FILE.validate_json(path.read_bytes())
    except ValidationError:
        raise UserError.at(path, None, "is damaged", "remove it and launch again") from None


def chance(
    kind: Kind[Any],
    examples: Sequence[Example],
    references: Sequence[Any],
    metric: Metric,
    *,
    labels: Sequence[str] = (),
    seed: int = 0,
) -> float:
    """Expected score in percent of a prediction drawn uniformly from the valid ones.

    Valid are: every label (pair, per word in tagging), every option (choice), every run of up to 30 words of the
    context (span), every order of the candidates (retrieval).

    Args:
        examples: of one task and language; for retrieval candidates and queries.
        references: as `kind.references(examples, language)` gives them.
        labels: the task's closed label set; empty: the labels that occur in `references`.
    """
    num_candidates = kind.num_candidates(examples)
    if num_candidates and metric.of_random_ranking:
        num_right = np.array([len(reference) for reference in references], dtype=np.float64)
        return float(metric.value(metric.of_random_ranking(num_right, num_candidates).sum(axis=0)))
    generator = np.random.default_rng(seed)
    num_draws = math.ceil(_NUM_DRAWN / max(1, len(examples)))
    draws = (kind.random_predictions(examples, references, labels, generator) for _ in range(num_draws))
    scores = [metric.score(references, predictions) for predictions in draws]
    return sum(scores) / len(scores)


def majority(kind: Kind[Any], examples: Sequence[Example], references: Sequence[Any], metric: Metric) -> float | None:
    """Score in percent of the best constant prediction; None for retrieval, which has none.

    It is the most frequent label of these very items (pair, choice; per word in tagging), and for spans the better of
    no answer and the first word of the context.
    """
    constant = kind.constant_predictions(examples, references)
    return max((metric.score(references, predictions) for predictions in constant), default=None)
