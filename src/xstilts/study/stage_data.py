"""The training features of a stage, as its controls have them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xstilts.config.subset import Subset
from xstilts.config.training import Mixing, StageConfig
from xstilts.core.errors import UserError
from xstilts.core.reading import read_jsonl
from xstilts.core.seeds import derive_seed
from xstilts.data.catalogue import Catalogue
from xstilts.data.code_switched import code_switched
from xstilts.data.relabelled import relabelled
from xstilts.data.store import FeatureSet
from xstilts.data.subset import ids_of, subset
from xstilts.data.unlabelled import unlabelled
from xstilts.kinds.relabelling import Relabelling
from xstilts.measures.subsets import Ranking, rank, take
from xstilts.study.sources import read_by, stage_parts
from xstilts.tasks import find_task
from xstilts.tasks.languages import ENGLISH

TIES = 0
"""Orders examples that are equally hard, alike in every stage."""


@dataclass(frozen=True)
class Measured:
    """How a reference stage ranks the examples of which a stage trains on a part."""

    reference: str
    """Id of the reference stage."""
    ranking: Ranking | None = None
    """None before that has been trained: the part then has its size and its name, and not yet its examples."""


def measured_whole(config: StageConfig) -> StageConfig:
    """The reference stage of one that trains on a part: all examples of its task, for as long as the part says and at
    its learning rate."""
    assert config.subset is not None and config.subset.reference is not None
    reference = config.subset.reference
    own = {"steps": None, "epochs": reference.epochs, "dev": None, "lr": reference.lr or config.training.lr}
    training = config.training.model_copy(update=own)
    mixing = Mixing(weighting="proportional")  # an epoch is every example, of a large task too
    return StageConfig(tasks=config.tasks, source_language=config.source_language, mixing=mixing, training=training)


def continued(before: StageConfig, now: StageConfig) -> str | None:
    """The task before, of the same target, if it is of the same kind, and heads of that can be carried on: XTREME-R
    trains one multiple-choice model on Social IQa and then on COPA."""
    (task,), (next_task,) = before.tasks, now.tasks
    kind = find_task(next_task).kind
    return task if kind.carries_head and find_task(task).kind.name == kind.name else None


def check_trains(config: StageConfig, label: str) -> None:
    """A UserError where the stage of that label has nothing to select its weights by."""
    if config.training.dev and not any(find_task(name).kind.scored for name in config.tasks):
        raise UserError(f"stage '{label}': masked language modelling has no dev metric; set training.dev to null there")


def training_features(
    catalogue: Catalogue, config: StageConfig, randomness: int, measured: Measured | None = None
) -> dict[str, FeatureSet]:
    """Task -> what a stage trains on, in the stage's order; `randomness` is that of the stage, `measured` is given
    where its subset has a reference stage."""
    found = {}
    for name in config.tasks:
        task = find_task(name)
        read = read_by(config, name)
        features = catalogue.train(find_task(read), config.languages_of(name))
        if read != name:
            features = unlabelled(features)
        if config.subset is not None:
            features = _part(features, config.subset, derive_seed(randomness, "subset", name), measured)
        if config.labels != "gold":
            how = Relabelling(config.labels, len(catalogue.labels(task) or ()), catalogue.doc_stride)
            features = relabelled(features, task.kind, how, derive_seed(randomness, "labels", name))
        if config.code_switch is not None and task.kind.any_language:
            path = config.code_switch.dictionary
            dictionary, digest = catalogue.dictionary(path)
            key = derive_seed(randomness, "code_switch", name)
            features = code_switched(features, catalogue.tokenizer, dictionary, digest, config.code_switch.rate, key)
        found[name] = features
    return found


def files_of(catalogue: Catalogue, config: StageConfig) -> dict[str, str]:
    """What a stage reads beside English training data, by the names of files, and the SHA-256 of each."""
    named: dict[str, str] = {}
    if config.source_language != ENGLISH:
        for part in stage_parts(config):
            contents = catalogue.source(find_task(part.task), part.split, part.language).contents()
            named |= {Path(name).name: digest for name, digest in contents.items()}
    ranking = config.subset.ranking if config.subset else None
    dictionary = config.code_switch.dictionary if config.code_switch else None
    return named | {path.name: catalogue.digest(path) for path in (ranking, dictionary) if path is not None}


def read_ranking(path: Path, features: FeatureSet) -> Ranking:
    """The ranking of exactly these examples.

    Raises:
        UserError: the file ranks others, or is malformed.
    """
    return rank(_read(path, ids_of(features)), TIES)


def _part(features: FeatureSet, config: Subset, key: int, measured: Measured | None) -> FeatureSet:
    ids = ids_of(features)
    labels = dict.fromkeys(ids, 0)
    if config.stratify:
        targets = features.column("targets").to_pylist()
        labels = {id_: label for id_, (label,) in zip(ids, targets, strict=True)}
    ranking, which = Ranking(tuple(ids)), str(key)
    if config.ranking is not None:
        ranking = read_ranking(config.ranking, features)
        which = ranking.digest
    elif measured is not None:
        ranking, which = measured.ranking or ranking, f"{config.by} {measured.reference}"
    chosen = take(ranking, labels, config.part, config.fraction, key)
    return subset(features, chosen, f"{config.part} {config.fraction} {config.stratify} {which}")


def _read(path: Path, ids: list[str]) -> dict[str, float]:
    """Id -> hardness of exactly these training examples."""
    known, found = set(ids), dict[str, float]()
    for number, row in read_jsonl(path, required=["hardness"], texts=["id"]):
        id_, hardness = row["id"], row["hardness"]
        if not isinstance(hardness, int | float) or isinstance(hardness, bool):
            raise UserError.at(path, number, f"hardness {hardness!r} is not a number", "write how hard the example is")
        if id_ not in known or id_ in found:
            problem = f"'{id_}' is no training example" if id_ not in known else f"'{id_}' stands there twice"
            raise UserError.at(path, number, problem, "write one line for each training example")
        found[id_] = float(hardness)
    if absent := next((id_ for id_ in ids if id_ not in found), None):
        problem = f"{len(ids) - len(found)} of {len(ids)} training examples are not ranked, the first is '{absent}'"
        raise UserError.at(path, None, problem, "write one line for each training example")
    return found
