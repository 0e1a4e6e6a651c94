"""What `plan` estimates of a stage against what the stage took: tokens, FLOPs, memory, bytes exchanged, disk, time.

    XSTILTS_DATA=FOLDER python benchmarks/estimates.py --encoder FOLDER > benchmarks/estimates.md

UDPOS, 12 steps of 32 sentences, two CPU ranks, ZeRO 0 to 3. Bytes exchanged are of DeepSpeed's own log of collectives;
memory is the highest resident set of a rank beyond that after its imports.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from page import begin, table

HERE = Path(__file__).resolve().parents[1]
NUM_STEPS = 12
RANKS = 2
UNITS = {"tokens": 1, "memory": 1e9, "sent_per_step": 1e9, "weights": 1e9, "hours": 1 / 3600}
"""What is compared, by its name in the plan, and the unit that it is shown in."""
FILES = ("zero0_fp32_cpu", "zero1_fp32_cpu", "zero1_bf16_cpu", "zero2_fp32_cpu", "zero3_fp32_cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", required=True)
    options = parser.parse_args()
    rows: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory() as name:
        for file in FILES:
            folder = Path(name) / file
            folder.mkdir()
            recipe = write_recipe(folder, options.encoder, file, Path(name) / "cache")
            rows += compare(file, estimated(recipe), measured(recipe, folder))
    begin("Estimates against measurements", "python benchmarks/estimates.py --encoder encoder-cut")
    print(
        f"UDPOS, {NUM_STEPS} steps of 32 sentences on {RANKS} ranks of one thread each; the first step is not timed.\n"
    )
    table(("DeepSpeed file", "what", "estimated", "measured", "estimated / measured"), rows)


def write_recipe(folder: Path, encoder: str, file: str, cache: Path) -> Path:
    values = json.loads((HERE / f"ds_configs/{file}.json").read_text(encoding="utf-8"))
    values["comms_logger"] = {"enabled": True, "verbose": False, "prof_all": True}
    (folder / "deepspeed.json").write_text(json.dumps(values), encoding="utf-8")
    recipe: dict[str, Any] = {
        "name": "estimates",
        "model": {"pretrained": encoder},
        "data": {"root": "$XSTILTS_DATA", "cache": str(cache), "max_length": 128},
        "runtime": {
            "deepspeed": str(folder / "deepspeed.json"),
            "micro_batches_per_step": RANKS,
            "checkpoint_every": NUM_STEPS - 2,
        },
        "training": {"steps": NUM_STEPS, "batch_size": 32, "lr": 2e-5},
        "arms": {"none": [], "measured": [{"tasks": ["udpos"]}]},
        "targets": {"tatoeba": {"languages": ["afr_Latn"], "max_examples": 4}},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def estimated(recipe: Path) -> dict[str, float]:
    command = [sys.executable, "train.py", "plan", recipe, "--json", "--world-size", RANKS, "--device", "core"]
    done = subprocess.run(list(map(str, command)), cwd=HERE, capture_output=True, text=True, check=True)
    (stage,) = json.loads(done.stdout)["cost"]["stages"].values()
    return {key: float(stage[key]) for key in UNITS}


def measured(recipe: Path, folder: Path) -> dict[str, float]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    launcher = Path(sys.executable).parent / "deepspeed"
    command = [launcher, "--num_gpus", RANKS, "--master_port", port, __file__, "--rank", recipe, folder]
    done = subprocess.run(list(map(str, command)), cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
    (log,) = folder.glob("run/stages/*/steps.jsonl")
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    steps = [record for record in records if "tokens" in record]
    seconds = [step["seconds"] for step in steps[1:]]
    found: dict[str, float] = json.loads((folder / "rank0.json").read_text(encoding="utf-8"))
    return {
        "tokens": sum(step["tokens"] for step in steps),
        "hours": sum(seconds) * len(steps) / len(seconds) / 3600,
        "weights": (log.parent / "weights.safetensors").stat().st_size,
        **found,
    }


def compare(file: str, estimate: dict[str, float], measurement: dict[str, float]) -> list[tuple[object, ...]]:
    names = {"memory": "GB a rank", "sent_per_step": "GB a step to collectives", "weights": "GB on disk", "hours": "s"}
    rows: list[tuple[object, ...]] = []
    for key, unit in UNITS.items():
        ours, real = estimate[key] / unit, measurement[key] / unit
        rows.append((file, names.get(key, key), f"{ours:.3g}", f"{real:.3g}", f"{ours / real:.2f}" if real else "-"))
    return rows


def train(recipe: str, folder: Path) -> None:
    """One rank: runs the study, and leaves what it took."""
    import deepspeed
    from deepspeed.comm import comm

    from xstilts.cli import main as xstilts
    from xstilts.study.run import run_study  # noqa: F401  what a rank imports anyhow

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert deepspeed and xstilts(["run", recipe, "--run-dir", str(folder / "run")]) == 0
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if os.environ["RANK"] == "0":
        ops = comm.comms_logger.comms_dict.values()
        sent = sum(size * record[0] for sizes in ops for size, record in sizes.items())
        found = {"memory": (after - before) * 1024, "sent_per_step": sent / NUM_STEPS}
        (folder / "rank0.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if not argument.startswith("--local_rank")]
    if given[0] == "--rank":
        train(given[1], Path(given[2]))
    else:
        main()
