"""A rank that is slow is named; one that stands still ends the run, and the stacks of all ranks say where they stood.

The second is started through the `deepspeed` launcher, as `deepspeed test_slow_rank.py WORLD FOLDER`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tiny
from launch import environment, free_port, run_ranks

from xstilts.config.runtime import Runtime
from xstilts.config.training import Mixing, Training
from xstilts.core.exit_codes import EXIT_HUNG
from xstilts.distributed import dist, heartbeat
from xstilts.model.multitask import MultiTaskModel

TASKS = ("mnli", "ccg")
TRAINING = Training(steps=6, batch_size=12, lr=1e-3)
SLOW_RANK = 1
HANG_SECONDS = 20.0


class SlowModel(MultiTaskModel):
    """Sleeps in the forward pass of one rank."""

    naps: list[float]
    """Seconds of the next naps, last first; then it stays awake."""

    def _encode(self, batch: Any, **options: bool) -> Any:
        if dist.rank() == SLOW_RANK and self.naps:
            oversleep(self.naps.pop())
        return super()._encode(batch, **options)


def oversleep(seconds: float) -> None:
    time.sleep(seconds)


def train_slowly(world: Path, folder: Path, stage: int, naps: list[float]) -> None:
    from xstilts.training.job import Folders, Job
    from xstilts.training.loop import train

    model = tiny.model(world, TASKS)
    model.__class__ = SlowModel
    model.naps = naps
    loader = tiny.loader(world, TASKS, TRAINING, Mixing(weighting="uniform"), token_budget=320)
    job = Job("slow", tiny.SEED, model, loader, dev_scores=lambda engine: {})
    folders = Folders(folder, folder / "tensorboard")
    train(job, Runtime(straggler_every=3, log_every=1000), tiny.deepspeed_json(stage), folders)


def train_at_all_stages(world: Path, folder: Path) -> list[str]:
    """Runs in every rank; names of DeepSpeed's collectives that are still replaced afterwards."""
    from deepspeed.comm import comm

    for stage in (0, 1, 2, 3):
        train_slowly(world, folder / str(stage), stage, [0.2] * 1000)
    return [name for name, value in vars(comm.cdb).items() if "CollectiveClock" in repr(value)]


@pytest.fixture(scope="module")
def slow_runs(tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tiny.catalogue(tiny_world)
    folder = tmp_path_factory.mktemp("slow")
    assert run_ranks(train_at_all_stages, 2, tiny_world, folder) == [[], []]
    return folder


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_slow_rank_is_named(slow_runs: Path, stage: int) -> None:
    """The steps of both ranks take equally long: only what they do in them tells who is slow."""
    records = [json.loads(line) for line in (slow_runs / str(stage) / "steps.jsonl").read_text().splitlines()]
    compared = {record["step"]: record["ranks"] for record in records if "ranks" in record}
    assert compared.keys() == {3, 6}
    awake, slow = compared[6]
    assert awake["step"] == pytest.approx(slow["step"], rel=0.2)
    assert awake["exchange"] > 0.5 * awake["step"] > slow["exchange"]
    (said,) = [record["event"] for record in records if record.get("event", "").startswith("step 6: ")]
    assert said.startswith(f"step 6: rank {SLOW_RANK} ({slow['host']}) is ")


def test_rank_that_stands_still_ends_the_run_with_all_stacks(tiny_world: Path, tmp_path: Path) -> None:
    tiny.catalogue(tiny_world)
    launcher = shutil.which("deepspeed", path=environment()["PATH"])
    assert launcher
    command = [launcher, "--num_gpus", "2", "--master_port", str(free_port()), __file__, str(tiny_world), str(tmp_path)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == EXIT_HUNG, done.stdout + done.stderr
    started = float((tmp_path / "started").read_text())
    assert time.time() - started < HANG_SECONDS + 20
    waiting, sleeping = ((tmp_path / "stacks" / f"rank{rank}.txt").read_text() for rank in (0, SLOW_RANK))
    assert "in oversleep" in sleeping
    assert "in oversleep" not in waiting
    assert "in backward" in waiting or "in sum_over_ranks" in waiting


def hang(world: Path, folder: Path) -> None:
    """One rank of the run that stands still."""
    dist.set_up()
    with heartbeat.Heartbeat(hang_seconds=HANG_SECONDS, interval=0.5):
        heartbeat.dump_stacks_into(folder / "stacks")
        (folder / "started").write_text(str(time.time()))
        train_slowly(world, folder, 2, [1000.0])


if __name__ == "__main__":
    hang(*map(Path, [argument for argument in sys.argv[1:] if not argument.startswith("--local_rank")]))
