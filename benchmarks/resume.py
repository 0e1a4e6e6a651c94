"""What a change of world size, ZeRO stage or precision does to a run: 1 -> 2 -> 3 -> 1 ranks, dropout on.

    python benchmarks/resume.py > benchmarks/resume.md

Each path is a run in four legs. After loading, every master weight and moment is gathered and held against the
checkpoint bit by bit; the losses of each leg are held against those of a run without a break on one rank at the stage
and precision of the first leg.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "distributed"))

import legs
import page
import tiny

FP32: list[legs.Legs] = [((stage, "fp32"),) * 4 for stage in (0, 1, 2, 3)]
ACROSS: list[legs.Legs] = [
    ((0, "fp32"), (1, "fp32"), (2, "fp32"), (3, "fp32")),
    ((3, "fp32"), (2, "fp32"), (1, "fp32"), (0, "fp32")),
    ((2, "fp32"), (3, "fp32"), (0, "fp32"), (1, "fp32")),
    ((1, "fp32"), (0, "fp32"), (3, "fp32"), (2, "fp32")),
]
PRECISIONS: list[legs.Legs] = [
    *(((stage, "bf16"),) * 4 for stage in (1, 2, 3)),
    ((1, "fp32"), (2, "bf16"), (3, "bf16"), (1, "bf16")),
    ((1, "bf16"), (2, "fp32"), (3, "fp32"), (0, "fp32")),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20, help="of each leg")
    num_steps: int = parser.parse_args().steps
    paths = [*FP32, *ACROSS, *PRECISIONS]
    with tempfile.TemporaryDirectory(prefix="xstilts-resume-") as name:
        world = Path(name) / "tiny" / "world"
        tiny.make_world(world)
        unbroken = legs.run_unbroken(world, sorted({path[0] for path in paths}), num_steps)
        found = legs.run_legs(world, Path(name) / "legs", paths, num_steps)
    page.begin(f"1 -> 2 -> 3 -> 1 ranks, {num_steps} steps each", "python benchmarks/resume.py")
    print("Two layers of width 32, five tasks of all head kinds mixed by example, AdamW, dropout 0.1.\n")
    rows = []
    for path in paths:
        row: list[object] = [" -> ".join(f"{stage} {precision}" for stage, precision in path)]
        for i, leg in enumerate(found[path]):
            expected = unbroken[path[0]][i * num_steps : (i + 1) * num_steps]
            row.append(max(abs(a - b) for a, b in zip(leg.losses, expected, strict=True)))
        row.append(sum(leg.num_tensors for leg in found[path]))
        row.append(sum(len(leg.different) for leg in found[path]))
        rows.append(row)
    ranks = [f"largest loss deviation, {n} rank{'s' if n > 1 else ''}" for n in legs.RANKS]
    page.table(["ZeRO stage and precision of each leg", *ranks, "tensors compared", "not bit-identical"], rows)
    within = all(value <= 1e-5 for row in rows[: len(FP32 + ACROSS)] for value in row[1:5] if isinstance(value, float))
    return int(not within or any(row[-1] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
