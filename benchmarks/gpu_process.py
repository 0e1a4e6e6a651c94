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
from collections.abc import Sequence
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

    def __init__(self, script: str, cells: Sequence[dict[str, Any]], variables: dict[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="xstilts-cells-")
        told = Path(self._folder.name) / "cells.json"
        told.write_text(json.dumps(cells), encoding="utf-8")
        self._log = (Path(self._folder.name) / "log").open("w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script), str(told)], env=variables, cwd=HERE.parent, text=True,
            stdout=subprocess.PIPE, stderr=self._log, start_new_session=True,
        )  # fmt: skip
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
        self._folder.cleanup()

    def next_cell(self, seconds: float) -> dict[str, Any]:
        """What the next cell found, or its error; `alive`: whether another one can follow."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return {"error": f"not done after {seconds:.0f} s: {self._tail()}", "alive": False}
            if line is None:
                return {"error": f"exit {self._process.wait()}: {self._tail()}", "alive": False}
            if line.startswith('{"cell"'):
                found = json.loads(line)
                ends = found.pop("ends")
                del found["cell"]
                return {**found, "alive": not ends}

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
