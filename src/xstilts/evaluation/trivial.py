"""Chance and the best constant prediction of everything scored, worked out once: they depend on the data alone.

Kept beside the features that they were worked out from, for the other arms, seeds and runs; where nothing can be
written there, in the run directory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from xstilts.core.atomic import whole_file, write_whole
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


def trivial_scores(
    work: Work, examples: Sequence[Example], golds: Sequence[Any], spare_cache: Path
) -> Mapping[str, Trivial]:
    """Metric -> its trivial scores on the scored examples; read from the features' folder or from `spare_cache` where
    they stand there."""
    digest = hashlib.sha256(repr((_VERSION, work.num_examples, work.labels)).encode()).hexdigest()[:8]
    beside = work.features.path.with_suffix(f".trivial-{digest}.json")
    spare = spare_cache / beside.name
    for path in (beside, spare):
        if path.exists() and (found := _read(path)).keys() >= set(work.task.metrics):
            return found
    made = {
        name: Trivial(
            chance(examples, golds, find_metric(name), labels=work.labels or ()),
            majority(examples, golds, find_metric(name)),
        )
        for name in work.task.metrics
    }
    content = _FILE.dump_json(made)
    try:
        with whole_file(beside) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        if not any(spare_cache.glob("*.trivial-*.json")):
            reason = f"{beside.parent} cannot be written ({error.strerror})"
            print(f"{reason}: chance and constant scores are kept in {spare_cache}", flush=True)
        write_whole(spare, content)
    return made


def _read(path: Path) -> Mapping[str, Trivial]:
    try:
        return _FILE.validate_json(path.read_bytes())
    except ValidationError:
        raise UserError.at(path, None, "is damaged", "remove it and launch again") from None
