"""What a finished stage says of itself: `stage.json` beside its `weights.safetensors`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from xstilts.config.recipe import Model
from xstilts.config.runtime import Attention, Runtime
from xstilts.core.atomic import write_whole
from xstilts.core.digests import digest_of_json
from xstilts.core.errors import StorageError, UserError
from xstilts.core.redaction import redact
from xstilts.evaluation.rows import Provenance
from xstilts.study.graph import DataPart, Stage
from xstilts.study.sweep import Choice
from xstilts.training.checkpoint.snapshot_files import snapshot_path

WEIGHTS = "weights.safetensors"
_RECORD = "stage.json"
_SEAL = "sha256"


@dataclass(frozen=True)
class Parent:
    """A stage that was trained before, on whose weights this one builds."""

    id: str
    label: str


@dataclass(frozen=True)
class Origin:
    """What the weights were made from: in words, what the stage's id is the hash of, and by which configuration."""

    id: str
    """Names the stage's folder."""
    model: dict[str, Any]
    """The recipe's `model`, from which the first stage started, and the `id` of its content."""
    parents: list[Parent]
    """First to last."""
    hyperparameters: dict[str, Any]
    """Of the stage: `tasks`, `languages`, `mixing`, `training` and controls, as a recipe names them; `sweep` what
    pilots have chosen, with their scores; `snapshots` where it keeps weights for other rules of selection."""
    randomness: int
    """Seed of its order, heads, masking, dropout and controls."""
    continues: str | None
    """Task of the stage before whose head it went on with."""
    precision: str
    """What it and its parents were trained in: `fp32`, `bf16` or `fp16`."""
    deepspeed: dict[str, Any]
    """The configuration as given to DeepSpeed by the launch that finished it."""
    data: list[DataPart]
    """What it was trained on and, where it has dev data, its weights were selected by."""
    attention: Attention = "rectangles"
    """How that launch computed attention: dropout's masks depend on it."""
    compiled: bool = False
    """Whether it compiled layers: rounding does, and on a GPU the masks, depend on it."""
    files: dict[str, str] = field(default_factory=dict)
    """What it has read beside English data -> SHA-256: a ranking, a dictionary, files in its source language."""


@dataclass(frozen=True)
class Record:
    """Enough to load the weights and to know where they come from, without the recipe."""

    label: str
    """Where the stage stood in its study: `mixed.tydiqa`."""
    tasks: list[str]
    """Tasks that have a head, in the model's order."""
    labels: dict[str, list[str] | None]
    """Task -> its label set in head order; None for kinds without one."""
    seed: int
    """The study's seed, or that of pretraining."""
    seeds: str
    """Seed of every stage from first to last, joined by `-`."""
    encoder: dict[str, Any]
    """Fields of its `XLMRobertaConfig`."""
    tokenizer: str
    """Fingerprint of the tokenizer that it was trained with."""
    num_steps: int
    """Steps taken."""
    selected_step: int
    """Step whose weights were kept."""
    selection: str
    """`best_dev` or `last`."""
    dev_score: float | None
    weights: str
    """Digest of the content of the weights' file."""
    origin: Origin
    num_visits: int | None = None
    """Visits of items that lie in its `visits` folder (`measures.visits`); None where there is no whole record."""
    snapshots: dict[int, str] = field(default_factory=dict)
    """Step -> digest of the weights kept of it in `snapshots/`, by which other rules than `selection` choose."""

    ranking: str | None = None
    """Digest of the ranking of all examples, of which it was trained on a part; None where it was not."""

    def provenance(self, arm: str, stage: str) -> Provenance:
        """What rows say of weights that were trained so."""
        return Provenance(arm, stage, self.seed, self.seeds, self.selection, self.origin.precision)


def origin_of(
    stage: Stage,
    model: Model,
    model_id: str,
    precision: str,
    deepspeed: Mapping[str, Any],
    runtime: Runtime,
    choices: Iterable[Choice] = (),
) -> Origin:
    """What a stage of a study is made from that starts from the recipe's `model` and computes in `precision`, by a
    `deepspeed` configuration and this `runtime`; `choices` are those of the study's sweeps."""
    choice = next((asdict(choice) for choice in choices if choice.label == stage.label), None)
    return Origin(
        id=stage.id,
        model=redact({**model.model_dump(mode="json"), "id": model_id}),
        parents=[Parent(before.id, before.label) for before in stage.lineage()[:-1]],
        hyperparameters=stage.config.model_dump(mode="json") | {"sweep": choice} | _kept(stage),
        randomness=stage.randomness,
        continues=stage.continues,
        precision=precision,
        deepspeed=dict(deepspeed),
        attention=runtime.attention,
        compiled=runtime.compile,
        data=list(stage.data),
        files=stage.files,
    )


def _kept(stage: Stage) -> dict[str, Any]:
    return {"snapshots": asdict(stage.snapshots)} if stage.snapshots else {}


def snapshot_paths(folder: Path, record: Record) -> dict[int, Path]:
    """Step -> file of the weights that a finished stage has kept of it."""
    return {step: snapshot_path(folder / "checkpoints", step) for step in record.snapshots}


def write_record(folder: Path, record: Record) -> None:
    """Writes the record whole or not at all: with it the stage counts as finished."""
    fields = asdict(record)
    sealed = json.dumps({**fields, _SEAL: digest_of_json(fields)}, indent=1)
    write_whole(folder / _RECORD, sealed.encode())


def record_problem(folder: Path) -> str | None:
    """What is wrong with a record that is there, a line; None if nothing is or if there is none."""
    try:
        read_record(folder)
    except UserError as error:
        return str(error) if (folder / _RECORD).exists() else None
    return None


def has_record(folder: Path) -> bool:
    """Whether a stage has finished: a record is there, and undamaged."""
    return (folder / _RECORD).exists() and record_problem(folder) is None


def read_record(folder: Path) -> Record:
    """The record of a finished stage; one that is missing or damaged is a user's error, one that cannot be read now is
    not: who took it for missing would train over a finished stage."""
    path = folder / _RECORD
    remedy = "remove the stage's folder and train it again"
    try:
        content = path.read_bytes()
        record = TypeAdapter(Record).validate_json(content)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError.at(path, None, str(error.strerror), "give the folder of a finished stage") from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error}); launch again when it can") from None
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        place = ".".join(map(str, detail["loc"])) or "not JSON"
        raise UserError.at(path, place, detail["msg"], remedy) from None
    fields = json.loads(content)
    if fields.pop(_SEAL, None) != digest_of_json(fields):
        raise UserError.at(path, None, "damaged: it is not what was written", remedy)
    return record
