"""TensorBoard's overview, beside the curves of every stage: a run per arm with its scores and losses, and one of the
study with recipe, environment, answer and heat map.

It is a folder of its own because the tabs for scalars, images and text show nothing at first where there are more than
40 runs, and a study has more stages than that.
"""

from __future__ import annotations

import io
import json
import shutil
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib
import numpy as np
import yaml
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from xstilts.analysis.content import Content
from xstilts.analysis.figures.heat_map import draw_heat_map
from xstilts.analysis.learning import arm_and_place, targets_of, window_means
from xstilts.analysis.places import overview
from xstilts.analysis.runs import read_results, summary
from xstilts.analysis.transfer import compare
from xstilts.evaluation.rows import Row
from xstilts.study.provenance import Run

_DOTS_PER_INCH = 80
"""TensorBoard shrinks what is wider than its card by leaving pixels out, and signs with them: a small study fits."""


def write_arm(run_dir: Path, arm: str) -> None:
    """Writes the run of an arm anew: hyperparameters, scores by target and language, and losses, means over seeds; and
    each seed's score of a target, with the seed for a step."""
    results = read_results(run_dir)
    rows = [row for row in results.rows if row.arm == arm]
    folder = _folder(run_dir, arm)
    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(str(folder)) as writer:
        by_language: dict[tuple[str, str], list[float]] = defaultdict(list)
        by_seed: dict[tuple[str, int], list[float]] = defaultdict(list)
        for row in rows:
            if row.primary:
                by_language[row.task, row.language].append(row.value)
                by_seed[row.task, row.seed].append(row.value)
        means = {f"score/{task}": _mean_over_seeds(by_seed, task) for task, _ in by_seed}
        for part in hparams(_hyperparameters(results.run, arm, len({row.seed for row in rows})), means):
            writer.file_writer.add_summary(part)
        for tag, value in means.items():
            writer.add_scalar(tag, value, 0)
        for (task, language), values in by_language.items():
            writer.add_scalar(f"{task}/{language}", fmean(values), 0)
        for (task, seed), values in sorted(by_seed.items()):
            writer.add_scalar(f"score by seed/{task}", fmean(values), seed)
        for place, losses in _losses(run_dir, rows, targets_of(results.run)).items():
            for step, values in sorted(losses.items()):
                writer.add_scalar(f"loss/{place}", fmean(values), step)


def write_study(run_dir: Path, content: Content) -> None:
    """Writes the run of the study anew: what was asked and answered, by what, and what changed where; and those of arms
    that share all their results with others."""
    results = read_results(run_dir)
    for arm in dict.fromkeys(row.arm for row in results.rows):
        if not _folder(run_dir, arm).is_dir():
            write_arm(run_dir, arm)
    folder = overview(run_dir) / "study"
    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(str(folder)) as writer:
        said = [content.question, *content.answers, *content.unanswered, *content.notes]
        writer.add_text("answer", "\n\n".join(filter(None, said)) or "The recipe asks no question.")
        writer.add_text("environment", summary(results))
        if results.run:
            recipe = yaml.safe_dump(results.run.settings.recipe, sort_keys=False, allow_unicode=True)
            writer.add_text("recipe", "\n".join(f"    {line}" for line in recipe.splitlines()))
            image = _heat_map(results.rows, results.run.baseline)
            if image is not None:
                writer.add_image("change by arm, target and language", image, dataformats="HWC")


def _folder(run_dir: Path, arm: str) -> Path:
    return overview(run_dir) / "arms" / arm


def _mean_over_seeds(by_seed: Mapping[tuple[str, int], Sequence[float]], task: str) -> float:
    return fmean(fmean(values) for (name, _), values in by_seed.items() if name == task)


def _hyperparameters(run: Run | None, arm: str, num_seeds: int) -> dict[str, Any]:
    """What tells the arms apart: values that TensorBoard's table can sort by."""
    if run is None:
        return {"arm": arm, "seeds": num_seeds}
    stages: Sequence[dict[str, Any]] = run.settings.recipe.get("arms", {}).get(arm, [])
    found: dict[str, Any] = {"arm": arm, "seeds": num_seeds, "precision": run.precision, "stages": len(stages)}
    found["tasks"] = ", then ".join("+".join(stage["tasks"]) for stage in stages) or "none"
    if stages:
        training = stages[-1]["training"]
        found |= {
            key: training[key] for key in ("lr", "batch_size", "steps", "epochs") if training.get(key) is not None
        }
    return found


def _losses(run_dir: Path, rows: Sequence[Row], targets: Collection[str]) -> dict[str, dict[int, list[float]]]:
    """Place -> step -> losses of the stages behind the rows."""
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for stage in _lineage(run_dir, rows):
        _, place = arm_and_place(stage["label"], targets)
        for step, loss in window_means(run_dir / "stages" / stage["id"]):
            found[place][step].append(loss)
    return found


def _lineage(run_dir: Path, rows: Sequence[Row]) -> list[dict[str, str]]:
    """`id` and `label` of every stage behind the rows that is still described."""
    found: dict[str, dict[str, str]] = {}
    for stage_id in dict.fromkeys(row.stage for row in rows):
        path = run_dir / "stages" / stage_id / "stage.json"
        if path.is_file():
            record = json.loads(path.read_text(encoding="utf-8"))
            chain = [*record["origin"]["parents"], {"id": stage_id, "label": record["label"]}]
            found |= {stage["id"]: stage for stage in chain}
    return list(found.values())


def _heat_map(rows: Sequence[Row], baseline: str) -> np.ndarray | None:
    """uint8 [height, width, 4]; None where nothing changed against the baseline."""
    drawing = draw_heat_map([cell for cell in compare(rows, baseline) if cell.primary and cell.change.by_seed])
    if drawing is None:
        return None
    stream = io.BytesIO()
    drawing.savefig(stream, format="png", dpi=_DOTS_PER_INCH, facecolor="white")
    stream.seek(0)
    return (matplotlib.image.imread(stream) * 255).astype(np.uint8)
