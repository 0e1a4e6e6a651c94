"""The training features of a stage, as its controls have them."""

from __future__ import annotations

from xstilts.config.training import StageConfig
from xstilts.core.seeds import derive_seed
from xstilts.data.catalogue import Catalogue
from xstilts.data.relabelled import relabelled
from xstilts.data.store import FeatureSet
from xstilts.kinds.relabelling import Relabelling
from xstilts.tasks import find_task


def training_features(catalogue: Catalogue, config: StageConfig, randomness: int) -> dict[str, FeatureSet]:
    """Task -> what a stage trains on, in the stage's order; `randomness` is that of the stage."""
    found = {}
    for name in config.tasks:
        task = find_task(name)
        features = catalogue.train(task, config.languages_of(name))
        if config.labels != "gold":
            how = Relabelling(config.labels, len(catalogue.labels(task) or ()), catalogue.doc_stride)
            features = relabelled(features, task.kind, how, derive_seed(randomness, "labels", name))
        found[name] = features
    return found
