"""What a study would run, without running it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from xstilts.config.training import StageConfig
from xstilts.data.mixing import shares
from xstilts.study.describe_cost import cost_as_json, describe_cost
from xstilts.study.graph import Leaf, Stage
from xstilts.study.study import Study
from xstilts.tasks.languages import ENGLISH


def describe_plan(
    study: Study, *, as_json: bool, design: Sequence[str] = (), on: tuple[str, int, int] = ("H100", 1, 1)
) -> str:
    """Stages with their steps and examples per task, targets with their languages, the cost; JSON or lines to read.

    `design`: lines that say what the study can find. `on`: device, ranks of a stage and stages at a time.
    """
    to_train = {stage.id for stage in study.missing()}
    stages = [_stage(stage, to_train=stage.id in to_train) for stage in study.graph.stages()]
    caveats = study.caveats()
    if as_json:
        recipe, deepspeed = study.recipe.name, str(study.deepspeed.path)
        sweeps = [asdict(choice) for choice in study.graph.choices]
        targets = [_target(leaf) for leaf in study.graph.leaves]
        about = {"recipe": recipe, "deepspeed": deepspeed, "caveats": caveats, "design": list(design)}
        found = {"stages": stages, "sweeps": sweeps, "targets": targets, "cost": cost_as_json(study, *on)}
        return json.dumps({**about, **found}, indent=1)
    lines = [f"{study.recipe.name}: {study.recipe.title}", f"DeepSpeed: {study.deepspeed.path.name}"]
    lines += [*caveats, ""]
    for alike in _alike_but_for_seeds(stages):
        stage = alike[0]
        drawn = stage["steps"] * stage["batch_size"]
        tasks = ", ".join(_coverage(name, n, share, drawn) for name, (n, share) in stage["tasks"].items())
        tasks = "; ".join([tasks, *stage["controls"]])
        if stage["snapshots"]:
            tasks += f"; weights kept every {stage['snapshots']['every']} steps, the last {stage['snapshots']['keep']}"
        num_to_train = sum(each["to_train"] for each in alike)
        state = "to train" if num_to_train else "done or not needed"
        if 0 < num_to_train < len(alike):
            state = f"{num_to_train} to train"
        seeds = f"seed{'' if len(alike) == 1 else 's'} {', '.join(str(each['seed']) for each in alike)}"
        lines.append(f"{stage['label']:<20}  {stage['steps']:>7,} steps  {seeds}  {state:<18}  {tasks}")
        lines.append(f"  {', '.join(each['id'] for each in alike)}")
    languages = {(leaf.arm, leaf.target): leaf.languages for leaf in study.graph.planned}
    if study.graph.choices:
        lines += ["", *(choice.line() for choice in study.graph.choices)]
    if not study.has_chosen:
        lines.append("What comes behind a value that is not chosen yet is neither listed above nor estimated below.")
    lines += ["", *(f"{arm} -> {target}: {', '.join(keys)}" for (arm, target), keys in languages.items())]
    for block in (describe_cost(study, *on), design):
        lines += ["", *block] if block else []
    return "\n".join(lines)


def _alike_but_for_seeds(stages: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The stages of each label, in the order of the first; those whose steps or tasks differ are not put together."""
    found: dict[str, list[dict[str, Any]]] = {}
    for stage in stages:
        own = ("id", "seed", "parent", "to_train")
        found.setdefault(json.dumps({k: v for k, v in stage.items() if k not in own}), []).append(stage)
    return list(found.values())


def _coverage(task: str, size: int, share: float, drawn: int) -> str:
    """How often a stage that draws so many examples goes over those of a task; the task's share where it is not all."""
    part = "" if share == 1 else f"{share:.0%} of the draws, "
    return f"{task} ({part}{size:,} examples {drawn * share / size:.2g} times)"


def idle_forwards(study: Study, world_size: int) -> list[str]:
    """A line for each share of forwards that the first step of stages leaves empty on so many ranks."""
    labels: dict[str, list[str]] = {}
    for label, stage in {stage.label: stage for stage in study.graph.stages()}.items():
        if share := study.steps(stage, planned=True).idle_share(0, world_size):
            labels.setdefault(f"{share:.0%}", []).append(label)
    remedy = f"set runtime.micro_batches_per_step to a multiple of {world_size}"
    return [
        f"on {world_size} ranks {share} of the forwards are empty; {remedy}; in {', '.join(named)}"
        for share, named in labels.items()
    ]


def _controls(config: StageConfig) -> list[str]:
    """What is another than in a stage that says nothing of it, in words."""
    said = [f"in {config.source_language}"] if config.source_language != ENGLISH else []
    if config.labels != "gold":
        said.append(f"{config.labels} labels")
    if config.inputs_of is not None:
        said.append(f"of the inputs of {config.inputs_of}")
    if config.code_switch is not None:
        said.append(f"{config.code_switch.rate:.0%} of the words switched by {config.code_switch.dictionary.name}")
    if config.trainable.encoder == "none":
        width = config.trainable.bottleneck
        said.append("heads on a frozen encoder" if width is None else f"adapters of {width} in a frozen encoder")
    return said


def _target(leaf: Leaf) -> dict[str, Any]:
    return {
        "arm": leaf.arm,
        "target": leaf.target,
        "seed": leaf.seed,
        "stage": leaf.stage.id if leaf.stage else None,
        "languages": list(leaf.languages),
    }


def _stage(stage: Stage, *, to_train: bool) -> dict[str, Any]:
    share = shares(stage.sizes, stage.config.mixing)
    return {
        "id": stage.id,
        "label": stage.label,
        "seed": stage.seed,
        "parent": stage.parent.id if stage.parent else None,
        "steps": stage.num_steps,
        "batch_size": stage.config.training.batch_size,
        "to_train": to_train,
        "labels": stage.config.labels,
        "controls": _controls(stage.config),
        "snapshots": asdict(stage.snapshots) if stage.snapshots else None,
        "tasks": {name: (size, round(float(share[name]), 4)) for name, size in stage.sizes.items()},
    }
