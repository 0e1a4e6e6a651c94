"""Host time to plan, cut, load and collate a step, against what the step takes on a GPU at XLM-R Large's target speed.

    python benchmarks/overhead.py --data FOLDER [--tasks udpos mix ...] [--tokens 4096 ...] > benchmarks/overhead.md

CPU seconds of one thread (the loader's: it prepares a step while the one before trains), which other load of the
machine stretches least; the least of five means, each over other steps that draw 8,192 examples or more, for the order
of examples is looked up for 4,096 at a time. A step's arithmetic is that of forward and backward of XLM-R Large over
the same segments at 45 % of 989 TF/s. One rank loads the whole step: of several, each loads a part.

The second table is wall time of a thread that does what launching a step's kernels does, calls that are too small to
compute anything, alone and while the loader's thread prepares a step: both need Python's lock.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from page import begin, table
from trainer import MIX, SOURCES, said
from transformers import XLMRobertaConfig

from xstilts.config.recipe import Data
from xstilts.config.training import Mixing, Training
from xstilts.data.catalogue import Catalogue
from xstilts.data.loader import StepLoader
from xstilts.data.plan import BatchPlan
from xstilts.model.flops import training_flops
from xstilts.model.shape import Shape
from xstilts.tasks import find_task
from xstilts.text.tokenizer import Tokenizer

LARGE = XLMRobertaConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
SPEED = 0.45 * 989e12
TOKENS = (4096, 32_768, 65_536)
TASKS = (*MIX, "mlm_ntrex", "mix")
NUM_DRAWN = 8192
NUM_LAUNCHES = 3000
"""Kernels of a forward and backward of 24 layers, about."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--tokens", nargs="+", type=int, default=TOKENS, help="about so many a step")
    options = parser.parse_args()
    begin("Host time of a step", f"python benchmarks/overhead.py {said(sys.argv[1:])}")
    with tempfile.TemporaryDirectory() as cache:
        data = Data.model_validate({"root": options.data, "max_length": 256, "sources": SOURCES})
        catalogue = Catalogue(data, options.data, Path(cache), Tokenizer(str(options.data / "tokenizer")))
        loaders = {(name, n): make_loader(catalogue, name, n) for name in options.tasks for n in options.tokens}
        columns = ("task", "examples", "tokens", "plan, ms", "cut, ms", "load, ms", "step, ms", "overhead")
        table(columns, [measure(name, loader) for (name, _), loader in loaders.items()])
        print()
        chosen = {(name, n): loader for (name, n), loader in loaders.items() if name in ("udpos", "mix")}
        columns = ("task", "examples", "launches alone, ms", "while a step is prepared, ms", "preparing it alone, ms")
        table(columns, [measure_ahead(name, loader) for (name, _), loader in chosen.items()])


def make_loader(catalogue: Catalogue, name: str, num_tokens: int) -> StepLoader:
    tasks = [find_task(each) for each in (MIX if name == "mix" else [name])]
    features = {
        task.name: catalogue.train(task, ["afr_Latn" if task.kind.any_language else "eng_Latn"]) for task in tasks
    }
    mean = sum(float(stored.num_tokens.mean()) for stored in features.values()) / len(features)
    batch_size = max(len(tasks), round(num_tokens / mean))
    sizes = {task: len(stored) for task, stored in features.items()}
    mixing = Mixing(weighting="uniform") if len(tasks) > 1 else Mixing()
    plan = BatchPlan(0, sizes, mixing, batch_size)
    training = Training(steps=1, batch_size=batch_size)
    kinds = {task.name: task.kind for task in tasks}
    return StepLoader(plan, features, kinds, catalogue.tokenizer, training, min(16_384, num_tokens))


def measure(name: str, loader: StepLoader) -> tuple[object, ...]:
    lengths = [n for step in range(5) for each in loader.load(step, 0, 1) for n in each.batch.lengths_S]
    batch_size = loader.plan.batch_size
    num_steps = max(5, NUM_DRAWN // batch_size)
    planned, cut, loaded = (
        seconds_a_step(make, num_steps) for make in (loader.plan.step, loader.cut, lambda step: loader.load(step, 0, 1))
    )
    seconds = training_flops(Shape.of(LARGE), lengths) / 5 / SPEED
    times = (f"{1e3 * each:.2f}" for each in (planned, cut - planned, loaded - cut, seconds))
    return (name, f"{batch_size:,}", f"{sum(lengths) // 5:,}", *times, f"{loaded / seconds:.1%}")


def seconds_a_step(make: Callable[[int], object], num_steps: int) -> float:
    times = []
    for first in range(0, 5 * num_steps, num_steps):
        started = time.thread_time()
        for step in range(first, first + num_steps):
            make(step)
        times.append((time.thread_time() - started) / num_steps)
    return min(times)


def measure_ahead(name: str, loader: StepLoader) -> tuple[object, ...]:
    """Medians of 15 turns each."""
    alone, shared, preparing = [], [], []
    with ThreadPoolExecutor(max_workers=1) as pool:
        for step in range(15):
            alone.append(seconds_to_launch())
            started = time.perf_counter()
            pool.submit(loader.load, 2 * step, 0, 1).result()
            preparing.append(time.perf_counter() - started)
            ahead = pool.submit(loader.load, 2 * step + 1, 0, 1)
            shared.append(seconds_to_launch())
            ahead.result()
    times = (f"{1e3 * statistics.median(each):.2f}" for each in (alone, shared, preparing))
    return (name, f"{loader.plan.batch_size:,}", *times)


def seconds_to_launch() -> float:
    number = torch.zeros(1)
    started = time.perf_counter()
    for _ in range(NUM_LAUNCHES):
        number.add_(1)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
