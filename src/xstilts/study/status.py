"""How far a run is, from the files in its directory alone: it may run on other hosts, or not at all."""

from __future__ import annotations

import time
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from xstilts.core.errors import UserError
from xstilts.study.journal import JOURNAL, read_lines
from xstilts.study.lease import attempts
from xstilts.study.provenance import RUN_FILE, Launch, PlannedStage, Run, read_run
from xstilts.study.working import Working, describe_hosts, read_working

State = Literal["done", "training", "interrupted", "to do"]

_TAIL = 2**18
"""Bytes at the end of `steps.jsonl` that speed and time left are taken from: several hundred steps."""


@dataclass(frozen=True)
class StageStatus:
    """One stage."""

    id: str
    label: str
    seed: int
    num_steps: int
    state: State
    step: int
    """Steps taken; those of a finished stage may be fewer than planned, by its patience."""
    saved_step: int | None
    """Step of the newest checkpoint of an unfinished stage: where a later launch goes on."""
    tokens_per_s: float | None
    """Over the last steps, of all ranks together."""
    seconds_per_step: float | None
    """The same, evaluations and checkpoints included."""
    loss: float | None
    seconds_left: float | None
    """Of a stage that is being trained."""
    last_time: float
    """Unix time of its last record, 0 if there is none."""
    last_event: str
    """What was last said in it, or the last evaluation."""


@dataclass(frozen=True)
class Status:
    """A run."""

    name: str
    title: str
    running: bool
    """Whether a launch works in the run directory."""
    launches: list[Working]
    """Those that do, oldest first, and what each is at."""
    end: str
    """How the newest launch ended; empty while one runs."""
    hosts: list[str]
    """`HOST: N ranks, DEVICE` of the newest launch."""
    stages: list[StageStatus]
    num_results: int
    """Results (arm, target, seed) whose every language is scored."""
    num_expected: int
    seconds_left: float | None
    """Of the whole study, its work divided evenly over the launches; None where nothing was measured yet, or nothing
    runs."""
    last_time: float
    last_event: str


def read_status(run_dir: Path, now: float | None = None) -> Status:
    """The status at the Unix time `now`.

    Raises:
        UserError: it is no run directory.
    """
    run = read_run(run_dir)
    if run is None:
        raise UserError.at(run_dir / RUN_FILE, None, "no such file", "give the directory of a run: runs/NAME")
    now = time.time() if now is None else now
    launches = read_working(run_dir, run, now)
    stages = _stages(run_dir, run.stages, {held.key for launch in launches for held in launch.holds})
    journal = list(read_lines(run_dir / JOURNAL))
    scored = _scored(run_dir, run)
    expected = run.expected
    pairs = [(arm, target) for arm in expected.arms for target in expected.targets if expected.has(arm, target)]
    num_expected = len(pairs) * len(expected.seeds)
    events = [(stage.last_time, f"{stage.label} seed {stage.seed}: {stage.last_event}") for stage in stages]
    events += [(entry["time"], _scoring_event(entry)) for entry in journal[-1:]]
    last_time, last_event = max(events, default=(0.0, ""))
    seconds = [entry["seconds"] for entry in journal if "seconds" in entry]
    left = _study_left(stages, seconds, num_expected - len(scored)) if launches else None
    return Status(
        name=run.name,
        title=run.title,
        running=bool(launches),
        launches=launches,
        end="" if launches else _end(run.launches[-1]),
        hosts=describe_hosts(run.launches[-1]),
        stages=stages,
        num_results=len(scored),
        num_expected=num_expected,
        seconds_left=None if left is None else left / len(launches),
        last_time=last_time,
        last_event=last_event,
    )


def _stages(run_dir: Path, planned: Sequence[PlannedStage], held: Set[str]) -> list[StageStatus]:
    """The stages, of which those with an id in `held` are being worked on."""
    finals = [run_dir / "stages" / stage.id for stage in planned]
    read = [_read_stage([*attempts(final), final][0], stage) for final, stage in zip(finals, planned, strict=True)]
    return [_trained(stage) if stage.id in held and stage.state != "done" else stage for stage in read]


def _trained(stage: StageStatus) -> StageStatus:
    pace = stage.seconds_per_step
    left = None if pace is None else pace * (stage.num_steps - stage.step)
    return replace(stage, state="training", seconds_left=left)


def _read_stage(folder: Path, planned: PlannedStage) -> StageStatus:
    """The stage as interrupted where it has begun and not ended: whether anybody is at it, leases say."""
    records = list(read_lines(folder / "steps.jsonl", _TAIL))
    opening = max((i for i, record in enumerate(records) if "after_step" in record), default=0)
    steps = [record for record in records if "loss" in record]
    of_launch = [record for record in records[opening:] if "loss" in record]
    done = (folder / "stage.json").exists()
    saved = [int(path.name.removeprefix("step-")) for path in (folder / "checkpoints").glob("step-????????")]
    last_time = float(records[-1].get("time", 0.0)) if records else 0.0
    said = [event for event in map(_event, records) if event]
    busy = sum(record["seconds"] for record in of_launch)
    return StageStatus(
        **planned.model_dump(),
        state="done" if done else "interrupted" if records else "to do",
        step=steps[-1]["step"] if steps else 0,
        saved_step=max(saved, default=None) if not done else None,
        tokens_per_s=sum(record["tokens"] for record in of_launch) / busy if busy else None,
        seconds_per_step=_pace(of_launch),
        loss=steps[-1]["loss"] if steps else None,
        seconds_left=None,
        last_time=last_time,
        last_event=said[-1].removeprefix(f"{planned.label} seed {planned.seed}: ") if said else "begun",
    )


def _pace(steps: Sequence[dict[str, Any]]) -> float | None:
    """Seconds from one step to the next, whatever came between; None from fewer than two steps of a launch."""
    if len(steps) < 2:
        return None
    return float((steps[-1]["time"] - steps[0]["time"]) / (len(steps) - 1))


def _event(record: dict[str, Any]) -> str:
    if "dev" in record:
        return f"dev at step {record['step']}: {record['dev']:.2f}{' best so far' if record.get('best') else ''}"
    return str(record.get("event", ""))


def _scoring_event(entry: dict[str, Any]) -> str:
    if "scored" in entry:
        return f"scored {entry['scored']} in {entry['seconds']:.0f} s"
    return f"scoring {entry.get('scoring', '')} in {_count(entry.get('languages', 0), 'language')}"


def _scored(run_dir: Path, run: Run) -> set[tuple[str, str, int]]:
    """(arm, target, seed) of which every language has a score."""
    found: dict[tuple[str, str, int], set[str]] = {}
    for row in read_lines(run_dir / "results.jsonl"):
        found.setdefault((row["arm"], row["task"], row["seed"]), set()).add(row["language"])
    return {key for key, languages in found.items() if languages >= set(run.expected.targets.get(key[1], ["?"]))}


def _study_left(stages: Sequence[StageStatus], scoring_seconds: Sequence[float], num_unscored: int) -> float | None:
    """Stages to come take what stages of the same place took, else what the measured ones took, by their steps."""
    paces: dict[str, list[float]] = {}
    for stage in stages:
        if stage.seconds_per_step is not None:
            paces.setdefault(_place(stage), []).append(stage.seconds_per_step)
    if not paces:
        return None
    usual = fmean(pace for place in paces.values() for pace in place)
    left = 0.0
    for stage in stages:
        if stage.state != "done":
            own = stage.seconds_per_step or fmean(paces.get(_place(stage), [usual]))
            left += own * (stage.num_steps - stage.step)
    return left + (fmean(scoring_seconds) * num_unscored if scoring_seconds else 0.0)


def _place(stage: StageStatus) -> str:
    """What stages of several arms have in common: `nine.udpos` and `none.udpos` are both `udpos`."""
    return stage.label.rpartition(".")[2]


def _end(launch: Launch) -> str:
    if launch.end is None:
        return "was killed: it did not say how it ended"
    if launch.exit == 0:
        return f"ended at {launch.end.astimezone():%Y-%m-%d %H:%M:%S}"
    return f"ended with code {launch.exit} ({launch.reason})"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
