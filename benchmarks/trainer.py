"""Real tokens per second in training, on the same cores by turns: this tree, another commit's tree, and HF Trainer.

    python benchmarks/trainer.py --encoder FOLDER|4x256 --data FOLDER [--base TREE] [--rounds 3]
        [--tasks udpos commonsense_qa mix] [--batch 16 32] [--trainers "this, 2 ranks" ...] [--order alternate]
        > benchmarks/trainer.md

`--encoder`: a pretrained XLM-R folder, or layers x width with random weights and the tokenizer of `--data`. `--base`: a
worktree of another commit, which brings its own `train.py`; its losses without dropout are compared with ours. `mix` is
five tasks at once. HF has each step's batch of one task, needs `accelerate` (PYTHONPATH may name it), and is run at
default flags and at its best ones (`hf_trainer.py`). Every trainer has both cores. A round runs every trainer once on
each task and batch size, so that all share what else the machine does; with `--order alternate` every other round runs
them from last to first. The first steps are not counted.

A speed is real tokens over seconds of a round's counted steps. `padding` is the share of computed places that hold
none, over all rounds. Rows of this trainer have no such places; what its attention pads, to rectangles of segments of
like length, is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from page import begin
from page import table as print_table

NUM_WARM = 4
LR = 2e-5
MIX = ("commonsense_qa", "cosmos_qa", "squad_v1", "tydiqa", "udpos")
SOURCES = {"cosmos_qa": {"train": "cosmos_qa/valid.csv"}, "squad_v1": {"train": "xquad/xquad.en.json"}}
HERE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Trainer:
    """One way to train, on two cores."""

    name: str
    ranks: int
    base: bool = False
    hf: str | None = None
    """`default` or `best` flags of HF Trainer; with two ranks under DeepSpeed ZeRO-2, or DDP."""
    ddp: bool = False
    deepspeed: str | None = None
    """Instead of that of `--deepspeed`."""


TRAINERS = {
    trainer.name: trainer
    for trainer in (
        Trainer("this, 2 ranks", 2),
        Trainer("this, 2 ranks, ZeRO-0", 2, deepspeed="zero0_fp32_cpu"),
        Trainer("this, 1 rank", 1),
        Trainer("base, 2 ranks", 2, base=True),
        Trainer("HF default", 1, hf="default"),
        Trainer("HF best", 1, hf="best"),
        Trainer("HF best, 2 processes", 2, hf="best", ddp=True),
        Trainer("HF default + DeepSpeed", 2, hf="default"),
        Trainer("HF best + DeepSpeed", 2, hf="best"),
    )
}


@dataclass(frozen=True)
class Measured:
    """The steps of one run, the first ones left out of the speeds."""

    losses: tuple[float | None, ...]
    tokens_per_second: float
    seconds_per_step: float
    num_tokens: int
    num_places: int
    """With padding."""


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if not Path(options.encoder).exists():
            options.encoder = str(random_encoder(options, scratch))
        found: dict[tuple[str, int], dict[str, list[Measured]]] = {}
        for turn in range(options.rounds):
            backwards = options.order == "alternate" and turn % 2
            for task in options.tasks:
                for batch in options.batch:
                    cell = found.setdefault((task, batch), {})
                    for trainer in reversed(options.trainers) if backwards else options.trainers:
                        folder = scratch / f"{turn}-{task}-{batch}-{trainer.replace(' ', '')}"
                        steps = measure(options, TRAINERS[trainer], task, batch, folder, scratch)
                        cell.setdefault(trainer, []).append(steps)
                        print(f"{task} {batch} {trainer}: {steps.tokens_per_second:,.0f} tok/s", file=sys.stderr)
        begin(f"Training speed: {Path(options.encoder).name}", f"python benchmarks/trainer.py {said(sys.argv[1:])}")
        write_speeds(found)
        if options.base:
            print("Losses of this tree and the base over all steps, without dropout (its stream is another one now):\n")
            compare_losses(options, scratch)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--tasks", nargs="+", default=["udpos", "commonsense_qa"], choices=[*MIX, "mix"])
    parser.add_argument("--trainers", nargs="+", default=list(TRAINERS), choices=list(TRAINERS))
    parser.add_argument("--order", default="given", choices=["given", "alternate"], help="of the trainers in a round")
    parser.add_argument("--deepspeed", default="zero2_fp32_cpu")
    options = parser.parse_args()
    if options.base is None:
        options.trainers = [name for name in options.trainers if not TRAINERS[name].base]
    if not any(is_ours(TRAINERS[name]) for name in options.trainers):
        parser.error("--trainers: one of this tree's must be among them, for the ratios")
    return options


def is_ours(trainer: Trainer) -> bool:
    return trainer.hf is None and not trainer.base


def said(arguments: list[str]) -> str:
    """The arguments as a page says them: folders by their names."""
    return shlex.join(Path(each).name if each.startswith("/") else each for each in arguments)


def random_encoder(options: argparse.Namespace, scratch: Path) -> Path:
    """A folder as `model.pretrained` and HF take it: layers x width, random weights."""
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    num_layers, width = map(int, options.encoder.split("x"))
    folder = scratch / options.encoder
    shutil.copytree(options.data / "tokenizer", folder)
    num_pieces = len(json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"])
    config = XLMRobertaConfig(
        vocab_size=num_pieces, hidden_size=width, num_hidden_layers=num_layers, num_attention_heads=width // 64,
        intermediate_size=4 * width, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5,
    )  # fmt: skip
    XLMRobertaForMaskedLM(config).save_pretrained(folder)
    return folder


def measure(
    options: argparse.Namespace, trainer: Trainer, task: str, batch: int, folder: Path, scratch: Path
) -> Measured:
    folder.mkdir()
    port = ["--num_gpus", str(trainer.ranks), "--master_port", str(free_port())]
    launcher = str(Path(sys.executable).parent / "deepspeed")
    tree = options.base if trainer.base else HERE
    recipe = write_recipe(options, trainer, task, batch, folder, scratch)
    if trainer.hf is None:
        command = [launcher, *port, str(tree / "train.py"), "run", str(recipe), "--run-dir", str(folder / "run")]
    else:
        engine = "deepspeed" if trainer.ranks > 1 and not trainer.ddp else "plain"
        train = [str(HERE / "benchmarks/hf_trainer.py"), str(recipe), str(folder), trainer.hf, task, engine]
        ranks = ["--nproc_per_node", str(trainer.ranks), *port[2:]]
        torchrun = [sys.executable, "-m", "torch.distributed.run", *ranks]
        command = [launcher, *port] if engine == "deepspeed" else torchrun if trainer.ddp else [sys.executable]
        command += train
    paths = os.pathsep.join([str(tree / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": str(2 // trainer.ranks)}
    environment |= {"DS_ACCELERATOR": "cpu", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tree)
    logs = [*folder.glob("run/stages/*/steps.jsonl"), *folder.glob("steps.jsonl")]
    if done.returncode or len(logs) != 1:
        raise SystemExit(f"{trainer.name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    records = [json.loads(line) for line in logs[0].read_text(encoding="utf-8").splitlines()]
    steps = [record for record in records if "seconds" in record]
    counted = steps[NUM_WARM:]
    num_tokens = sum(step["tokens"] for step in counted)
    return Measured(
        tuple(step["loss"] for step in steps),
        num_tokens / sum(step["seconds"] for step in counted),
        statistics.median(step["seconds"] for step in counted),
        num_tokens,
        sum(step["places"] for step in counted) if trainer.hf else num_tokens,
    )


def write_recipe(
    options: argparse.Namespace, trainer: Trainer, task: str, batch: int, folder: Path, scratch: Path
) -> Path:
    """One stage of the task; retrieval of a few sentences, because a study has a target."""
    cache = scratch / f"cache-{'base' if trainer.base else 'this'}"
    deepspeed = trainer.deepspeed or options.deepspeed
    values: dict[str, Any] = {
        "name": "speed",
        "model": {"pretrained": str(options.encoder)},
        "data": {"root": str(options.data), "cache": str(cache), "max_length": 256, "sources": SOURCES},
        "runtime": {"deepspeed": deepspeed, "micro_batches_per_step": 2, "checkpoint_every": 10**6},
        "training": {"steps": options.steps, "batch_size": batch, "lr": LR},
        "arms": {"none": [], "measured": [{"tasks": list(MIX) if task == "mix" else [task]}]},
        "targets": {"tatoeba": {"languages": ["afr_Latn"], "max_examples": 4}},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def compare_losses(options: argparse.Namespace, scratch: Path) -> None:
    """The largest difference of a step's loss between the two trees, dropout off."""
    folder = scratch / "no-dropout"
    shutil.copytree(options.encoder, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    still = argparse.Namespace(**{**vars(options), "encoder": str(folder)})
    rows = []
    for task in options.tasks:
        ours, theirs = (
            measure(still, TRAINERS[name], task, options.batch[0], scratch / f"still-{task}-{name[:4]}", scratch).losses
            for name in ("this, 2 ranks", "base, 2 ranks")
        )
        pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
        assert len(pairs) == options.steps
        rows.append((task, options.batch[0], max(abs(a - b) / b for a, b in pairs), f"{pairs[0][1]:.3f}"))
    print_table(("task", "batch", "largest relative difference", "first loss"), rows)


def write_speeds(found: dict[tuple[str, int], dict[str, list[Measured]]]) -> None:
    """Speeds by round with their median, and the fastest of ours over each: the median over rounds of the ratio in the
    same round, and the ratio of the medians."""
    rows: list[tuple[object, ...]] = []
    for (task, batch), cell in found.items():
        ours = [name for name in cell if is_ours(TRAINERS[name])]
        medians = {name: statistics.median(m.tokens_per_second for m in rounds) for name, rounds in cell.items()}
        best = max(ours, key=lambda name: medians[name])
        for name, rounds in cell.items():
            speeds = ", ".join(f"{m.tokens_per_second:,.0f}" for m in rounds)
            seconds = statistics.median(m.seconds_per_step for m in rounds)
            pairs = zip(rounds, cell[best], strict=True)
            ratio = statistics.median(mine.tokens_per_second / m.tokens_per_second for m, mine in pairs)
            padding = 1 - sum(m.num_tokens for m in rounds) / sum(m.num_places for m in rounds)
            row = (task, batch, name, f"{padding:.0%}", speeds, f"{medians[name]:,.0f}", f"{seconds:.3f}")
            rows.append((*row, f"{ratio:.2f}", f"{medians[best] / medians[name]:.2f}"))
    columns = ("task", "batch", "trainer", "padding", "real tok/s, by round", "median", "s a step")
    columns += ("the best of this over it, by round", "of medians")
    print_table(columns, rows)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
