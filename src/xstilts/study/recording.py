"""Keeping `run.json` and a launch's own file: written before anything is trained, completed at the end of the launch,
whatever that is."""

from __future__ import annotations

import platform
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from xstilts.core.atomic import write_whole
from xstilts.core.digests import digest_of_json
from xstilts.core.errors import StorageError, UserError
from xstilts.core.exit_codes import EXIT_OK, exit_code_of
from xstilts.core.redaction import redact
from xstilts.distributed import dist, heartbeat
from xstilts.model.fields import shape_of
from xstilts.study.provenance import (
    LAUNCHES,
    RUN_FILE,
    About,
    Expected,
    Host,
    Launch,
    LaunchFile,
    Parameters,
    PlannedStage,
    Settings,
    paths_of,
    read_run,
    read_told,
)
from xstilts.study.size import planned_size
from xstilts.study.software import source
from xstilts.study.study import Study
from xstilts.study.versions import versions
from xstilts.training.monitors.preemption import Preempted


def about_study(study: Study) -> About:
    """What a launch that computes a study says of itself."""
    recipe = study.recipe
    targets = {leaf.target: list(leaf.languages) for leaf in study.graph.planned}
    there = {(leaf.arm, leaf.target) for leaf in study.graph.planned}
    without = {
        target: absent for target in targets if (absent := [arm for arm in recipe.arms if (arm, target) not in there])
    }
    expected = Expected(arms=list(recipe.arms), targets=targets, seeds=recipe.seeds, without=without)
    tasks = dict.fromkeys(task for stage in study.graph.planned_stages() for task in stage.config.tasks)
    size = planned_size(shape_of(recipe.model, study.catalogue.tokenizer), study.catalogue, tasks)
    stages = [
        PlannedStage(id=stage.id, label=stage.label, seed=stage.seed, num_steps=stage.num_steps)
        for stage in study.graph.stages()
    ]
    return about(
        study,
        expected,
        size,
        title=recipe.title or recipe.name,
        baseline=recipe.baseline,
        stages=stages,
        sweeps=[asdict(choice) for choice in study.graph.choices],
    )


def about(
    study: Study,
    expected: Expected,
    parameters: Parameters,
    *,
    title: str,
    baseline: str,
    stages: Sequence[PlannedStage] = (),
    sweeps: Sequence[dict[str, Any]] = (),
    checkpoint: dict[str, Any] | None = None,
) -> About:
    """What a launch that computes the results `expected` says of itself."""
    recipe, deepspeed = study.recipe, study.deepspeed
    return About(
        name=recipe.name,
        title=title,
        baseline=baseline,
        precision=deepspeed.precision,
        caveats=study.caveats(),
        expected=expected,
        stages=list(stages),
        sweeps=list(sweeps),
        parameters=parameters,
        settings=Settings(
            recipe=recipe.model_dump(mode="json"), deepspeed_file=str(deepspeed.path), deepspeed=deepspeed.values
        ),
        checkpoint=checkpoint,
    )


@contextmanager
def recorded(folder: Path, told: About, overrides: Sequence[str], launch_id: str) -> Iterator[Callable[[About], None]]:
    """Adds a launch to what a folder says of its run, and its end when the context is left in whatever way.

    The context is a function, a collective too, that tells anew what the launch says of the run.

    A collective at the beginning; at the end rank 0 writes by itself, for others may have ended.
    """
    hosts = _hosts(dist.gather((socket.gethostname(), _device_name())))
    record = _LaunchRecord(folder)
    dist.on_first_rank(lambda: record.begin(told, hosts, overrides, launch_id))
    if dist.rank() == 0:
        print(opening_line(told, hosts), flush=True)
    heartbeat.before_sudden_end(record.end)
    try:
        yield lambda about: dist.on_first_rank(lambda: record.tell(about))
    except BaseException as error:
        if isinstance(error, RuntimeError):
            # So a collective breaks when another rank ends first; the supervisor then ends this one, and says why.
            heartbeat.await_word()
        record.end(exit_code_of(error), _reason(error))
        raise
    finally:
        heartbeat.not_before_sudden_end(record.end)
    record.end(EXIT_OK, "")


def opening_line(told: About, hosts: Sequence[Host]) -> str:
    """What computes in which precision, and how large the model is."""
    devices = ", ".join(dict.fromkeys(device for host in hosts for device in host.devices))
    num_ranks, names = sum(len(host.ranks) for host in hosts), [host.name for host in hosts]
    where = names[0] if len(names) == 1 else f"{len(names)} hosts ({names[0]} to {names[-1]})"
    ranks = f"{num_ranks} rank{'' if num_ranks == 1 else 's'} on {where}"
    size = told.parameters.encoder + told.parameters.embeddings
    precision = f"{told.precision} ({Path(told.settings.deepspeed_file).name})"
    return f"computes in {precision} on {devices}, {ranks}; {size / 1e6:,.1f} M parameters without heads"


class _LaunchRecord:
    """The file of this launch; on ranks other than the first none is ever begun."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: LaunchFile | None = None
        self._ending = threading.Lock()

    def begin(self, told: About, hosts: list[Host], overrides: Sequence[str], launch_id: str) -> None:
        """Writes the file, its end left open; says it if the launch before has left its own open."""
        self._put_damaged_aside()
        before = read_run(self._folder)
        if before and before.launches[-1].end is None:
            start = before.launches[-1].start.isoformat(timespec="seconds")
            problem = f"the launch of {start} did not say how it ended: it was killed, or its host went down"
            print(f"{problem}, unless it is still running", flush=True)
        told = About.model_validate(redact(told.model_dump()))
        launch = Launch(
            id=launch_id,
            start=datetime.now(UTC),
            end=None,
            exit=None,
            reason="",
            world_size=sum(len(host.ranks) for host in hosts),
            hosts=hosts,
            overrides=redact(list(overrides)),
            precision=told.precision,
            settings=_digest(told.settings),
            versions=versions(),
            source=source(),
        )
        self._file = LaunchFile(**dict(told), format=1, launch=launch)
        self._write(self._file)

    def tell(self, told: About) -> None:
        """Writes what is said of the run anew, the launches as they are."""
        with self._ending:
            if self._file is not None:
                told = About.model_validate(redact(told.model_dump()))
                launch = self._file.launch.model_copy(update={"settings": _digest(told.settings)})
                self._file = self._file.model_copy(update={**dict(told), "launch": launch})
                self._write(self._file)

    def end(self, code: int, reason: str) -> None:
        """Writes how the launch ends, the first time that it is called, in any thread.

        Never an error: what ends the launch is to be told, or its results are there.
        """
        with self._ending:
            if self._file is None:
                return
            file, self._file = self._file, None
            end = {"end": datetime.now(UTC), "exit": code, "reason": redact(" ".join(reason.split()))}
            try:
                self._write(file.model_copy(update={"launch": file.launch.model_copy(update=end)}))
            except (UserError, StorageError) as error:
                print(f"{self._folder / RUN_FILE} does not say how this launch ended: {error}", flush=True)

    def _put_damaged_aside(self) -> None:
        for path, kind in paths_of(self._folder):
            try:
                read_told(path, kind)
            except UserError as error:
                kept = path.with_suffix(".damaged.json" if path.name == RUN_FILE else ".damaged")
                path.replace(kept)
                print(f"{error} - begun anew, the old one is {kept}", flush=True)

    def _write(self, file: LaunchFile) -> None:
        """This launch's file, which no other writes, and `run.json` after those of all."""
        write_whole(self._folder / LAUNCHES / f"{file.launch.id}.json", _text(file))
        run = read_run(self._folder)
        assert run is not None
        write_whole(self._folder / RUN_FILE, _text(run))


def _text(told: About) -> bytes:
    return (told.model_dump_json(indent=1) + "\n").encode()


def _digest(settings: Settings) -> str:
    return digest_of_json(settings.model_dump(mode="json"))[:12]


def _reason(error: BaseException) -> str:
    return "asked to stop" if isinstance(error, Preempted) else str(error) or type(error).__name__


def _hosts(ranks: Sequence[tuple[str, str]]) -> list[Host]:
    """From the name of the host and of the device of each rank."""
    return [
        Host(
            name=name,
            ranks=[rank for rank, (host, _) in enumerate(ranks) if host == name],
            devices=sorted({device for host, device in ranks if host == name}),
        )
        for name in dict.fromkeys(name for name, _ in ranks)
    ]


def _device_name() -> str:
    """`NVIDIA H100 80GB HBM3`; the processor where that is what computes."""
    device = dist.device()
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    processors = Path("/proc/cpuinfo")
    text = processors.read_text(encoding="utf-8", errors="replace") if processors.exists() else ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return f"{device.type}: {model[1] if model else platform.machine()}"
