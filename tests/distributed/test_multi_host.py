"""`train.py` on two hosts made of namespaces: real ssh, real launchers, real links."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import failures
import hosts
import launch
import pytest
import tiny

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.skipif(hosts.why_not() is not None, reason=str(hosts.why_not())),
]
STEPS = 30


def losses(run_dir: Path) -> dict[int, float]:
    (path,) = run_dir.glob("stages/*/steps.jsonl")
    return tiny.losses(path.parent)


def end(cluster: failures.Cluster, *processes: subprocess.Popen[bytes], timeout: float) -> None:
    """The end of `processes`, which must be good and leave nothing on any host."""
    for process in processes:
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not over after {timeout} s: {cluster.said()[-4000:]}") from None
        assert code == 0, cluster.said()[-4000:]
    assert cluster.left() == {}


@pytest.fixture(scope="module")
def one_host(tmp_path_factory: pytest.TempPathFactory, tiny_world: Path) -> dict[int, float]:
    """Losses of two ranks on one host at ZeRO 1."""
    folder = tmp_path_factory.mktemp("one_host")
    launch.run_study(failures.write_recipe(folder, tiny_world, 1, STEPS), folder / "run", 2)
    return losses(folder / "run")


@pytest.mark.parametrize(
    ("launcher", "stage"),
    [
        ("pdsh", 1),
        pytest.param("openmpi", 2, marks=pytest.mark.slow),
        pytest.param("no_ssh", 3, marks=pytest.mark.slow),
    ],
)
def test_launchers_give_the_losses_of_one_host(
    tmp_path: Path, tiny_world: Path, one_host: dict[int, float], launcher: str, stage: int
) -> None:
    recipe, run_dir = failures.write_recipe(tmp_path, tiny_world, stage, STEPS), tmp_path / "run"
    train = [str(failures.TRAIN), "run", str(recipe), "--run-dir", str(run_dir)]
    with failures.cluster(tmp_path / "cluster") as cluster:
        runner = ["-m", "deepspeed.launcher.runner", "--hostfile", cluster.hostfile]
        if launcher == "pdsh":
            processes = [cluster.start(0, *runner, "--launcher", "pdsh", *train)]
        elif launcher == "openmpi":
            if shutil.which("mpirun") is None:
                pytest.skip("needs mpirun (Debian: openmpi-bin)")
            mca = "--mca btl_tcp_if_include eth0 --mca oob_tcp_if_include eth0"
            options = ["--launcher", "openmpi", "--launcher_args", mca, "--no_ssh_check", "--master_addr", "alpha"]
            processes = [cluster.start(0, *runner, *options, *train)]
        else:
            master = ["--no_ssh", "--master_addr", "alpha", "--master_port", "29501"]
            processes = [cluster.start(i, *runner, *master, "--node_rank", str(i), *train) for i in (0, 1)]
        end(cluster, *processes, timeout=220)
    found = losses(run_dir)
    assert sorted(found) == list(range(1, STEPS + 1))
    assert max(abs(found[step] - one_host[step]) for step in found) < 1e-5


def test_killed_rank_is_named_and_the_relaunch_loses_nothing(
    tmp_path: Path, tiny_world: Path, one_host: dict[int, float]
) -> None:
    """Three ranks on two hosts."""
    recipe, run_dir = failures.write_recipe(tmp_path, tiny_world, 1, STEPS), tmp_path / "run"
    with failures.cluster(tmp_path / "cluster") as cluster:
        Path(cluster.hostfile).write_text("alpha slots=2\nbeta slots=1\n")
        options = ["--hostfile", cluster.hostfile, "--max-restarts", "1"]
        train = ["run", str(recipe), "--run-dir", str(run_dir)]
        supervisor = cluster.start(0, str(failures.TRAIN), "launch", *options, "--", *train)
        bystanders = cluster.start_bystanders()
        failures.wait_for_checkpoint(run_dir, 6, supervisor, cluster)
        os.kill(cluster.rank(1), signal.SIGKILL)
        end(cluster, supervisor, timeout=220)
        assert all(process.poll() is None for process in bystanders)
        said = cluster.said()
    assert "launch: rank 2 (host beta), last at " in said
    assert f"died without a word (killed, or out of memory); last good checkpoint: {run_dir}/stages/" in said
    assert "relaunch 1 of 1" in said
    found = losses(run_dir)
    assert sorted(found) == list(range(1, STEPS + 1))
    assert max(abs(found[step] - one_host[step]) for step in found) < 1e-5


def test_check_finds_what_is_wrong_with_a_host(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    with failures.cluster(tmp_path / "cluster") as cluster:
        command = [sys.executable, str(failures.TRAIN), "check", "--hostfile", cluster.hostfile, "--run-dir", str(runs)]
        env = {**failures.environment(cluster.folder), "COLUMNS": "200"}
        good = cluster.hosts[0].run(*command, env=env, timeout=220)
        assert good.returncode == 0, good.stdout + good.stderr
        assert "alpha - beta" in good.stdout and "\nready" in good.stdout
        assert list(runs.iterdir()) == []
        assert cluster.hosts[1].run("mount", "-t", "tmpfs", "tmpfs", str(runs)).returncode == 0
        (cluster.folder / "hostfile").write_text("alpha slots=1\nbeta slots=1\ngamma slots=1\n")
        bad = cluster.hosts[0].run(*command, env=env, timeout=220)
    assert bad.returncode == 3
    assert "error beta: does not see the run directory of this machine" in bad.stdout
    assert "error gamma: ssh failed: " in bad.stdout and "correct the name in the hostfile" in bad.stdout
    assert "not ready: 2 to put right" in bad.stdout


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["pdsh", "openmpi"])
@pytest.mark.parametrize("failure", failures.FAILURES)
def test_failure_ends_everything_within_a_minute(tmp_path: Path, tiny_world: Path, failure: str, launcher: str) -> None:
    outcome = failures.suffer(failure, tmp_path, tiny_world, launcher)
    assert outcome.code, outcome.said[-4000:]
    for name, seconds in outcome.hosts.items():
        assert seconds is not None and seconds < 60, f"{name}: {outcome.said[-4000:]}"
    assert outcome.bystanders == 0
    if failure == "killed supervisor":
        return
    assert outcome.supervisor is not None and outcome.supervisor < 60
    who = {"full disk": "rank ", "killed runner": "the launcher ended (signal 9)"}.get(failure, "rank 1 (host beta)")
    assert outcome.verdict.startswith(who)
    assert "last good checkpoint: " in outcome.verdict
