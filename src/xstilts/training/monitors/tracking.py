"""What a run says while it trains: one line per step on the screen, the same to JSON lines and TensorBoard."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO

from torch.utils.tensorboard import SummaryWriter

from xstilts.config.runtime import Runtime
from xstilts.core.display import Display
from xstilts.distributed import dist
from xstilts.training.checkpoint.format import Progress as Resumed
from xstilts.training.job import Folders, Job
from xstilts.training.monitors.trackers import Trackers

Fault = Literal["loss", "gradient", "overflow"]
"""Why a step was skipped: what of it is not finite, or that fp16's loss scale was too high for it."""


@dataclass(frozen=True)
class StepReport:
    """One optimizer step, summed over ranks."""

    step: int
    """Number of the step just taken, from 1."""
    num_steps: int
    loss: float
    task_losses: Mapping[str, float]
    """Mean loss over the step's examples of each task that occurred."""
    task_examples: Mapping[str, int]
    num_tokens: int
    seconds: float
    lr: float
    grad_norm: float
    """Before clipping."""
    mfu: float | None
    """Model FLOPs utilisation, 0 to 1; None on hardware whose peak is not known."""
    fault: Fault | None
    """None: the step counted."""

    def line(self) -> str:
        """The dense progress line."""
        left = (self.num_steps - self.step) * self.seconds
        parts = [
            f"step {self.step}/{self.num_steps}",
            f"loss {self.loss:.4f}",
            " ".join(f"{task}:{loss:.3f}" for task, loss in self.task_losses.items()),
            f"lr {self.lr:.2e}",
            f"norm {self.grad_norm:.2f}",
            f"{self.num_tokens / self.seconds:,.0f} tok/s",
            f"mfu {self.mfu:.1%}" if self.mfu is not None else "",
            "skipped" if self.fault else "",
            f"eta {int(left // 3600):d}:{int(left % 3600 // 60):02d}:{int(left % 60):02d}",
        ]
        return " | ".join(part for part in parts if part)


class Tracker:
    """Rank 0 writes; the other ranks hold one that does nothing, so that callers need not ask."""

    def __init__(self, job: Job, folders: Folders, runtime: Runtime, resumed: Resumed, display: Display) -> None:
        """Goes on after the step that is resumed from: what an earlier launch recorded of later ones is dropped."""
        self._log_every = runtime.log_every
        self._others: Trackers | None = None
        self._stream: TextIO | None = None
        self._writer: SummaryWriter | None = None
        self._name = job.name
        self._display = display
        if dist.rank() != 0:
            return
        folders.stage.mkdir(parents=True, exist_ok=True)
        cut_back(folders.steps, resumed)
        self._stream = folders.steps.open("a", encoding="utf-8")
        self._writer = SummaryWriter(str(folders.tensorboard), purge_step=resumed.step + 1)
        if runtime.trackers:
            self._others = Trackers(runtime.trackers, folders.stage, job.name, resumed.step)

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.remove("stage")
        if self._writer:
            self._writer.close()
        if self._others:
            self._others.close()
        if self._stream:
            self._stream.close()

    def step(self, report: StepReport) -> None:
        """Records a step everywhere; prints it every `log_every` steps."""
        if not self._stream or not self._writer:
            return
        record = {"step": report.step, "loss": report.loss, "tasks": dict(report.task_losses), "lr": report.lr}
        record |= {"grad_norm": report.grad_norm, "tokens": report.num_tokens, "seconds": round(report.seconds, 4)}
        self.record(record | ({"skipped": report.fault} if report.fault else {}))
        scalars = {
            "train/loss": report.loss,
            "train/lr": report.lr,
            "train/tokens_per_s": report.num_tokens / report.seconds,
        }
        scalars |= {f"loss/{task}": loss for task, loss in report.task_losses.items()}
        total = sum(report.task_examples.values())
        scalars |= {f"mixing/{task}": n / total for task, n in report.task_examples.items()}
        scalars["train/grad_norm"] = report.grad_norm
        if report.mfu is not None:
            scalars["train/mfu"] = report.mfu
        self.scalars(report.step, scalars)
        if report.step % self._log_every == 0 or report.step == report.num_steps:
            self._display.say(report.line())
        self._display.update("stage", self._name, report.step, report.num_steps)

    def dev(self, step: int, score: float, scores: Mapping[str, float], best: bool) -> None:
        """Records an evaluation on English dev data."""
        if not self._stream or not self._writer:
            return
        self.record({"step": step, "dev": score, "dev_tasks": dict(scores), "best": best})
        self.scalars(step, {f"dev/{task}": value for task, value in scores.items()} | {"dev/mean": score})
        detail = " ".join(f"{task}:{value:.1f}" for task, value in scores.items())
        self._display.say(f"dev at step {step}: {score:.2f} ({detail}){' best so far' if best else ''}")

    def say(self, message: str, **details: Any) -> None:
        """Prints an event, and records it with its details."""
        if self._stream:
            self.record({"event": message, **details})
            self._display.say(message)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Draws curves in TensorBoard and other trackers, which leave out what is not finite."""
        if self._writer:
            finite = {tag: value for tag, value in values.items() if math.isfinite(value)}
            for tag, value in finite.items():
                self._writer.add_scalar(tag, value, step)
            if self._others:
                self._others.scalars(step, finite)

    def record(self, record: Mapping[str, Any]) -> None:
        """Adds a line to `steps.jsonl`; numbers that are not finite, which JSON lacks, become null."""
        if self._stream:
            self._stream.write(json.dumps({**_finite(record), "time": round(time.time(), 3)}) + "\n")
            self._stream.flush()


def cut_back(path: Path, resumed: Resumed) -> None:
    """Ends `steps.jsonl` before the first record that the resumed run will make again, or that a kill cut short."""
    if not path.exists():
        return
    with path.open("r+b") as stream:
        end = 0
        for line in stream:
            if not line.endswith(b"}\n"):
                break
            record = json.loads(line)
            if record.get("step", 0) > (resumed.dev_step if "dev" in record else resumed.step):
                break
            end += len(line)
        stream.truncate(end)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
