"""A GPU in one command, without a network, in under nine minutes: is it right, how fast, and against HF Trainer.

    python benchmarks/gpu.py --out FOLDER --wheels FOLDER          # one GPU, XLM-R Large with random weights
    python benchmarks/gpu.py --out FOLDER --size tiny --budget N   # tries every cell on a CPU
    python benchmarks/gpu.py --page FOLDER > benchmarks/gpu.md

Cells stand in the order of their worth. Neighbours of one kind share a process, for imports take seconds; each has a
time limit of its own. What a cell found, or its error, is written to FOLDER/gpu.jsonl at once, so that a run that is
cut short keeps what it has. A process that dies or is too slow costs its cell alone: another one goes on behind it.
Data are the artificial world's, with pairs as long as those of real tasks.

Needed are the requirements of `setup.cfg`, and `accelerate` for HF. The cell `packages` says what is missing or of
another version. What a machine lacks is carried as wheels in the folder of `--wheels`, of which `pip` installs all into
scratch without an index. Beside torch 2.11 with CUDA 13.0, transformers 5.17, Python 3.12, Triton, peft and
sentencepiece these are (cp312 where compiled):

    deepspeed 0.19.8 (a wheel built from its source distribution), hjson 3.1.0, einops 0.8.2, msgpack 1.2.4
    pydantic 2.14.3, pydantic_core 2.50.4, annotated-types 0.8.0, typing-inspection 0.4.5, typing_extensions 4.16.0
    datasets 5.2.0, huggingface_hub 1.33.0, dill 0.4.1, multiprocess 0.70.19, xxhash 4.1.0; accelerate 1.15.0

and of the following those that `packages` misses: sacrebleu 2.6.0 with portalocker, tabulate, colorama and lxml;
tensorboard 2.21.0 with absl-py and protobuf, of which no server is started; rich with markdown-it-py, mdurl and
Pygments; matplotlib 3.11.2 with contourpy, cycler, fonttools, kiwisolver, pillow, pyparsing, python-dateutil and six;
pyarrow 26.0.1, pandas 3.1.1 and scipy 1.17.1, 98 MB where the others have 45. Nothing is compiled on the machine:
DeepSpeed's own kernels are not used, and Triton compiles what `torch.compile` asks for.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gpu_cells import Cell, Cells
from gpu_page import write_page
from gpu_process import Process, environment, on_gpu

BUDGET_SECONDS = 525
LEAST_SECONDS = 15
"""Without so much time left, a cell is not begun."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--size", choices=("large", "tiny"), default="large")
    parser.add_argument("--budget", type=float, default=BUDGET_SECONDS, help="seconds for all cells")
    parser.add_argument("--wheels", type=Path, help="folder of wheels of packages that this machine lacks")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="cells whose name has one of these")
    parser.add_argument("--slow", type=float, default=1.0, help="factor on the time limits of cells")
    parser.add_argument("--page", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if options.page:
        write_page(options.page)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="xstilts-gpu-") as scratch:
        Run(options, Path(scratch)).run()


class Run:
    """All cells, one after the other."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self._options = options
        self._scratch = scratch
        self._begun = time.monotonic()
        self._found: dict[str, dict[str, Any]] = {}

    def run(self) -> None:
        site = self._install()
        variables = environment(site, gpu=on_gpu())
        cells = Cells(self._options.size, self._scratch, gpu=on_gpu())
        self._note("packages", packages(variables))
        groups = cells.groups()
        for group in groups:
            chosen = [cell for cell in group if self._is_chosen(cell)]
            self._work_off(chosen, cells, variables)

    def _is_chosen(self, cell: Cell) -> bool:
        needed = cell.name == "data"  # which the others read
        return needed or not self._options.only or any(word in cell.name for word in self._options.only)

    def _work_off(self, cells: list[Cell], made: Cells, variables: dict[str, str]) -> None:
        """Cells of one script, in as few processes as they survive."""
        while cells and self._left() > LEAST_SECONDS:
            with Process(cells[0].script, variables) as process:
                while cells and process.alive and self._left() > LEAST_SECONDS:
                    cell, begun = cells.pop(0), time.monotonic()
                    rung, given = made.told(cell, self._found)
                    limit = min(cell.limit * self._options.slow, self._left())
                    found = process.measure(given, limit)
                    took = round(time.monotonic() - begun, 1)
                    self._note(cell.name, {**rung, **found, "took": took, "about": cell.about})
        for cell in cells:
            self._note(cell.name, {"error": "no time was left", "about": cell.about})

    def _left(self) -> float:
        return float(self._options.budget - (time.monotonic() - self._begun))

    def _note(self, name: str, found: dict[str, Any]) -> None:
        self._found[name] = found
        if "error" in found:
            found["error"] = found["error"].replace(str(self._scratch), "SCRATCH")
        record = {"cell": name, "at": round(time.monotonic() - self._begun, 1), **found}
        with (self._options.out / "gpu.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        print(name, found, flush=True)

    def _install(self) -> Path | None:
        """The folder of the carried packages."""
        if self._options.wheels is None:
            return None
        site = self._scratch / "site"
        wheels = sorted(map(str, self._options.wheels.rglob("*.whl")))
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
        subprocess.run([*pip, "--target", str(site), *wheels], check=True)
        return site


def packages(variables: dict[str, str]) -> dict[str, Any]:
    """Versions of what is needed, by a process that sees what the others will see, and what is not there."""
    command = [sys.executable, str(Path(__file__).with_name("gpu_packages.py"))]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    main()
