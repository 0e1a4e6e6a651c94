"""The highest memory of a rank in each part of a stage, at ZeRO 0 to 3, against the arithmetic of `plan`.

    export XSTILTS_DATA=FOLDER
    python benchmarks/memory.py --encoder FOLDER [--files zero0_fp32_cpu ...] > benchmarks/memory.md
    python benchmarks/memory.py --encoder FOLDER --large >> benchmarks/memory.md
    python benchmarks/memory.py --encoder FOLDER --large --layers 72 --adapters >> benchmarks/memory.md

UDPOS on two CPU ranks: two steps and a checkpoint, after which the run ends; then it goes on with one rank more, takes
two more steps, writes its weights and is scored. Counted is memory that the kernel cannot take back (anonymous and
shared pages), beyond that after the imports, sampled every 10 ms. `--large`: XLM-R Large at its true size (24 x 1024,
random weights in a pretrained folder, the tokenizer of `--encoder` with its 250,002 pieces), ZeRO-3 in bf16, 1,024
tokens a micro-batch; it wants 20 GB. `--layers`: of so many layers. `--adapters`: in a frozen encoder, of which ZeRO-3
gathers few layers at a time, with 256 tokens a micro-batch, 16 sentences a step and blocks of 1 MiB or more given back
as they are freed (MALLOC_MMAP_THRESHOLD_); no rank may ever hold as much as the model has in fp32, or the command
fails.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import yaml
from page import begin, table

HERE = Path(__file__).resolve().parents[1]
PHASES = ("model", "engine", "steps", "checkpoint", "weights", "score")
LIVE = 50_000_000
"""Parameters that ZeRO-3 may hold whole at a time with `--adapters`: four layers."""
LARGE = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
    "max_position_embeddings": 514,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--files", nargs="+", default=[f"zero{stage}_fp32_cpu" for stage in range(4)])
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--adapters", action="store_true")
    parser.add_argument("--vocabulary-rows", choices=("occurring", "all"), default="occurring")
    options = parser.parse_args()
    files = ["zero3_bf16_cpu"] if options.large else options.files
    rows: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / "model" if options.large else Path(options.encoder)
        if options.large:  # in a process that gives back what it took
            given = ["--write", options.encoder, str(options.layers), str(model)]
            subprocess.run([sys.executable, __file__, *given], check=True)
        size = sum(path.stat().st_size for path in model.glob("*.safetensors"))
        for file in files:
            folder = Path(name) / file
            folder.mkdir()
            recipe = write_recipe(folder, options, model, file, Path(name) / "cache")
            estimate = estimated(recipe)
            for ranks in (2, 3):
                heap = {"MALLOC_MMAP_THRESHOLD_": str(2**20)} if options.adapters else {}
                found = run(recipe, folder, ranks, heap, stop=ranks == 2)
                for rank, peaks in enumerate(found):
                    cells = [f"{peaks[phase] / 1e9:.2f}" if phase in peaks else "" for phase in PHASES]
                    rows.append((file, ranks, rank, f"{estimate[ranks] / 1e9:.2f}", *cells))
                    print(rows[-1], file=sys.stderr, flush=True)
                    if options.adapters and (most := max(peaks.values())) >= size:
                        raise SystemExit(f"rank {rank} of {ranks} held {most:,} bytes, and the model has {size:,}")
    what = f"XLM-R Large with {options.layers} layers" if options.large else Path(options.encoder).name
    flags = f" --large --layers {options.layers}" if options.large else ""
    flags += f"{' --adapters' if options.adapters else ''} --vocabulary-rows {options.vocabulary_rows}"
    begin(f"Memory of a rank: {what}", f"python benchmarks/memory.py --encoder {Path(options.encoder).name}{flags}")
    print(f"The model has {size / 1e9:.2f} GB in fp32.\n")
    table(("DeepSpeed file", "ranks", "rank", "GB by arithmetic", *PHASES), rows)


def write_model(tokenizer: str, num_layers: int, folder: Path) -> None:
    """A folder as a released model is, with random weights."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel

    from xstilts.model.fields import AS_RELEASED
    from xstilts.text.tokenizer import Tokenizer

    pieces = Tokenizer(tokenizer)
    torch.manual_seed(0)
    special = {"pad_token_id": pieces.pad, "bos_token_id": pieces.bos, "eos_token_id": pieces.eos}
    sizes = {**AS_RELEASED, **LARGE, "num_hidden_layers": num_layers}
    config = XLMRobertaConfig(vocab_size=pieces.vocab_size, type_vocab_size=1, **special, **sizes)
    XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(folder)


def write_recipe(folder: Path, options: argparse.Namespace, model: Path, file: str, cache: Path) -> Path:
    large = options.large
    trainable = {"trainable": {"encoder": "none", "bottleneck": 64}} if options.adapters else {}
    lean: dict[str, Any] = {}
    if options.adapters:
        content = json.loads((HERE / "ds_configs" / f"{file}.json").read_text(encoding="utf-8"))
        content["zero_optimization"] |= {"stage3_max_live_parameters": LIVE, "stage3_max_reuse_distance": LIVE}
        (folder / "lean.json").write_text(json.dumps(content), encoding="utf-8")
        lean = {
            "deepspeed": str(folder / "lean.json"),
            "tokens_per_micro_batch": 256,
            "activation_checkpointing": True,
        }
    recipe: dict[str, Any] = {
        "name": "memory",
        "model": {"pretrained": str(model), "tokenizer": options.encoder},
        "data": {"root": "$XSTILTS_DATA", "cache": str(cache), "max_length": 128},
        "runtime": {
            "deepspeed": file,
            "tokens_per_micro_batch": 1024,
            "vocabulary_rows": options.vocabulary_rows,
            "checkpoint_every": 2,
            **lean,
        },
        "training": {"steps": 4, "batch_size": 16 if options.adapters else 64 if large else 32, "lr": 2e-5},
        "arms": {"none": [], "measured": [{"tasks": ["udpos"], **trainable}]},
        "targets": {"tatoeba": {"languages": ["afr_Latn"], "max_examples": 4}},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def estimated(recipe: Path) -> dict[int, float]:
    """Bytes of a rank by `plan`, by number of ranks."""
    found = {}
    for ranks in (2, 3):
        command = [sys.executable, "train.py", "plan", recipe, "--json", "--world-size", ranks, "--device", "core"]
        done = subprocess.run(list(map(str, command)), cwd=HERE, capture_output=True, text=True, check=True)
        (stage,) = json.loads(done.stdout)["cost"]["stages"].values()
        found[ranks] = float(stage["memory"])
    return found


def run(recipe: Path, folder: Path, ranks: int, variables: dict[str, str], *, stop: bool) -> list[dict[str, int]]:
    """The peaks of each rank, by phase."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    launcher = Path(sys.executable).parent / "deepspeed"
    given = ["--rank", recipe, folder, "stop" if stop else "end"]
    command = [launcher, "--num_gpus", ranks, "--master_port", port, __file__, *given]
    words, environment = list(map(str, command)), {**os.environ, **variables}
    done = subprocess.run(words, cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    files = [folder / f"{given[-1]}-{rank}.json" for rank in range(ranks)]
    if done.returncode or not all(path.exists() for path in files):
        raise SystemExit(f"{recipe}, {ranks} ranks:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return [json.loads(path.read_text(encoding="utf-8")) for path in files]


class Peaks:
    """The most that this process held in each phase."""

    def __init__(self) -> None:
        self.by_phase: dict[str, int] = {}
        self._phase = ""
        self._before = held()
        Thread(target=self._watch, daemon=True).start()

    def during(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with what is held while it runs counted for the phase."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            outer, self._phase = self._phase, phase
            try:
                return function(*args, **kwargs)
            finally:
                self._note()
                self._phase = outer

        return wrapped

    def _note(self) -> None:
        phase = self._phase
        self.by_phase[phase] = max(self.by_phase.get(phase, 0), held() - self._before)

    def _watch(self) -> None:
        while True:
            self._note()
            time.sleep(0.01)


def held() -> int:
    """Bytes of anonymous and shared pages."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon", "RssShmem")))


def train(recipe: str, folder: Path, end: str) -> None:
    """One rank: runs the study with its parts watched; at `stop`, to the first checkpoint."""
    import deepspeed

    from xstilts.cli import main as xstilts
    from xstilts.distributed import dist
    from xstilts.study import run as study_run
    from xstilts.study.models import Models
    from xstilts.training import loop
    from xstilts.training.step import Stepper

    assert deepspeed
    rank = os.environ["RANK"]
    peaks = Peaks()

    def leave() -> None:
        (folder / f"{end}-{rank}.json").write_text(json.dumps(peaks.by_phase), encoding="utf-8")

    class Saver(loop.Saver):
        def save(self, *args: Any) -> None:
            peaks.during("checkpoint", super().save)(*args)
            if end == "stop":
                leave()
                dist.tear_down()
                os._exit(0)

    for place, name, phase in (
        (Models, "start", "model"),
        (loop, "_begin", "engine"),
        (Stepper, "take", "steps"),
        (loop, "_finish", "weights"),
        (study_run, "_score", "score"),
    ):
        setattr(place, name, peaks.during(phase, getattr(place, name)))
    loop.Saver = Saver  # type: ignore[misc]
    assert xstilts(["run", recipe, "--run-dir", str(folder / "run")]) == 0
    leave()


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if not argument.startswith("--local_rank")]
    if given[0] == "--rank":
        train(given[1], Path(given[2]), given[3])
    elif given[0] == "--write":
        write_model(given[1], int(given[2]), Path(given[3]))
    else:
        main()
