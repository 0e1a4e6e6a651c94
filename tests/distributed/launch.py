"""Real processes for tests: a function in N ranks over gloo, and whole runs, through the `deepspeed` launcher or not.

The ranks of `run_ranks` and `run_study` are forked from a server that has imported what takes long, once; each loads
the test's module from its path, so that nothing has to be importable by name. Ranks have one thread each, for rounding
depends on the number of threads.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import multiprocessing
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
_TAIL = 3000


class RankError(AssertionError):
    """A rank failed or was too slow; the message holds the end of what each one said."""


def run_ranks(function: Callable[..., Any], world_size: int, *arguments: Any, timeout: float = 400) -> list[Any]:
    """Calls `function(*arguments)` in `world_size` processes of one group; their values in rank order.

    `function` stands at the top of its module. A rank that fails ends the others, and the error shows what all said.
    """
    values, _ = _run_forked(_in_group, world_size, (_place(function), *arguments), timeout)
    return values


def run_study(recipe: Path, run_dir: Path, world_size: int, *overrides: str, timeout: float = 400) -> str:
    """`train.py run` to its successful end, without a launcher; what its ranks said."""
    command = ["run", str(recipe), "--run-dir", str(run_dir), *overrides]
    codes, said = _run_forked(_command_line, world_size, (command,), timeout)
    if any(codes):
        raise RankError(f"the ranks ended with codes {codes}:\n{said[-_TAIL:]}")
    return said


def _run_forked(
    work: Callable[..., Any], world_size: int, arguments: tuple[Any, ...], timeout: float
) -> tuple[list[Any], str]:
    """Values of `work(*arguments)` and what the ranks said, both in rank order."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="xstilts-ranks-") as name:
        folder = Path(name)
        (folder / "call.pickle").write_bytes(pickle.dumps((_place(work), arguments, timeout - 5)))
        variables = [{**environment(), **_rank_variables(rank, world_size, port)} for rank in range(world_size)]
        logs = [folder / f"rank{rank}.log" for rank in range(world_size)]
        processes = [
            _server().Process(target=_rank_main, args=(folder, log, mine))
            for log, mine in zip(logs, variables, strict=True)
        ]
        try:
            for process in processes:
                process.start()
            problem = _wait(processes, timeout)
        finally:
            for process in processes:
                if process.pid is not None:
                    process.kill()
                    process.join()
            _free_shared_memory(port)
        if problem:
            raise RankError(problem + "".join(f"\n--- rank {r} said:\n{_tail(log)}" for r, log in enumerate(logs)))
        values = [pickle.loads((folder / f"rank{rank}.pickle").read_bytes()) for rank in range(world_size)]
        return values, "".join(log.read_text(errors="replace") for log in logs)


def start_study(
    recipe: Path,
    run_dir: Path,
    world_size: int,
    *overrides: str,
    log: Path,
    supervised: bool = False,
    terminal: bool = False,
) -> Study:
    """Launches `train.py run` through the `deepspeed` launcher or `train.py launch`; its output goes into `log`.

    `terminal`: as a shell does in the foreground of a terminal, so that `Study.interrupt` reaches every process.
    """
    port = free_port()
    launcher = shutil.which("deepspeed", path=environment()["PATH"])
    assert launcher, "no deepspeed launcher beside this Python"
    train = str(ROOT / "train.py")
    command = [launcher, "--num_gpus", str(world_size), "--master_port", str(port), train]
    if supervised:
        hostfile = log.with_suffix(".hosts")
        hostfile.write_text(f"localhost slots={world_size}\n")
        command = [sys.executable, train, "launch", "--hostfile", str(hostfile), "--master-port", str(port), "--"]
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [*command, "run", str(recipe), "--run-dir", str(run_dir), *overrides],
            env=environment(),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=terminal,
            preexec_fn=_take_interrupts if terminal else None,
        )
    return Study(process, log, port)


class Study:
    """A launched run."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, port: int) -> None:
        self._process = process
        self._port = port
        self.log = log

    @property
    def pid(self) -> int:
        """Of the launcher."""
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def launcher(self) -> psutil.Process:
        """The `deepspeed` command: its only child starts the ranks of this host, in order, as its children."""
        return psutil.Process(self._process.pid)

    def wait(self, timeout: float) -> int:
        """The launcher's exit code."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RankError(f"the run was not over after {timeout} s:\n{_tail(self.log)}") from None
        finally:
            _free_shared_memory(self._port)

    def interrupt(self) -> None:
        """Ctrl-C in the terminal of a run that was started with `terminal`."""
        os.killpg(self._process.pid, signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to launcher and ranks alike, as when the machine loses power."""
        with suppress(psutil.NoSuchProcess):
            everyone = [*psutil.Process(self._process.pid).children(recursive=True), psutil.Process(self._process.pid)]
            for process in everyone:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
            psutil.wait_procs(everyone, timeout=20)
        self._process.wait()
        _free_shared_memory(self._port)


def environment() -> dict[str, str]:
    """The environment of a rank: CPU, one thread, this Python's programs first."""
    found = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return found | {
        "PATH": path,
        "OMP_NUM_THREADS": "1",
        "DS_ACCELERATOR": "cpu",
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@cache
def _server() -> ForkServerContext:
    """Started with the ranks' environment, in which libraries look when they are imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["deepspeed", "xstilts.study.run", "xstilts.analysis.report", "xstilts.analysis.board"]
    )
    before = dict(os.environ)
    os.environ.update(environment())
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return context


def _rank_variables(rank: int, world_size: int, port: int) -> dict[str, str]:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world_size, "LOCAL_WORLD_SIZE": world_size}
    return {name: str(n) for name, n in place.items()} | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def _wait(processes: Sequence[ForkServerProcess], timeout: float) -> str | None:
    """None when all ended well; else the first rank that did not, or who was still running."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        codes = [process.exitcode for process in processes]
        for rank, code in enumerate(codes):
            if code:
                time.sleep(0.5)  # lets the others say what they saw
                return f"rank {rank} ended with code {code}"
        if all(code == 0 for code in codes):
            return None
        time.sleep(0.02)
    late = [rank for rank, process in enumerate(processes) if process.exitcode is None]
    return f"ranks {late} were not done after {timeout} s"


def _take_interrupts() -> None:
    """Whatever started the tests may have had them ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-_TAIL:]


def _free_shared_memory(port: int) -> None:
    """What DeepSpeed's CPU all-reduce leaves behind a killed run: 69 MB of RAM per rank."""
    for path in Path("/dev/shm").glob(f"deepspeed_allreduce_buffer_*_{port}_*"):
        with suppress(FileNotFoundError):
            path.unlink()


def _rank_main(folder: Path, log: Path, variables: Mapping[str, str]) -> None:
    with log.open("wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(ROOT)
    work, arguments, patience = pickle.loads((folder / "call.pickle").read_bytes())
    faulthandler.dump_traceback_later(patience)
    import torch

    torch.set_num_threads(1)
    value = _function(work)(*arguments)
    (folder / f"rank{variables['RANK']}.pickle").write_bytes(pickle.dumps(value))


def _place(function: Callable[..., Any]) -> tuple[str, str]:
    """Of a function at the top of a module: the module's path and its name."""
    return function.__code__.co_filename, function.__name__


def _function(place: tuple[str, str]) -> Callable[..., Any]:
    """The function of a name in the module of a path."""
    path, name = place
    if path == __file__:
        return globals()[name]
    sys.path.insert(0, str(Path(path).parent))
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec and spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def _in_group(function: tuple[str, str], *arguments: Any) -> Any:
    from xstilts.distributed import dist

    called = _function(function)
    dist.set_up()
    value = called(*arguments)
    dist.tear_down()
    return value


def _command_line(arguments: Sequence[str]) -> int:
    from xstilts.cli import main

    return main(arguments)
