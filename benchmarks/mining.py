"""BUCC's search here and by faiss's flat index on the same cores, by turns: seconds of both directions, neighbours.

    PYTHONPATH=FAISS python benchmarks/mining.py [--sentences 20000] [--width 1024] [--rounds 3] [--threads 2]

Vectors are random; half of the sentences have a translation, which is near them. faiss builds an index of each side and
searches it for the other's 4 nearest (XTREME's script does so, in parts); here margins and accepted pairs come on top.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import faiss
import numpy as np
import torch
from page import table as print_table

from xstilts.kinds.margin import margin_pairs
from xstilts.kinds.search import nearest_both

K = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--sentences", type=int, default=20_000, help="on each side")
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    source, target = sides(options.sentences, options.width)
    seconds: dict[str, list[float]] = {"neighbours here": [], "pairs here": [], "neighbours by faiss": []}
    busy: dict[str, list[float]] = {name: [] for name in seconds}
    for turn in range(options.rounds):
        for name in list(seconds)[:: -1 if turn % 2 else 1]:
            started = time.perf_counter(), time.process_time()
            if name == "neighbours here":
                here = nearest_both(torch.from_numpy(source), torch.from_numpy(target), K)
            elif name == "pairs here":
                pairs = margin_pairs(torch.from_numpy(source), torch.from_numpy(target), K)
            else:
                theirs = search(source, target), search(target, source)
            seconds[name].append(time.perf_counter() - started[0])
            busy[name].append(time.process_time() - started[1])
    product = 2e-9 * options.sentences**2 * options.width
    print(f"## mining: {options.sentences:,} x {options.sentences:,} sentences of {options.width} numbers\n")
    print(f"faiss {faiss.__version__}, {options.threads} threads; one product of all pairs is {product:,.0f} GFLOP.\n")
    rows = [
        (
            name,
            *(", ".join(f"{each:.1f}" for each in times[name]) for times in (seconds, busy)),
            f"{min(busy[name]):.1f}",
        )
        for name in seconds
    ]
    print_table(("what", "s, by round", "CPU s, by round", "least CPU s"), rows)
    num_unlike, largest = compare(here, theirs, (source, target))
    print(
        f"Of {2 * options.sentences:,} lists of {K} neighbours {num_unlike:,} differ from faiss's; where they do, the"
    )
    print(f"inner products (fp64) differ by at most {largest:.1e}. {len(pairs):,} pairs are accepted.\n")


def sides(num: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors [num, width] of both sides."""
    generator = np.random.default_rng(0)
    source = generator.standard_normal((num, width), dtype=np.float32)
    target = generator.standard_normal((num, width), dtype=np.float32)
    half = num // 2
    target[:half] = source[generator.permutation(num)[:half]] + 0.8 * target[:half]
    return tuple(side / np.linalg.norm(side, axis=1, keepdims=True) for side in (source, target))  # type: ignore[return-value]


def search(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    index = faiss.IndexFlatIP(candidates.shape[1])
    index.add(candidates)
    found: np.ndarray = index.search(queries, K)[1]
    return found


def compare(
    here: Sequence[tuple[torch.Tensor, torch.Tensor]], theirs: Sequence[np.ndarray], sides: Sequence[np.ndarray]
) -> tuple[int, float]:
    """How many lists of neighbours differ, and by how much in the worst place the inner products of those do."""
    num_unlike, largest = 0, 0.0
    for (_, ours), other, queries, candidates in zip(here, theirs, sides, sides[::-1], strict=True):
        rows = np.flatnonzero((ours.numpy() != other).any(axis=1))
        num_unlike += len(rows)
        for row in rows:
            query = queries[row].astype(np.float64)
            products = (
                candidates[neighbours].astype(np.float64) @ query for neighbours in (ours[row].numpy(), other[row])
            )
            largest = max(largest, float(np.abs(np.subtract(*products)).max()))
    return num_unlike, largest


if __name__ == "__main__":
    main()
