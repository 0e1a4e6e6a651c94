"""Computing a study: every stage and every evaluation that is not there yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from xstilts.cluster import dist
from xstilts.config.deepspeed import DeepSpeedJson
from xstilts.config.recipe import Recipe
from xstilts.data.catalogue import Catalogue
from xstilts.data.loader import StepLoader
from xstilts.data.plan import BatchPlan
from xstilts.evaluation.forward import Work, predict
from xstilts.evaluation.results import Row, read_rows, write_rows
from xstilts.evaluation.scoring import primary_score
from xstilts.study.graph import Graph, Leaf, Stage
from xstilts.study.models import Models, inference, read_record
from xstilts.study.score import evaluation_key, kinds_of, score_leaf
from xstilts.study.workspace import Workspace, write_json
from xstilts.tasks import Kind, find_task
from xstilts.training.engine import Engine
from xstilts.training.loop import clean, train


@dataclass(frozen=True)
class Study:
    """A recipe bound to its run directory and data; the same on every rank."""

    recipe: Recipe
    deepspeed: DeepSpeedJson
    workspace: Workspace
    catalogue: Catalogue
    graph: Graph

    def run(self) -> list[Row]:
        """Trains and scores what is missing, leaf by leaf; returns all rows. A collective."""
        for leaf in self.graph.leaves:
            if not dist.on_first_rank(lambda leaf=leaf: self._scored(leaf)):
                self._score(leaf)
        rows = self.collect()
        dist.on_first_rank(lambda: write_rows(self.workspace.results, rows))
        return rows

    def collect(self) -> list[Row]:
        """The rows of every leaf that has been scored."""
        paths = [(leaf.arm, self._results(leaf)) for leaf in self.graph.leaves]
        return [replace(row, arm=arm) for arm, path in paths if path.exists() for row in read_rows(path)]

    def missing(self) -> list[Stage]:
        """Stages that a run would train, in order."""
        open_leaves = [leaf for leaf in self.graph.leaves if leaf.stage and not self._scored(leaf)]
        needed = {stage.id for leaf in open_leaves if leaf.stage for stage in leaf.stage.lineage()}
        return [stage for stage in self.graph.stages() if stage.id in needed and not self._trained(stage)]

    def _score(self, leaf: Leaf) -> None:
        path = self._results(leaf)
        if leaf.stage:
            self._ensure(leaf.stage)
        models = Models(self.recipe.model, self.workspace, self.catalogue)
        forward = inference(models.end(leaf.stage), self.deepspeed.precision, dist.device())
        rows = score_leaf(
            leaf,
            self.catalogue,
            forward,
            kinds_of(leaf.stage.config.tasks if leaf.stage else []),
            self.recipe.runtime.tokens_per_micro_batch,
            path.parent,
            stage=leaf.stage.id if leaf.stage else self.graph.model_id,
            selection=read_record(self.workspace.stage(leaf.stage.id))["selection"] if leaf.stage else "pretrained",
        )

        def finish() -> None:
            write_rows(path, rows)
            if leaf.stage and leaf.stage.is_leaf and not self.recipe.runtime.keep_leaf_weights:
                (self.workspace.stage(leaf.stage.id) / "weights.safetensors").unlink(missing_ok=True)

        dist.on_first_rank(finish)

    def _ensure(self, stage: Stage) -> None:
        """Trains a stage, and before it what it starts from, unless that has been done."""
        if dist.on_first_rank(lambda: self._trained(stage)):
            return
        if stage.parent:
            self._ensure(stage.parent)
        folder = self.workspace.stage(stage.id)
        kinds = kinds_of(stage.config.tasks)
        model = Models(self.recipe.model, self.workspace, self.catalogue).start(stage)
        encoder_config = model.encoder.config.to_dict()
        if self.recipe.runtime.activation_checkpointing:
            model.encoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        loader = self._loader(stage, kinds)
        works = self._dev_works(stage)

        def dev_scores(engine: Engine) -> Mapping[str, float]:
            outputs = predict(works, engine.evaluate, kinds, loader.tokenizer, loader.token_budget)
            return {work.task.name: primary_score(work, output) for work, output in zip(works, outputs, strict=True)}

        outcome = train(
            model,
            loader,
            self.recipe.runtime,
            self.deepspeed.values,
            folder,
            self.workspace.tensorboard(stage.label, stage.seed),
            name=f"{stage.label} seed {stage.seed}",
            seed=stage.randomness,
            dev_scores=dev_scores,
        )
        record = {**asdict(outcome), "label": stage.label, "tasks": stage.config.tasks, "seed": stage.seed, "encoder": encoder_config}
        dist.on_first_rank(lambda: write_json(folder / "stage.json", record))
        dist.on_first_rank(lambda: clean(folder))

    def _loader(self, stage: Stage, kinds: Mapping[str, Kind]) -> StepLoader:
        training = stage.config.training
        features = {name: self.catalogue.train(find_task(name), stage.config.languages) for name in kinds}
        plan = BatchPlan(stage.randomness, stage.sizes, stage.config.mixing, training.batch_size)
        budget = self.recipe.runtime.tokens_per_micro_batch
        return StepLoader(plan, features, kinds, self.catalogue.tokenizer, training, budget)

    def _dev_works(self, stage: Stage) -> list[Work]:
        dev = stage.config.training.dev
        works = []
        for task in map(find_task, stage.config.tasks if dev else []):
            if task.kind is not Kind.MLM and dev:
                features = self.catalogue.scored(task, "dev")
                num_examples = min(dev.num_examples, len(features))
                works.append(Work(task, "eng_Latn", "dev", features, self.catalogue.labels(task), num_examples))
        return works

    def _trained(self, stage: Stage) -> bool:
        folder = self.workspace.stage(stage.id)
        return (folder / "stage.json").exists() and (folder / "weights.safetensors").exists()

    def _scored(self, leaf: Leaf) -> bool:
        return self._results(leaf).exists()

    def _results(self, leaf: Leaf) -> Path:
        key = evaluation_key(leaf, self.catalogue, self.graph.model_id)
        return self.workspace.evaluation(key) / "results.jsonl"
