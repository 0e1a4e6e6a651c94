"""Computing a study: every stage and every evaluation that is not there yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial

from xstilts.core.atomic import sync_all
from xstilts.distributed import dist, heartbeat
from xstilts.evaluation.predictor import Work, predict
from xstilts.evaluation.rows import Row, write_rows
from xstilts.evaluation.scoring import primary_score
from xstilts.study.graph import Leaf, Stage
from xstilts.study.models import Models, inference
from xstilts.study.record import WEIGHTS, Record, has_record, read_record, write_record
from xstilts.study.score import Scored, kinds_of, publish, score_leaf
from xstilts.study.sources import dev_parts
from xstilts.study.study import Study
from xstilts.tasks import find_task
from xstilts.training.engine import Engine
from xstilts.training.job import Folders, Job
from xstilts.training.loop import clean, train


def run_study(study: Study) -> list[Row]:
    """Trains and scores what is missing, leaf by leaf; returns all rows. A collective.

    After every leaf `results.jsonl` holds all rows so far.
    """
    dist.on_first_rank(partial(_tell_precisions, study))
    for leaf in study.graph.leaves:
        # Rank 0 alone looks at the disk, or ranks could disagree on what is there.
        if not dist.on_first_rank(partial(study.scored, leaf)):
            for stage_id in dist.on_first_rank(partial(_untrained, study, leaf)):
                _train(study, next(stage for stage in leaf.lineage if stage.id == stage_id))
            _score(study, leaf)
            dist.on_first_rank(partial(_hand_in, study))
    return dist.on_first_rank(partial(_hand_in, study))


def _tell_precisions(study: Study) -> None:
    """Says what is taken as it is although this run would have computed it in another precision."""
    others: dict[str, list[str]] = {}
    for stage in study.graph.stages():
        folder = study.workspace.stage(stage.id)
        if has_record(folder) and (precision := read_record(folder).precision) != study.deepspeed.precision:
            others.setdefault(precision, []).append(f"{stage.label} seed {stage.seed}")
    for precision, stages in others.items():
        print(
            f"trained in {precision} and taken as they are, while this run computes in {study.deepspeed.precision}: "
            f"{', '.join(stages)}; give another --run-dir to train them anew",
            flush=True,
        )


def _untrained(study: Study, leaf: Leaf) -> list[str]:
    for problem in study.damage(leaf):
        print(f"{problem} - made again now", flush=True)
    return [stage.id for stage in study.untrained(leaf.stage)] if leaf.stage else []


def _train(study: Study, stage: Stage) -> None:
    """Trains one stage from its parent's weights; a collective."""
    folder = study.workspace.stage(stage.id)
    kinds = kinds_of(stage.config.tasks)
    model = Models(study.recipe.model, study.workspace, study.catalogue).start(stage)
    encoder_config = model.encoder.config.to_dict()
    if study.recipe.runtime.activation_checkpointing:
        model.encoder.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    loader = study.loader(stage)
    works = _dev_works(study, stage)

    def dev_scores(engine: Engine) -> Mapping[str, float]:
        outputs = predict(works, engine.evaluate, kinds, loader.tokenizer, loader.token_budget)
        return {work.task.name: primary_score(work, output) for work, output in zip(works, outputs, strict=True)}

    dev_features = [(work.features, work.num_examples) for work in works]
    job = Job(f"{stage.label} seed {stage.seed}", stage.randomness, model, loader, dev_scores, dev_features)
    folders = Folders(folder, study.workspace.tensorboard(stage))
    outcome = train(job, study.recipe.runtime, study.deepspeed.values, folders)
    labels = {name: study.catalogue.labels(find_task(name)) for name in kinds}
    before = read_record(study.workspace.stage(stage.parent.id)).precision.split("-") if stage.parent else []
    precisions = dict.fromkeys([*before, study.deepspeed.precision])
    record = Record(
        label=stage.label,
        tasks=list(kinds),
        labels={name: list(own) if own else None for name, own in labels.items()},
        seed=stage.seed,
        seeds="-".join(str(before.seed) for before in stage.lineage()),
        encoder=encoder_config,
        tokenizer=study.catalogue.tokenizer.fingerprint,
        precision="-".join(precisions),
        **asdict(outcome),
    )

    dist.on_first_rank(lambda: write_record(folder, record))
    heartbeat.saved(folder)  # in place of the checkpoints, which go now
    dist.on_first_rank(lambda: clean(folder))


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


def _score(study: Study, leaf: Leaf) -> None:
    """Scores a leaf from its trained weights; a collective."""
    model = Models(study.recipe.model, study.workspace, study.catalogue).end(leaf.stage)
    forward = inference(model, study.deepspeed.precision, dist.device())
    if leaf.stage:
        record = read_record(study.workspace.stage(leaf.stage.id))
        source = (leaf.stage.id, record.seed, record.seeds, record.selection, record.precision)
        scored = Scored(forward, record.labels, *source)
    else:
        source = (study.graph.model_id, leaf.seed, str(leaf.seed), "pretrained", study.deepspeed.precision)
        scored = Scored(forward, {}, *source)
    predictions = study.evaluation(leaf) / "predictions"
    budget = study.recipe.runtime.tokens_per_micro_batch
    rows = score_leaf(leaf, scored, study.catalogue, budget, predictions, study.workspace.labels)

    def finish() -> None:
        sync_all(predictions)
        sync_all(study.workspace.labels)
        write_rows(study.results(leaf), rows)

    dist.on_first_rank(finish)


def _hand_in(study: Study) -> list[Row]:
    """Puts rows and predictions where they are looked for, and drops weights that nothing needs any more."""
    rows = study.collect()
    write_rows(study.workspace.results, rows)
    needed: set[str] = set()
    for leaf in study.graph.leaves:
        if study.scored(leaf):
            publish(
                study.evaluation(leaf) / "predictions", leaf.target, study.workspace.submission(leaf.arm, leaf.seed)
            )
        else:
            needed |= {stage.id for stage in leaf.lineage}
    if not study.recipe.runtime.keep_leaf_weights:
        for stage in study.graph.stages():
            if stage.is_leaf and stage.id not in needed:
                (study.workspace.stage(stage.id) / WEIGHTS).unlink(missing_ok=True)
    return rows
