"""Why DeepSpeed's own universal checkpoints are not used: at stage 3 they change the run.

    python benchmarks/universal.py > benchmarks/universal.md

Two ranks train five steps, save, convert with ds_to_universal.py, and load at the same world size; three further steps
are held against those of the run that went on.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "distributed"))

import page
import torch
from launch import run_ranks

CASES = {"one": (0.1,), "two, equal decay": (0.0, 0.0), "two, decay 0.1 and 0": (0.1, 0.0)}
"""Parameter groups -> the weight decay of each: all parameters, or matrices and vectors."""


def main() -> int:
    rows = []
    for name, decay in CASES.items():
        with tempfile.TemporaryDirectory(prefix="xstilts-universal-") as folder:
            expected = run_ranks(train_and_save, 2, folder, decay)[0]
            convert(Path(folder))
            found, updates, decays = run_ranks(load_and_train, 2, folder, decay)[0]
            deviation = max((a - b).abs().max().item() for a, b in zip(found, expected, strict=True))
            rows.append([name, deviation, f"{updates} (8)", f"{decays} ({list(decay)})"])
    page.begin("DeepSpeed's universal checkpoints at ZeRO-3, 2 -> 2 ranks", "python benchmarks/universal.py")
    columns = ["parameter groups", "largest deviation of a weight", "Adam's updates of each group (right)"]
    page.table([*columns, "decay of each group (right)"], rows)
    print("On loading, all groups are given one and the same counter tensor, which each then raises at every step, and")
    print(
        "the settings of the first group (`load_hp_checkpoint_state_from_checkpoint_dir_stage3`). Hence our own format,"
    )
    print("by parameter name: [what it does](resume.md).")
    return 0


def make_engine(decay: tuple[float, ...], **config: Any) -> Any:
    import deepspeed

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 8))
    parameters = list(model.parameters())
    split = [parameters] if len(decay) == 1 else [[p for p in parameters if p.ndim == n] for n in (2, 1)]
    groups = [{"params": group, "weight_decay": value} for group, value in zip(split, decay, strict=True)]
    settings = {
        "train_micro_batch_size_per_gpu": 1,
        "zero_optimization": {"stage": 3},
        "zero_allow_untested_optimizer": True,
        "gradient_clipping": 0.0,
        "steps_per_print": 10**9,
        **config,
    }
    return deepspeed.initialize(model=model, optimizer=torch.optim.AdamW(groups, lr=0.01), config=settings)[0]


def take_steps(engine: Any, first: int, last: int) -> list[torch.Tensor]:
    from deepspeed.utils import safe_get_full_fp32_param

    for step in range(first, last):
        inputs = torch.randn(4, 8, generator=torch.Generator().manual_seed(step))
        engine.backward((engine(inputs) ** 2).mean())
        engine.step()
    return [safe_get_full_fp32_param(parameter).clone() for parameter in engine.module.parameters()]


def train_and_save(folder: str, decay: tuple[float, ...]) -> list[torch.Tensor]:
    engine = make_engine(decay)
    take_steps(engine, 0, 5)
    engine.save_checkpoint(folder, tag="own")
    return take_steps(engine, 5, 8)


def convert(folder: Path) -> None:
    spec = find_spec("deepspeed.checkpoint.ds_to_universal")
    assert spec and spec.origin
    folders = ["--input_folder", str(folder / "own"), "--output_folder", str(folder / "universal")]
    workers = ["--num_extract_workers", "1", "--num_merge_workers", "1", "--inject_missing_state"]
    subprocess.run([sys.executable, spec.origin, *folders, *workers], check=True, capture_output=True)


def load_and_train(folder: str, decay: tuple[float, ...]) -> tuple[list[torch.Tensor], list[int], list[float]]:
    engine = make_engine(decay, checkpoint={"load_universal": True})
    engine.load_checkpoint(folder, tag="universal")
    weights = take_steps(engine, 5, 8)
    optimizer = engine.optimizer.optimizer
    updates = [int(state["step"]) for state in optimizer.state.values()]
    return weights, updates, [group["weight_decay"] for group in optimizer.param_groups]


if __name__ == "__main__":
    sys.exit(main())
