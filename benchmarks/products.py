"""How much of a training step on two CPU ranks is matrix products: what no trainer of the same model can do without.

    python benchmarks/products.py --encoder FOLDER|4x256 --data FOLDER [--tasks udpos mix ...] [--batch 16 32]

The stages are those of `trainer.py`, at ZeRO-0. Rank 0 takes 24 steps, the last ten under PyTorch's profiler, which
says what the products of forward and backward took (`PRODUCTS`); the whole step is timed without.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trainer
from page import begin, table

NUM_STEPS, NUM_WARM, NUM_PROFILED = 24, 4, 10
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "mkldnn::_linear_pointwise")
OURS = trainer.TRAINERS["this, 2 ranks, ZeRO-0"]


def main() -> None:
    given = [each for each in sys.argv[1:] if not each.startswith("--local_rank")]  # of the launcher
    if given[:1] == ["rank"]:
        profile(Path(given[1]), given[2:])
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch", type=int, nargs="+", default=[16])
    parser.add_argument("--tasks", nargs="+", default=[*trainer.MIX, "mix"], choices=[*trainer.MIX, "mix"])
    options = parser.parse_args()
    options.deepspeed, options.steps = OURS.deepspeed, NUM_STEPS
    begin(f"Matrix products in a step: {Path(options.encoder).name}",
          f"python benchmarks/products.py {trainer.said(sys.argv[1:])}")  # fmt: skip
    rows = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if not Path(options.encoder).exists():
            options.encoder = str(trainer.random_encoder(options, scratch))
        for task in options.tasks:
            for batch in options.batch:
                folder = scratch / f"{task}-{batch}"
                folder.mkdir()
                recipe = trainer.write_recipe(options, OURS, task, batch, folder, scratch)
                found = run(recipe, folder)
                ratio = found["step"] / found["products"]
                rows.append((task, batch, f"{found['tokens']:,.0f}", f"{found['step']:.3f}", f"{found['products']:.3f}",
                             f"{1 / ratio:.0%}", f"{ratio:.2f}"))  # fmt: skip
                print(*rows[-1], file=sys.stderr)
    table(("task", "batch", "tokens a step", "s a step", "s of products", "share", "faster with products alone"), rows)


def run(recipe: Path, folder: Path) -> dict[str, float]:
    command = [str(Path(sys.executable).parent / "deepspeed"), "--num_gpus", "2", "--master_port",
               str(trainer.free_port()), str(Path(__file__).resolve()), "rank", str(folder / "found.json"),
               "run", str(recipe), "--run-dir", str(folder / "run")]  # fmt: skip
    paths = os.pathsep.join([str(trainer.HERE / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=trainer.HERE)
    if done.returncode:
        raise SystemExit(f"{recipe} failed:\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    return dict(json.loads((folder / "found.json").read_text(encoding="utf-8")))


def profile(out: Path, arguments: list[str]) -> None:
    """One rank: `train.py` with these arguments, its later steps profiled; those before them are timed."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    from xstilts.cli import main as train
    from xstilts.training.step import Stepper

    take = Stepper.take
    watched = profiler(activities=[ProfilerActivity.CPU])
    seconds: list[float] = []
    tokens: list[int] = []
    sums = Stepper._sum_over_ranks

    def counted(*given: object, **more: object) -> object:
        totals = sums(*given, **more)  # type: ignore[arg-type]
        tokens.append(totals.num_tokens)
        return totals

    def timed(stepper: Stepper, step: int) -> bool:
        if step == NUM_STEPS - NUM_PROFILED:
            watched.start()
        begun = time.perf_counter()
        asked = take(stepper, step)
        seconds.append(time.perf_counter() - begun)
        if step == NUM_STEPS - 1:
            watched.stop()
            spent = sum(each.self_cpu_time_total for each in watched.key_averages() if each.key in PRODUCTS) / 1e6
            plain = slice(NUM_WARM, NUM_STEPS - NUM_PROFILED)
            per_token = statistics.mean(seconds[plain]) / statistics.mean(tokens[plain])
            of_profiled = statistics.mean(tokens[-NUM_PROFILED:])
            out_of_rank = {"tokens": of_profiled, "step": per_token * of_profiled, "products": spent / NUM_PROFILED}
            if int(os.environ["RANK"]) == 0:
                out.write_text(json.dumps(out_of_rank), encoding="utf-8")
        return asked

    Stepper.take = timed  # type: ignore[method-assign]
    Stepper._sum_over_ranks = counted  # type: ignore[assignment]
    sys.argv = ["train.py", *arguments]
    raise SystemExit(train())


if __name__ == "__main__":
    main()
