"""Chance and the best constant prediction of everything scored, worked out once: they depend on the data alone.

Kept beside the features that they were worked out from, for the other arms and seeds.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from xstilts.core.errors import UserError
from xstilts.evaluation.baselines import chance, majority
from xstilts.evaluation.metrics import find_metric
from xstilts.evaluation.predictor import Work
from xstilts.tasks import Example

_VERSION = 1
"""Raised when chance or majority come out otherwise from the same data."""


@dataclass(frozen=True)
class Trivial:
    """What needs no model, in percent."""

    chance: float
    """Expected score of a uniformly random prediction."""
    majority: float | None
    """Score of the best constant prediction; None where there is none."""


_FILE = TypeAdapter(dict[str, Trivial])


def trivial_scores(work: Work, examples: Sequence[Example], golds: Sequence[Any]) -> Mapping[str, Trivial]:
    """Metric -> its trivial scores on the scored examples; read from the cache where they stand there."""
    digest = hashlib.sha256(repr((_VERSION, work.num_examples, work.labels)).encode()).hexdigest()[:8]
    path = work.features.path.with_suffix(f".trivial-{digest}.json")
    if path.exists():
        try:
            found = _FILE.validate_json(path.read_bytes())
        except ValidationError:
            raise UserError.at(path, None, "is damaged", "remove it and launch again") from None
        if found.keys() >= set(work.task.metrics):
            return found
    made = {
        name: Trivial(
            chance(examples, golds, find_metric(name), labels=work.labels or ()),
            majority(examples, golds, find_metric(name)),
        )
        for name in work.task.metrics
    }
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(_FILE.dump_json(made))
    temporary.replace(path)
    return made
