"""A rank, in a process of its own, against a supervisor played by the test: every way in which it must end itself."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from xstilts.distributed.heartbeat import Heartbeat

SOURCE = Path(__file__).resolve().parents[2] / "src"


class Supervisor:
    """Answers every message with `command`, or not at all when that is `None`."""

    def __init__(self) -> None:
        self.command: str | None = "go"
        self.heard: list[dict[str, Any]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            for line in connection.makefile("rb"):
                self.heard.append(json.loads(line))
                if self.command is not None:
                    connection.sendall(json.dumps({"command": self.command}).encode() + b"\n")

    def close(self) -> None:
        self._listener.close()

    def wait_for(self, **expected: object) -> dict[str, Any]:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for message in list(self.heard):
                if all(message[key] == value for key, value in expected.items()):
                    return message
            time.sleep(0.05)
        raise AssertionError(f"never heard {expected}: {self.heard[-3:]}")


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    playing = Supervisor()
    yield playing
    playing.close()


def rank(body: str, supervisor: Supervisor | None = None, addresses: str = "") -> subprocess.Popen[str]:
    """A process that beats ten times a second and runs `body`; `heart` is its heartbeat.

    Under a supervisor, a shell stands for the launcher: a rank that loses its supervisor ends its parent too.
    """
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom xstilts.distributed import heartbeat\n"
        "from xstilts.core.errors import UserError\n"
        "def main(heart):\n" + textwrap.indent(textwrap.dedent(body), "    ") + "\n"
        "with heartbeat.Heartbeat(interval=0.1, hang_seconds=1.0) as heart:\n    main(heart)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "RANK": "1", "WORLD_SIZE": "2"}
    if supervisor is not None:
        environment |= {"XSTILTS_SUPERVISOR": addresses or supervisor.address, "XSTILTS_RUN_ID": "run"}
        environment["XSTILTS_SILENCE_SECONDS"] = "2"
    launcher = ["bash", "-c", 'trap "" TERM; "$@"; exit $?', "launcher"] if supervisor else []
    command = [*launcher, sys.executable, "-c", program]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=30)
    return process.returncode, said


def test_tells_step_phase_and_checkpoint_and_the_exit_code(supervisor: Supervisor) -> None:
    process = rank(
        """
        heartbeat.progress(step=3, phase="train")
        heartbeat.saved(Path("runs/step-3"))
        time.sleep(0.5)
        """,
        supervisor,
    )
    message = supervisor.wait_for(step=3, phase="train", checkpoint="runs/step-3", exit_code=None)
    assert (message["run_id"], message["rank"], message["world_size"]) == ("run", 1, 2)
    assert supervisor.wait_for(exit_code=0)
    assert end(process)[0] == 0


def test_exception_is_told_with_its_exit_code(supervisor: Supervisor) -> None:
    end(rank('raise UserError("recipe.yaml: no such key\\nsecond line")', supervisor))
    assert supervisor.wait_for(exit_code=2)["reason"] == "UserError: recipe.yaml: no such key second line"


def test_request_to_save_reaches_the_main_thread(supervisor: Supervisor) -> None:
    process = rank(
        """
        heart.saves_when_asked(True)
        while not heartbeat.preemption_requested(): time.sleep(0.05)
        heart.close(75)
        """,
        supervisor,
    )
    supervisor.wait_for(exit_code=None)
    supervisor.command = "save"
    assert supervisor.wait_for(exit_code=75)
    assert end(process)[0] == 0


def test_request_to_save_where_nobody_looks_is_a_request_to_end(supervisor: Supervisor) -> None:
    process = rank("time.sleep(100)", supervisor)
    supervisor.wait_for(exit_code=None)
    supervisor.command = "save"
    assert "outside of training" in supervisor.wait_for(exit_code=75)["reason"]
    assert end(process)[0] == 75


def test_signal_outside_of_training_is_told_before_the_end(supervisor: Supervisor) -> None:
    process = rank(
        """
        import os, signal
        from xstilts.training.monitors.preemption import ending_at_once
        with ending_at_once():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(100)
        """,
        supervisor,
    )
    assert "SIGTERM outside of training" in supervisor.wait_for(exit_code=75)["reason"]
    assert end(process)[0] == 75


def test_stop_ends_a_main_thread_that_would_never_return(supervisor: Supervisor) -> None:
    process = rank("time.sleep(100)", supervisor)
    supervisor.wait_for(exit_code=None)
    supervisor.command = "stop"
    assert end(process) == (78, "")


def test_dump_shows_where_the_main_thread_is(supervisor: Supervisor, tmp_path: Path) -> None:
    process = rank(f"heartbeat.dump_stacks_into(Path({str(tmp_path / 'stacks')!r}))\ntime.sleep(100)", supervisor)
    supervisor.wait_for(exit_code=None)
    time.sleep(0.5)
    supervisor.command = "dump"
    assert end(process)[0] == 78
    assert "in main" in (tmp_path / "stacks" / "rank1.txt").read_text()


@pytest.mark.parametrize("how", ["silent", "gone"])
def test_ends_itself_when_the_supervisor_is_lost(supervisor: Supervisor, how: str) -> None:
    process = rank("while True: time.sleep(0.1)", supervisor)
    supervisor.wait_for(exit_code=None)
    start = time.monotonic()
    supervisor.command = None
    if how == "gone":
        supervisor.close()
    code, said = end(process)
    assert code == 77
    assert "no word from the supervisor" in said and "in main" in said
    assert time.monotonic() - start < 15


def test_ends_even_when_it_cannot_run_python(supervisor: Supervisor) -> None:
    process = rank("import ctypes\nctypes.PyDLL(None).sleep(60)", supervisor)  # PyDLL keeps the GIL
    code, said = end(process)
    assert code == 1
    assert "Timeout (0:00:12" in said


def test_orphan_ends_itself(supervisor: Supervisor) -> None:
    launcher = (
        "import subprocess, sys, time\n"
        "code = 'import time; from xstilts.distributed.heartbeat import Heartbeat'\n"
        "code += '\\nwith Heartbeat(interval=0.1): time.sleep(60)'\n"
        "subprocess.Popen([sys.executable, '-c', code])\ntime.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "XSTILTS_SUPERVISOR": supervisor.address}
    with subprocess.Popen([sys.executable, "-c", launcher], env=environment, stderr=subprocess.DEVNULL) as process:
        supervisor.wait_for(exit_code=None)
        process.kill()
    assert "died" in supervisor.wait_for(exit_code=1)["reason"]


def test_finds_the_supervisor_behind_an_address_that_is_not_its_own(supervisor: Supervisor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        threading.Thread(target=lambda: stranger.accept()[0].sendall(b"220 mail\r\n"), daemon=True).start()
        port = stranger.getsockname()[1]
        process = rank("time.sleep(1)", supervisor, f"127.0.0.1:1,127.0.0.1:{port},{supervisor.address}")
        supervisor.wait_for(exit_code=0)
        assert end(process)[0] == 0


def test_without_a_supervisor_a_hang_ends_with_stacks() -> None:
    code, said = end(rank("time.sleep(60)"))
    assert code == 76
    assert "no progress" in said and "in main" in said


def test_without_a_supervisor_progress_keeps_it_alive() -> None:
    assert end(rank("for step in range(20):\n    heartbeat.progress(step=step)\n    time.sleep(0.1)")) == (0, "")


def test_time_in_which_the_process_is_stopped_does_not_count() -> None:
    process = rank("for step in range(8):\n    heartbeat.progress(step=step)\n    time.sleep(0.1)")
    time.sleep(0.6)
    process.send_signal(19)  # SIGSTOP
    time.sleep(1.5)
    process.send_signal(18)
    assert end(process)[0] == 0


def test_nothing_beats_outside_a_context(supervisor: Supervisor) -> None:
    heart = Heartbeat(environment={})
    assert not heart.supervised
    assert not heart.preemption_requested
    heart.close()
    heart.close()
