"""How hard each of the first 3,000 training examples of CommonsenseQA is, for the subsets of `africa_pos.yaml`.

    python benchmarks/africa_pos/rank.py --encoder FOLDER --data FOLDER > benchmarks/africa_pos/hardness.jsonl

Hardness is -ln p(right option), in nats, by a reference that was trained on the next 3,000 examples, with a seed that
is none of the study's: the part of pointwise V-information (Ethayarajh et al. 2022) that depends on the example, since
the null model pays the same for every example with five options. Held out, so that nothing is easy for being seen.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import yaml

from xstilts.config.recipe import Data
from xstilts.data.batch import collate
from xstilts.data.catalogue import Catalogue
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.study.models import inference, load_trained
from xstilts.study.record import read_record
from xstilts.tasks import find_task
from xstilts.text.tokenizer import Tokenizer

TASK = "commonsense_qa"
FILE = "commonsense_qa/train_rand_split.jsonl"
NUM_RANKED = 3000
SEED = 900
STEPS = 375
BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        stage = train_reference(options.encoder, options.data, Path(name))
        sources = {TASK: {"train": f"{FILE}[:{NUM_RANKED}]"}}
        data = Data.model_validate({"root": options.data, "max_length": 128, "sources": sources})
        catalogue = Catalogue(data, options.data, Path(name) / "cache-ranked", Tokenizer(options.encoder))
        task, tokenizer = find_task(TASK), catalogue.tokenizer
        features = catalogue.train(task, ["eng_Latn"])
        assert len(features) == NUM_RANKED
        forward = inference(load_trained(stage, read_record(stage), tokenizer), "bf16", torch.device("cpu"))
        hardness: dict[str, float] = {}
        for first in range(0, NUM_RANKED, BATCH):
            loaded = features.load(range(first, min(first + BATCH, NUM_RANKED)))
            batch = collate([TaskItems.of(TASK, loaded, 0.0)], {TASK: task.kind}, Collation(tokenizer))
            logits = forward(batch, "logits")[TASK].float().log_softmax(-1)
            for feature, of_example in zip(loaded, logits, strict=True):
                hardness[feature.id] = -float(of_example[feature.targets[0]])
    for example, nats in hardness.items():
        print(json.dumps({"id": example, "hardness": round(nats, 4)}))
    right = statistics.mean(nats < math.log(2) for nats in hardness.values())
    print(f"mean {statistics.mean(hardness.values()):.3f} nats, chance ln 5 = {math.log(5):.3f}; "
          f"p(right option) above 1/2: {right:.0%}", file=sys.stderr)  # fmt: skip


def train_reference(encoder: str, data: Path, folder: Path) -> Path:
    """The folder of the reference's stage."""
    recipe = {
        "name": "reference",
        "model": {"pretrained": encoder},
        "data": {
            "root": str(data),
            "cache": str(folder / "cache"),
            "max_length": 128,
            "sources": {TASK: {"train": f"{FILE}[{NUM_RANKED}:{2 * NUM_RANKED}]"}},
        },
        "runtime": {"deepspeed": "zero1_bf16_cpu", "micro_batches_per_step": 1, "log_every": 25},
        "training": {"steps": STEPS, "batch_size": 8, "lr": 1e-4},
        "arms": {"none": [], "reference": [{"tasks": [TASK]}]},
        "targets": {"tatoeba": {"languages": ["afr_Latn"], "max_examples": 4}},
        "seeds": [SEED],
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    launcher = Path(sys.executable).parent / "deepspeed"
    command = [
        launcher,
        "--num_gpus",
        "1",
        "--master_port",
        "29765",
        "train.py",
        "run",
        path,
        "--run-dir",
        folder / "run",
    ]
    subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr, env={**os.environ, "DS_ACCELERATOR": "cpu"})
    (stage,) = (folder / "run/stages").iterdir()
    return stage


if __name__ == "__main__":
    main()
