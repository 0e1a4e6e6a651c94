"""Training one stage of a study from its parent's weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from xstilts.core.display import Display
from xstilts.data.loader import StepLoader
from xstilts.distributed import dist
from xstilts.evaluation.predictor import Predictor
from xstilts.evaluation.results import dev_score
from xstilts.evaluation.work import Work
from xstilts.study.graph import Stage
from xstilts.study.models import Models
from xstilts.study.rank_examples import ranking_of
from xstilts.study.record import Record, origin_of, write_record
from xstilts.study.sources import dev_parts
from xstilts.study.study import Study
from xstilts.study.works import kinds_of
from xstilts.tasks import find_task
from xstilts.training.engine import Engine, deepspeed_config
from xstilts.training.job import Folders, Job
from xstilts.training.loop import train


def train_stage(
    study: Study, stage: Stage, folder: Path, is_lost: Callable[[], bool], display: Display | None = None
) -> None:
    """Trains to the end, or on from where that was interrupted, and writes weights and record into `folder`; a
    collective.

    `is_lost`: whether this rank knows that another launch has taken the stage over.

    Raises:
        Superseded: another launch has; on every rank.
    """
    kinds = kinds_of(stage.config.tasks)
    ranking = dist.on_first_rank_long_running(partial(ranking_of, study, stage))
    model = Models(study.recipe.model, study.workspace, study.catalogue).start(stage)
    model.attention = study.recipe.runtime.attention
    encoder_config = model.encoder.config.to_dict()
    if study.recipe.runtime.activation_checkpointing:
        model.encoder.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    if study.recipe.runtime.compile:
        model.compile_layers()
    loader = StepLoader.of(study.steps(stage))
    works = _dev_works(study, stage)

    def dev_scores(engine: Engine) -> Mapping[str, float]:
        outputs = Predictor(engine.evaluate, kinds, loader.tokenizer, loader.token_budget).predict(works)
        return {work.task.name: dev_score(work, output) for work, output in zip(works, outputs, strict=True)}

    dev_features = [(work.features, work.num_examples) for work in works]
    name = f"{stage.label} seed {stage.seed}"
    seed, snapshots = stage.randomness, stage.snapshots
    job = Job(name, seed, model, loader, dev_scores, dev_features, is_lost, snapshots)
    folders = Folders(folder, study.workspace.tensorboard(stage))
    outcome = train(job, study.recipe.runtime, study.deepspeed.values, folders, display)
    labels = {name: study.catalogue.labels(find_task(name)) for name in kinds}
    record = Record(
        label=stage.label,
        tasks=list(kinds),
        labels={name: list(own) if own else None for name, own in labels.items()},
        seed=stage.seed,
        seeds="-".join(str(before.seed) for before in stage.lineage()),
        encoder=encoder_config,
        tokenizer=study.catalogue.tokenizer.fingerprint,
        num_steps=outcome.num_steps,
        selected_step=outcome.selected_step,
        selection=outcome.selection,
        dev_score=outcome.dev_score,
        weights=outcome.weights,
        num_visits=outcome.num_visits,
        ranking=ranking,
        origin=origin_of(
            stage,
            study.recipe.model,
            study.graph.model_id,
            study.deepspeed.precision,
            deepspeed_config(stage.config.training, study.deepspeed.values),
            study.recipe.runtime,
            study.graph.choices,
        ),
        snapshots=outcome.snapshots,
    )
    dist.on_first_rank(lambda: write_record(folder, record))


def _dev_works(study: Study, stage: Stage) -> list[Work]:
    dev = stage.config.training.dev
    if dev is None:
        return []
    works = []
    for part in dev_parts(stage.config):
        task, features = find_task(part.task), study.catalogue.open(part)
        labels = study.catalogue.labels(task)
        works.append(Work(task, part.language, part.split, features, labels, min(dev.num_examples, len(features))))
    return works
