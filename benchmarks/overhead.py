"""Host time to plan, cut, load and collate a step, against what the step takes on a GPU at XLM-R Large's target speed.

    python benchmarks/overhead.py --data FOLDER > benchmarks/overhead.md

CPU seconds of one thread (the loader's: it prepares a step while the one before trains), which other load of the
machine stretches least; the least of five means over five steps. A step's arithmetic is that of forward and backward of
XLM-R Large over the same segments at 45 % of 989 TF/s. One rank loads the whole step: of several, each loads a part.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from page import begin, table
from trainer import MIX, SOURCES, said
from transformers import XLMRobertaConfig

from xstilts.config.recipe import Data
from xstilts.config.training import Mixing, Training
from xstilts.data.catalogue import Catalogue
from xstilts.data.loader import StepLoader
from xstilts.data.plan import BatchPlan
from xstilts.tasks import find_task
from xstilts.text.tokenizer import Tokenizer
from xstilts.training.flops import training_flops

LARGE = XLMRobertaConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
SPEED = 0.45 * 989e12
TOKENS = (4096, 32_768, 65_536)
NUM_STEPS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    begin("Host time of a step", f"python benchmarks/overhead.py {said(sys.argv[1:])}")
    rows: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory() as cache:
        data = Data.model_validate({"root": options.data, "max_length": 256, "sources": SOURCES})
        catalogue = Catalogue(data, options.data, Path(cache), Tokenizer(str(options.data / "tokenizer")))
        for name in (*MIX, "mix"):
            for num_tokens in TOKENS:
                rows.append(measure(catalogue, name, num_tokens))
    columns = ("task", "examples", "tokens", "plan, ms", "cut, ms", "load, ms", "step, ms", "overhead")
    table(columns, rows)


def measure(catalogue: Catalogue, name: str, num_tokens: int) -> tuple[object, ...]:
    tasks = [find_task(each) for each in (MIX if name == "mix" else [name])]
    features = {task.name: catalogue.train(task, ["eng_Latn"]) for task in tasks}
    mean = sum(float(stored.num_tokens.mean()) for stored in features.values()) / len(features)
    batch_size = max(len(tasks), round(num_tokens / mean))
    sizes = {task: len(stored) for task, stored in features.items()}
    mixing = Mixing(weighting="uniform") if len(tasks) > 1 else Mixing()
    plan = BatchPlan(0, sizes, mixing, batch_size)
    training = Training(steps=NUM_STEPS, batch_size=batch_size)
    kinds = {task.name: task.kind for task in tasks}
    loader = StepLoader(plan, features, kinds, catalogue.tokenizer, training, min(16_384, num_tokens))
    lengths = [n for step in range(NUM_STEPS) for each in loader.load(step, 0, 1) for n in each.batch.lengths_S]
    planned, cut, loaded = map(seconds_a_step, (plan.step, loader.cut, lambda step: loader.load(step, 0, 1)))
    seconds = training_flops(LARGE, lengths) / NUM_STEPS / SPEED
    times = (planned, cut - planned, loaded - cut, seconds)
    return (
        name, batch_size, sum(lengths) // NUM_STEPS, *(f"{1e3 * each:.2f}" for each in times), f"{loaded / seconds:.1%}"
    )  # fmt: skip


def seconds_a_step(make: Callable[[int], object]) -> float:
    times = []
    for _ in range(5):
        started = time.thread_time()
        for step in range(NUM_STEPS):
            make(step)
        times.append((time.thread_time() - started) / NUM_STEPS)
    return min(times)


if __name__ == "__main__":
    main()
