"""A recipe bound to its run directory and data: what is there, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from xstilts.config.deepspeed import DeepSpeedJson
from xstilts.config.recipe import Recipe
from xstilts.config.selection import Rule
from xstilts.core.digests import digest_of_json
from xstilts.core.errors import UserError
from xstilts.core.provenance import read_provenance
from xstilts.data.catalogue import Catalogue
from xstilts.data.plan import BatchPlan
from xstilts.data.steps import StepCut
from xstilts.evaluation.rows import OTHER_RESULTS, Row, read_rows
from xstilts.model.pretrained import local_folder
from xstilts.study.graph import Graph, Leaf, Stage
from xstilts.study.ranking import stage_features, stored
from xstilts.study.record import WEIGHTS, has_record, read_record, record_problem, snapshot_paths
from xstilts.study.works import evaluation_key, kinds_of
from xstilts.study.workspace import Workspace
from xstilts.tasks import find_task


@dataclass(frozen=True)
class Study:
    """The same on every rank."""

    recipe: Recipe
    deepspeed: DeepSpeedJson
    workspace: Workspace
    catalogue: Catalogue
    graph: Graph
    weights_are_here: bool = True
    """False of a plan for a released model that was not fetched."""

    def caveats(self) -> list[str]:
        """What the pretrained model says of itself that belongs beside every result."""
        pretrained = self.recipe.model.pretrained
        if not self.weights_are_here:
            return [f"{pretrained} is not here: planned by its published sizes, under ids that are not those of a run."]
        found = None if pretrained is None else read_provenance(local_folder(pretrained))
        return found.caveats if found else []

    def missing(self) -> list[Stage]:
        """Stages that a run would train, parents first."""
        found: dict[str, Stage] = {}
        for pilot in self.graph.pilots:
            if not self.ended(self.workspace.stage(pilot.id)):
                found |= {stage.id: stage for stage in self.untrained(pilot) if stage.id not in found}
        for leaf in self.graph.leaves:
            for needed in () if self.scored(leaf) else (leaf.head_of, leaf.stage):
                if needed is not None:
                    found |= {stage.id: stage for stage in self.untrained(needed) if stage.id not in found}
        return list(found.values())

    def untrained(self, stage: Stage) -> list[Stage]:
        """What is to be trained for this stage's weights, itself last; nothing if they are there."""
        if self.trained(stage):
            return []
        before = [stage.parent] if stage.parent else []
        if stage.reference and stored(self.workspace, stage) is None:
            before.append(stage.reference)
        lacking = {each.id: each for needed in before for each in self.untrained(needed)}
        return [*lacking.values(), stage]

    def trained(self, stage: Stage) -> bool:
        return self.holds_stage(self.workspace.stage(stage.id))

    @staticmethod
    def ended(folder: Path) -> bool:
        """Whether a folder holds a stage that was trained to its end, whatever has become of its weights."""
        return has_record(folder)

    @property
    def has_chosen(self) -> bool:
        """Whether every sweep has chosen: there is no more to the study than is laid out."""
        return all(choice.chosen is not None for choice in self.graph.choices)

    @staticmethod
    def holds_stage(folder: Path) -> bool:
        """Whether a folder holds a stage that was trained to its end, with its weights."""
        if not has_record(folder):
            return False
        kept = snapshot_paths(folder, read_record(folder)).values()
        return all(path.exists() for path in (folder / WEIGHTS, *kept))

    def scored(self, leaf: Leaf) -> bool:
        """Whether every row of the leaf is there."""
        return self.holds_scores(leaf, self.evaluation(leaf))

    def holds_scores(self, leaf: Leaf, folder: Path) -> bool:
        """Whether a folder holds every row of the leaf. A file alone is no proof: one that was cut short lacks the last
        rows, and with these a language would vanish from the report."""
        metrics = find_task(leaf.target).metrics
        of_one = {(language, metric) for language in leaf.languages for metric in metrics}
        of_rules = {(rule, *each) for rule in self.rules(leaf) for each in of_one}
        try:
            found = {(row.language, row.metric) for row in _rows(self.results(folder))}
            others = {(row.selection, row.language, row.metric) for row in _rows(self.other_results(folder))}
        except UserError:
            return False
        return found == of_one and others >= of_rules

    def rules(self, leaf: Leaf) -> list[Rule]:
        """The rules beside the primary one by which the leaf's weights are chosen too."""
        selection = self.recipe.selection
        if selection is None or leaf.stage is None or leaf.stage.snapshots is None:
            return []
        ends_best = leaf.stage.config.training.dev is not None
        decodes = find_task(leaf.target).kind.trainable
        return [rule for rule in selection.also if (rule != "last" or ends_best) and (rule != "oracle" or decodes)]

    def damage(self, folder: Path, final: Path) -> list[str]:
        """What a folder that is to be made `final` holds already and cannot be used, a line each."""
        lines = [record_problem(folder)]
        if self.results(folder).exists():
            lines.append(f"{self.results(folder)}: not all rows are there, or one is damaged")
        return [line.replace(str(folder), str(final)) for line in lines if line]

    @staticmethod
    def results(evaluation: Path) -> Path:
        """The rows of an evaluation, their arm left open."""
        return evaluation / "results.jsonl"

    @cached_property
    def digest(self) -> str:
        """Equal for studies whose results are the same rows, and the same before and after their sweeps choose."""
        keys = self._keys_of(self.graph.planned) if self.graph.choices else self._keys
        told: list[object] = [[*leaf, key] for leaf, key in sorted(keys.items())]
        if self.graph.choices:
            sweeps = {arm: [stage.sweep for stage in stages] for arm, stages in self.recipe.arms.items()}
            told.append([self.recipe.pilot_seeds, sweeps])
        return digest_of_json(told)[:12]

    @staticmethod
    def other_results(evaluation: Path) -> Path:
        """The rows of an evaluation under other rules of selection; there where the recipe has some."""
        return evaluation / OTHER_RESULTS

    def evaluation(self, leaf: Leaf) -> Path:
        """Folder of a leaf's rows and predictions."""
        return self.workspace.evaluation(self._keys[leaf.arm, leaf.target, leaf.seed])

    @cached_property
    def _keys(self) -> dict[tuple[str, str, int], str]:
        return self._keys_of(self.graph.leaves)

    def _keys_of(self, leaves: Iterable[Leaf]) -> dict[tuple[str, str, int], str]:
        return {
            (leaf.arm, leaf.target, leaf.seed): evaluation_key(
                leaf, self.catalogue, self.graph.model_id, self.deepspeed.precision
            )
            for leaf in leaves
        }

    def collect(self) -> list[Row]:
        """The rows of every leaf that has been scored."""
        scored = [(leaf.arm, self.results(self.evaluation(leaf))) for leaf in self.graph.leaves if self.scored(leaf)]
        return [replace(row, arm=arm) for arm, path in scored for row in read_rows(path)]

    def collect_others(self) -> list[Row]:
        """The rows of every leaf that has been scored, under the recipe's other rules of selection."""
        scored = [leaf for leaf in self.graph.leaves if self.rules(leaf) and self.scored(leaf)]
        found = [(leaf, row) for leaf in scored for row in read_rows(self.other_results(self.evaluation(leaf)))]
        return [replace(row, arm=leaf.arm) for leaf, row in found if row.selection in self.rules(leaf)]

    def steps(self, stage: Stage, *, planned: bool = False) -> StepCut:
        """The stage's steps; an error if the recipe cannot make them. `planned`: what they would be like, where
        the stage's examples are not chosen yet."""
        training = stage.config.training
        kinds = kinds_of(stage.config.tasks)
        features = stage_features(self.catalogue, self.workspace, stage, planned=planned)
        plan = BatchPlan(stage.randomness, stage.sizes, stage.config.mixing, training.batch_size)
        runtime = self.recipe.runtime
        return StepCut(
            plan,
            features,
            kinds,
            self.catalogue.tokenizer,
            training,
            runtime.tokens_per_micro_batch,
            runtime.micro_batches_per_step,
        )


def _rows(path: Path) -> Iterable[Row]:
    """None where there is no file."""
    return read_rows(path) if path.exists() else ()
