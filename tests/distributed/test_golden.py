"""Losses of a tiny run against those that are checked in: what is meant to change no number changes none.

`make golden` renews them, for a change that changes numbers on purpose (CONTRIBUTING: proof of value).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import tiny
from launch import ROOT, run_ranks

from xstilts.config.runtime import Runtime
from xstilts.config.training import Mixing, Training

GOLDEN = ROOT / "tests" / "golden" / "losses.json"
TOLERANCE = 1e-5
"""Of losses about 3 and gradient norms about 1.5: other processors and other orders of summing round otherwise. In
these steps a weight decay of 1.1 for 1.0 moves a loss by 3e-4, a second beta of 0.998 for 0.999 by 1e-4, and ZeRO-3 on
two ranks for ZeRO-1 on one by 1e-7."""

TRAINING = Training(steps=20, batch_size=9, lr=3e-3, weight_decay=1.0)


def train_tiny(world: Path, folder: Path) -> None:
    """Runs in the rank."""
    from xstilts.training.job import Folders, Job
    from xstilts.training.loop import train

    loader = tiny.loader(world, tiny.ALL_HEADS, TRAINING, Mixing(weighting="uniform"), token_budget=320)
    job = Job("golden", tiny.SEED, tiny.model(world, tiny.ALL_HEADS), loader, dev_scores=lambda engine: {})
    train(job, Runtime(log_every=100), tiny.deepspeed_json(1), Folders(folder, folder / "tensorboard"))


def trained(world: Path, folder: Path) -> dict[str, list[float]]:
    """Loss and gradient norm of each step."""
    tiny.catalogue(world)
    run_ranks(train_tiny, 1, world, folder)
    lines = (folder / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [record for record in map(json.loads, lines) if "loss" in record]
    return {key: [round(step[key], 7) for step in steps] for key in ("loss", "grad_norm")}


def test_losses_are_those_checked_in(tiny_world: Path, tmp_path: Path) -> None:
    expected, found = json.loads(GOLDEN.read_text(encoding="utf-8")), trained(tiny_world, tmp_path)
    assert len(expected["loss"]) == TRAINING.steps
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, rel=0, abs=TOLERANCE)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        tiny.make_world(Path(temporary) / "world")
        text = json.dumps(trained(Path(temporary) / "world", Path(temporary) / "run"), indent=1)
    GOLDEN.write_text(text + "\n", encoding="utf-8")
    print(f"wrote {GOLDEN.relative_to(ROOT)}")
