"""Scoring a target's training under other rules of selection than the primary one, from weights that it has kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from xstilts.config.selection import Rule
from xstilts.core.atomic import whole_file
from xstilts.core.sealed import read_sealed, write_sealed
from xstilts.distributed import dist
from xstilts.evaluation.predictor import Predictor
from xstilts.evaluation.results import dev_score
from xstilts.evaluation.rows import Row
from xstilts.study.graph import Leaf
from xstilts.study.models import inference, load_trained
from xstilts.study.record import WEIGHTS, Record, read_record, snapshot_paths
from xstilts.study.study import Study
from xstilts.study.target_scores import ScoredModel, score_target
from xstilts.study.works import kinds_of, works_of

AVERAGE = "average.safetensors"
_REMEDY = "remove the stage's folder and train it again"


def score_rules(study: Study, leaf: Leaf, to: Path) -> list[Row]:
    """Rows of every rule beside the primary one, each a score of the leaf in all its languages; predictions go below
    the folder `to`. A collective."""
    if not study.rules(leaf):
        return []
    rules = _Rules(study, leaf, to)
    return [row for rule in study.rules(leaf) for row in rules.rows(rule)]


class _Rules:
    """The kept weights of one leaf's stage."""

    def __init__(self, study: Study, leaf: Leaf, to: Path) -> None:
        assert leaf.stage is not None
        self._study, self._leaf, self._stage, self._to = study, leaf, leaf.stage, to
        self._folder = study.workspace.stage(leaf.stage.id)
        self._record: Record = read_record(self._folder)
        self._kept = snapshot_paths(self._folder, self._record)

    def rows(self, rule: Rule) -> list[Row]:
        """The leaf's rows under a rule."""
        if rule == "oracle":
            return self._oracle()
        if rule == "last":
            step = self._record.num_steps
            return self._score(rule, self._kept[step], self._record.snapshots[step], self._leaf.languages)
        path = self._folder / AVERAGE
        digest = dist.on_first_rank_long_running(lambda: self._average(path))
        rows = self._score(rule, path, digest, self._leaf.languages)
        dist.on_first_rank(lambda: path.unlink(missing_ok=True))
        return rows

    def _oracle(self) -> list[Row]:
        """In each language with the weights that are best on the target's dev data there, the earliest of equals."""
        digests = {**self._record.snapshots, self._record.selected_step: self._record.weights}
        paths = {**self._kept, self._record.selected_step: self._folder / WEIGHTS}
        scores = {step: self._dev(paths[step], digests[step]) for step in sorted(paths)}
        best = {key: max(scores, key=lambda step: (scores[step][key], -step)) for key in self._leaf.languages}
        rows: list[Row] = []
        for step in sorted(set(best.values())):
            chosen = [language for language in self._leaf.languages if best[language] == step]
            rows += self._score("oracle", paths[step], digests[step], chosen)
        return rows

    def _average(self, path: Path) -> str:
        """Writes the mean of the kept weights, summed one file after the other in fp32; its digest."""
        total: dict[str, torch.Tensor] = {}
        for step, kept in sorted(self._kept.items()):
            tensors = read_sealed(kept, _REMEDY, self._record.snapshots[step])
            for name, tensor in tensors.items():
                total[name] = total[name].add_(tensor) if name in total else tensor
            dist.progress()
        with whole_file(path) as temporary:
            return write_sealed(temporary, {name: tensor.div_(len(self._kept)) for name, tensor in total.items()})

    def _dev(self, path: Path, digest: str) -> dict[str, float]:
        """Language -> the target's first metric on its dev data."""
        settings = self._leaf.settings.model_copy(update={"split": "dev"})
        works = works_of(replace(self._leaf, settings=settings), self._study.catalogue, self._record.labels)
        outputs = self._predictor(path, digest).predict(works)

        def score() -> dict[str, float]:
            return {work.language: dev_score(work, output) for work, output in zip(works, outputs, strict=True)}

        return dist.on_first_rank_long_running(score)

    def _score(self, rule: Rule, path: Path, digest: str, languages: Sequence[str]) -> list[Row]:
        settings = self._leaf.settings.model_copy(update={"languages": list(languages)})
        leaf = replace(self._leaf, languages=tuple(languages), settings=settings)
        provenance = replace(self._record.provenance("", self._stage.id), seed=leaf.seed, selection=rule)
        scored = ScoredModel(self._predictor(path, digest).forward, self._record.labels, provenance)
        predictions = self._to / "selection" / f"{rule}-{path.stem}" / "predictions"
        budget = self._study.recipe.runtime.tokens_per_micro_batch
        return score_target(leaf, scored, self._study.catalogue, budget, predictions, self._study.workspace.cache)

    def _predictor(self, path: Path, digest: str) -> Predictor:
        model = load_trained(self._folder, self._record, self._study.catalogue.tokenizer, path, digest)
        runtime = self._study.recipe.runtime
        forward = inference(model, self._study.deepspeed.precision, dist.device(), runtime.attention)
        budget = runtime.tokens_per_micro_batch
        return Predictor(forward, kinds_of(self._record.labels), self._study.catalogue.tokenizer, budget)
