"""Cells of `gpu.py` that predict and score: `predict.py`'s two sides, in a process each."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from gpu_cell import run_cells


def measure(given: dict[str, Any]) -> dict[str, Any]:
    folder = Path(given["folder"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job = folder / "job.json"
    job.write_text(json.dumps(given), encoding="utf-8")
    command = [sys.executable, str(Path(__file__).with_name("predict.py")), given["who"], str(job)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}: {done.stderr[-900:]}")
    name = "found.json" if given["who"] == "here" else "found-0.json"
    found = json.loads((folder / name).read_text(encoding="utf-8"))
    settings = found.get("settings", [found])
    seconds = min(sum(each["seconds"].values()) for each in settings)
    return {"num_tokens": found["num_tokens"], "seconds": seconds, "tokens_per_second": found["num_tokens"] / seconds}


if __name__ == "__main__":
    run_cells(measure)
