"""A GPU in one command, without a network, in under nine minutes: is it right, how fast, and against HF Trainer.

    python benchmarks/gpu.py --out FOLDER                # one GPU, XLM-R Large with random weights
    python benchmarks/gpu.py --out FOLDER --size tiny    # tries every cell on a CPU
    python benchmarks/gpu.py --page FOLDER > benchmarks/gpu.md

Cells, each a process of its own with a time limit; what a cell found, or its error, is written to FOLDER/gpu.jsonl at
once, so that a run that is cut short keeps what it has. Data are the artificial world's, so nothing is carried but the
package. HF needs `accelerate`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from page import begin, table

HERE = Path(__file__).resolve().parents[1]
BUDGET_SECONDS = 520
NUM_WARM = 3
SIZES = {
    "large": {"layers": 24, "width": 1024, "pieces": 250_002, "tokens": (4096, 16384, 32768, 65536), "steps": 12},
    "tiny": {"layers": 2, "width": 64, "pieces": 3000, "tokens": (256, 512), "steps": 5},
}
SMALL_BATCHES = (4, 8, 16, 32)
TASK = "mnli"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--size", choices=SIZES, default="large")
    parser.add_argument("--page", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if options.page:
        write_page(options.page)
        return
    begun = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(options.out, options.size)
    for name, cell in bench.cells().items():
        left = BUDGET_SECONDS - (time.monotonic() - begun)
        try:
            found = cell(left) if left > 20 else {"error": "no time was left"}
        except (subprocess.SubprocessError, OSError, RuntimeError) as error:
            found = {"error": str(error)[-1500:]}
        with (options.out / "gpu.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"cell": name, "at": round(time.monotonic() - begun, 1), **found}) + "\n")
        print(name, found, flush=True)


class Bench:
    """The cells, and the files that they share."""

    def __init__(self, out: Path, size: str) -> None:
        self._scratch = out / "scratch"
        self._size = SIZES[size]
        self._on_gpu = shutil.which("nvidia-smi") is not None
        self._precision = "bf16" if self._on_gpu else "bf16_cpu"

    def cells(self) -> dict[str, Any]:
        cells: dict[str, Any] = {
            "smoke": lambda left: self._script("smoke", left),
            "ceilings": lambda left: self._script("ceilings", left),
            "data": lambda left: self._make_data(left),
        }
        for tokens in self._size["tokens"]:
            cells[f"{tokens} tokens, ZeRO-1"] = lambda left, n=tokens: self._train(left, tokens=n)
        middle = self._size["tokens"][-2]
        cells |= {
            f"{middle} tokens, all rows": lambda left: self._train(left, tokens=middle, rows="all"),
            f"{middle} tokens, ZeRO-2": lambda left: self._train(left, tokens=middle, zero=2),
            f"{middle} tokens, recomputed": lambda left: self._train(left, tokens=middle, recompute=True),
        }
        for batch in SMALL_BATCHES:
            cells[f"batch {batch}"] = lambda left, n=batch: self._train(left, batch=n)
        for flags in ("default", "best"):
            cells[f"HF {flags}, batch 32"] = lambda left, f=flags: self._train(left, batch=32, hf=f)
        cells["evaluation"] = self._evaluate
        return cells

    def _script(self, name: str, left: float) -> dict[str, Any]:
        said = self._run([sys.executable, str(HERE / "benchmarks/gpu_checks.py"), name], left)
        return dict(json.loads(said.strip().splitlines()[-1]))

    def _make_data(self, left: float) -> dict[str, Any]:
        """The world's files, and a folder of random weights with a vocabulary of full size."""
        self._scratch.mkdir(exist_ok=True)
        said = self._run([sys.executable, str(HERE / "benchmarks/gpu_checks.py"), "data", str(self._scratch),
                          *(str(self._size[key]) for key in ("layers", "width", "pieces"))], left)  # fmt: skip
        return dict(json.loads(said.strip().splitlines()[-1]))

    def _recipe(self, folder: Path, **training: Any) -> dict[str, Any]:
        return {
            "name": "gpu",
            "model": {"pretrained": str(self._scratch / "encoder")},
            "data": {"root": str(self._scratch / "world"), "cache": str(self._scratch / "cache"), "max_length": 128},
            "runtime": {"checkpoint_every": 10**6, "record_visits": False, "log_every": 100},
            "training": {"steps": self._size["steps"], "lr": 1e-5, **training},
            "arms": {"none": [], "measured": [{"tasks": [TASK]}]},
            "targets": {"tatoeba": {"languages": ["qaa_Latn"], "max_examples": 4}},
        }

    def _train(
        self, left: float, *, tokens: int = 0, batch: int = 0, zero: int = 1, rows: str = "occurring",
        recompute: bool = False, hf: str = "",
    ) -> dict[str, Any]:  # fmt: skip
        """Speed of a stage: steps of one micro-batch of `tokens`, or of `batch` examples."""
        name = f"{tokens}-{batch}-{zero}-{rows}-{recompute}-{hf}"
        folder = self._scratch / name
        folder.mkdir(parents=True, exist_ok=True)
        per_example = 30  # of the world's pairs; the recipe counts examples, and the step says its tokens
        recipe = self._recipe(folder, batch_size=batch or max(1, tokens // per_example))
        recipe["runtime"] |= {
            "deepspeed": f"zero{zero}_{self._precision}",
            "tokens_per_micro_batch": max(tokens, 4096) * 2,
            "micro_batches_per_step": 1,
            "vocabulary_rows": rows,
            "activation_checkpointing": recompute,
        }
        path = folder / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
        if hf:
            command = [sys.executable, str(HERE / "benchmarks/hf_trainer.py"), str(path), str(folder), hf, TASK]
        else:
            command = [*self._launch(), str(HERE / "train.py"), "run", str(path), "--run-dir", str(folder / "run")]
        self._run(command, left)
        (log,) = [*folder.glob("run/stages/*/steps.jsonl"), *folder.glob("steps.jsonl")]
        records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        steps = [record for record in records if "seconds" in record][NUM_WARM:]
        seconds = statistics.median(step["seconds"] for step in steps)
        per_step = statistics.mean(step["tokens"] for step in steps)
        return {"tokens_per_step": per_step, "seconds_per_step": seconds, "tokens_per_second": per_step / seconds,
                "mfu": self._mfu(per_step / seconds)}  # fmt: skip

    def _mfu(self, tokens_per_second: float) -> float:
        """Of 989 TF/s; 6 FLOPs a layer weight and token, attention and embeddings left out (it is a lower bound)."""
        return tokens_per_second * 6 * 12 * self._size["layers"] * self._size["width"] ** 2 / 989e12

    def _evaluate(self, left: float) -> dict[str, Any]:
        """Tokens a second of scoring the trained stage's task in the world's languages, start-up included."""
        folder = self._scratch / "evaluation"
        folder.mkdir(exist_ok=True)
        recipe = self._recipe(folder)
        recipe["runtime"]["deepspeed"] = f"zero1_{self._precision}"
        recipe["targets"] = {"xnli": {"languages": ["qaa_Latn", "qab_Latn"], "training": {"steps": 1}}}
        recipe["arms"] = {"none": []}
        path = folder / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
        begun = time.monotonic()
        self._run([*self._launch(), str(HERE / "train.py"), "run", str(path), "--run-dir", str(folder / "run")], left)
        return {"seconds": time.monotonic() - begun}

    def _launch(self) -> list[str]:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        return [sys.executable, "-m", "deepspeed.launcher.runner", "--num_gpus", "1", "--master_port", str(port)]

    def _run(self, command: list[str], left: float) -> str:
        paths = os.pathsep.join([str(HERE / "src"), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        environment |= {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo", "TOKENIZERS_PARALLELISM": "false"}
        process = subprocess.Popen(
            command, env=environment, cwd=HERE, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        try:
            out, error = process.communicate(timeout=left)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the launcher's ranks with it
            process.communicate()
            raise
        if process.returncode:
            raise RuntimeError(f"exit {process.returncode}: {out[-700:]} {error[-700:]}")
        return out


def write_page(folder: Path) -> None:
    begin("One GPU", "python benchmarks/gpu.py --out FOLDER")
    records = [json.loads(line) for line in (folder / "gpu.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = []
    for record in records:
        cell, at = record.pop("cell"), record.pop("at")
        found = "; ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                          for key, value in record.items())  # fmt: skip
        rows.append((cell, f"{at:.0f}", found.replace("\n", " ")[:400]))
    table(("cell", "at s", "found"), rows)


if __name__ == "__main__":
    main()
