"""Signals to the launcher, to one rank and to all processes: both ranks save at one step, and the next launch goes on
with the same losses, bit for bit.

What `deepspeed` itself returns is asserted too, for whoever requeues on it: 75 when a rank was told; 1 when its process
of this host was, which ends the ranks by SIGTERM and does not ask for their codes; -15 when the command itself was,
which does not survive the signal.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import tiny
from launch import Study, run_study, start_study

from xstilts.core.exit_codes import EXIT_PREEMPTED, EXIT_STOPPED
from xstilts.study.provenance import read_run
from xstilts.training.checkpoint.format import checkpoints, verify

NUM_STEPS = 60
AHEAD = 6
"""Steps of progress before each signal."""


def to_host_process(study: Study) -> None:
    """As when the launcher of one host is told to end."""
    study.launcher.children()[0].terminate()


def to_last_rank(study: Study) -> None:
    study.launcher.children()[0].children()[-1].send_signal(signal.SIGUSR1)


def to_everyone(study: Study) -> None:
    """As batch systems do."""
    for process in [study.launcher, *study.launcher.children(recursive=True)]:
        process.terminate()


def ctrl_c(study: Study) -> None:
    """The launcher's own command dies of it, with a traceback of its own; the ranks save and end in peace."""
    study.interrupt()


SIGNALS: list[tuple[Callable[[Study], None], int]] = [
    (to_host_process, 1),
    (to_last_rank, EXIT_PREEMPTED),
    (to_everyone, -signal.SIGTERM),
    (ctrl_c, -signal.SIGINT),  # 130, as shells say it
]


@pytest.fixture(scope="module")
def recipe(tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    training = {"steps": NUM_STEPS, "batch_size": 12, "lr": 1e-3}
    arms = {"mixed": [{"tasks": ["mnli", "squad_v2"]}]}
    path = tmp_path_factory.mktemp("preempted") / "recipe.yaml"
    return tiny.write_recipe(
        path, tiny_world, deepspeed="zero2_fp32_cpu", training=training, tasks=[], arms=arms, baseline="mixed"
    )


@pytest.fixture(scope="module")
def whole(recipe: Path) -> Path:
    """A run that nobody asked to stop."""
    run_study(recipe, recipe.with_name("whole"), 2)
    assert len(mixed_losses(recipe.with_name("whole"))) == NUM_STEPS
    return recipe.with_name("whole")


@pytest.mark.timeout(900)
def test_preempted_run_continues_with_the_same_losses(recipe: Path, whole: Path, tmp_path: Path) -> None:
    run, step = tmp_path / "stopped", 0
    for number, (send, code) in enumerate(SIGNALS):
        log = tmp_path / f"log{number}"
        study = start_study(recipe, run, 2, "runtime.checkpoint_every=1000", log=log, terminal=True)
        wait_for_step(study, run, step + AHEAD)
        begun = time.monotonic()
        host_process = study.launcher.children()[0]
        processes = [host_process, *host_process.children()]
        send(study)
        assert study.wait(60) == code, log.read_text()
        psutil.wait_procs(processes, timeout=60)
        assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)
        assert time.monotonic() - begun < 30, "the launcher would have sent SIGKILL"
        saved = checkpoints(stage_of(run) / "checkpoints")
        assert len(saved) == min(number + 1, 2)
        newest = max(saved)
        assert verify(saved[newest]).step == newest >= step + AHEAD
        assert f"asked to stop, saved at step {newest}; launch again to continue" in log.read_text()
        step = newest
    said = log.read_text()  # of Ctrl-C
    assert said.count("Ctrl-C: saving after this step") == 1
    assert_only_the_launchers_traceback(said)
    assert step < NUM_STEPS, "there is nothing left to continue"

    run_study(recipe, run, 2)
    assert mixed_losses(run) == mixed_losses(whole)


@pytest.mark.timeout(600)
def test_supervised_run_is_asked_while_training_and_while_scoring(recipe: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    study = start_study(recipe, run, 2, log=tmp_path / "training", supervised=True)
    wait_for(study, lambda: bool(tiny.all_losses(run)) and len(max(tiny.all_losses(run).values(), key=len)) > AHEAD)
    study.launcher.send_signal(signal.SIGUSR1)
    assert study.wait(120) == EXIT_PREEMPTED, study.log.read_text()
    assert "asked to stop, saved at step" in study.log.read_text()
    assert tiny.all_losses(run) != tiny.all_losses(whole)

    finished = set(run.glob("stages/*/stage.json"))
    study = start_study(recipe, run, 2, log=tmp_path / "scoring", supervised=True)
    wait_for(study, lambda: set(run.glob("stages/*/stage.json")) > finished)
    study.launcher.terminate()
    assert study.wait(120) == EXIT_PREEMPTED, study.log.read_text()
    assert not (run / "report.md").exists()

    run_study(recipe, run, 2)
    assert tiny.all_losses(run) == tiny.all_losses(whole)
    launches = read_run(run).launches
    # Outside of training rank 0 ends as it is asked to, or with the ranks that have ended so.
    assert [launch.exit for launch in launches] in (
        [EXIT_PREEMPTED, code, 0] for code in (EXIT_PREEMPTED, EXIT_STOPPED)
    )
    assert all(launch.end for launch in launches)


def test_signal_outside_of_training_ends_at_once(tiny_world: Path, tmp_path: Path) -> None:
    recipe = tiny.write_recipe(
        tmp_path / "recipe.yaml", tiny_world, deepspeed="zero2_fp32_cpu", training={"steps": 2}, tasks=["mnli"]
    )
    study = start_study(recipe, tmp_path / "run", 2, log=tmp_path / "log")
    wait_for(study, lambda: "stages to train" in study.log.read_text())
    study.launcher.children()[0].children()[-1].terminate()
    assert study.wait(60) == EXIT_PREEMPTED, study.log.read_text()


def test_ctrl_c_while_the_ranks_start_ends_them_quietly(recipe: Path, tmp_path: Path) -> None:
    study = start_study(recipe, tmp_path / "run", 2, log=tmp_path / "log", terminal=True)

    def importing() -> bool:
        ranks = [child for process in study.launcher.children() for child in process.children()]
        return len(ranks) == 2 and all("libtorch" in Path(f"/proc/{rank.pid}/maps").read_text() for rank in ranks)

    wait_for(study, importing)
    host_process = study.launcher.children()[0]
    processes = [host_process, *host_process.children()]
    study.interrupt()
    assert study.wait(60) == -signal.SIGINT
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive
    assert_only_the_launchers_traceback(study.log.read_text())


def assert_only_the_launchers_traceback(said: str) -> None:
    assert said.count("Traceback") == said.count("KeyboardInterrupt") == 1, said
    assert "deepspeed/launcher/runner.py" in said and "xstilts/" not in said.partition("Traceback")[2], said


def stage_of(run: Path) -> Path:
    """The folder of the intermediate stage, the first one trained."""
    return next(
        path.parent for path in (run / "stages").glob("*/steps.jsonl") if f", {NUM_STEPS} steps" in path.read_text()
    )


def mixed_losses(run: Path) -> dict[int, float]:
    return tiny.losses(stage_of(run))


def wait_for_step(study: Study, run: Path, step: int) -> None:
    def arrived() -> bool:
        found = list((run / "stages").glob("*/steps.jsonl"))
        return bool(found) and f'{{"step": {step},' in found[0].read_text()

    wait_for(study, arrived)


def wait_for(study: Study, happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not happened():
        assert study.running and time.monotonic() < deadline, study.log.read_text()
        time.sleep(0.02)
