"""A process of `gpu.py` that measures cells one after the other, watched."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any

HERE = Path(__file__).resolve().parent


def on_gpu() -> bool:
    return shutil.which("nvidia-smi") is not None


def environment(site: Path | None, *, gpu: bool) -> dict[str, str]:
    """That of all processes: this tree's source, the carried packages, no network beyond the machine."""
    folders = [str(HERE.parent / "src"), str(HERE), *([str(site)] if site else []), os.environ.get("PYTHONPATH", "")]
    own = {
        "PYTHONPATH": os.pathsep.join(filter(None, folders)),
        "OMP_NUM_THREADS": "4" if gpu else "1",
        "HF_HUB_OFFLINE": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "NCCL_SOCKET_IFNAME": "lo",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
    }
    return {**os.environ, **own, **({} if gpu else {"DS_ACCELERATOR": "cpu"})}


class Process:
    """A script of cells, ended with all that it started when its context is left."""

    def __init__(self, script: str, variables: dict[str, str]) -> None:
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed below
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script)], env=variables, cwd=HERE.parent, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, start_new_session=True,
        )  # fmt: skip
        self.alive = True
        self._lines: queue.Queue[str | None] = queue.Queue()
        Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in (self._process.pid, *descendants(self._process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def measure(self, given: dict[str, Any], seconds: float) -> dict[str, Any]:
        """What a cell found, or its error; behind some errors the process is not `alive`."""
        deadline = time.monotonic() + seconds
        assert self._process.stdin
        with suppress(BrokenPipeError):  # it has died, which its output says too
            self._process.stdin.write(json.dumps(given) + "\n")
            self._process.stdin.flush()
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                self.alive = False
                return {"error": f"not done after {seconds:.0f} s: {self._tail()}"}
            if line is None:
                self.alive = False
                return {"error": f"exit {self._process.wait()}: {self._tail()}"}
            if line.startswith('{"ends"'):
                found: dict[str, Any] = json.loads(line)
                self.alive = not found.pop("ends")
                return found

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _tail(self) -> str:
        self._log.flush()
        self._log.seek(0)
        return self._log.read()[-700:]


def descendants(pid: int) -> list[int]:
    """Of a process, whatever sessions they have made."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            parent = int(path.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found[1:]
