"""LogME and H-score against transformer-ranker 0.2.0, and LogME of both against the density maximised numerically.

    pip install --no-deps transformer-ranker==0.2.0 torchmetrics==1.9.0 lightning-utilities
    python benchmarks/transferability.py > benchmarks/transferability.md

In an environment of its own: the project does not depend on them.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "measures"))

import page
import torch
from test_transferability import brute_force_log_me, problem
from transformer_ranker.estimators import HScore, LogME

from xstilts.measures.transferability import log_me, shrunk_h_score

SHAPES = [(300, 10, 2), (1000, 50, 5), (2000, 384, 3), (2000, 768, 10), (400, 384, 3), (200, 384, 3), (100, 768, 4)]
"""Samples, features, classes."""

SMALL = [(40, 5, 2), (60, 12, 3), (24, 24, 3), (20, 35, 2)]

NUM_SEEDS = 5


def main() -> None:
    page.begin("LogME and H-score against transformer-ranker 0.2.0", "python benchmarks/transferability.py")
    rows = []
    for shape in SHAPES:
        differences = [compare(seed, *shape) for seed in range(NUM_SEEDS)]
        rows.append([*shape, *map(max, zip(*differences, strict=True))])
    print(f"Largest difference of {NUM_SEEDS} random problems. *Converged*: with `max_iter=5000, tol=1e-12`.\n")
    page.table(["samples", "features", "classes", "shrunk H-score", "LogME", "LogME, converged"], rows)
    rows = []
    for shape in SMALL:
        features, labels = problem(1, *shape, 0.5)
        exact = brute_force_log_me(features, labels)
        rows.append([*shape, abs(log_me(features, labels) - exact), abs(converged(features, labels) - exact)])
    print("LogME less the logarithm of the density N(y; 0, I/beta + F F'/alpha), maximised numerically over both:\n")
    page.table(["samples", "features", "classes", "here", "transformer-ranker, converged"], rows)
    print("With at least as many samples as features all agree within 1e-6; what is left comes from the 1e-5 that")
    print(
        "transformer-ranker adds to denominators and from its shrinkage in single precision. With fewer samples it is"
    )
    print(
        "transformer-ranker that does not report the evidence: it sums ln(alpha + beta sigma) over the singular values"
    )
    print("of the thin SVD only, and so leaves out -(features - samples)/2 ln(alpha). The same lines are in the fixed")
    print(
        "point of thuml/LogME; its first version, with a full SVD, agrees with ours. LogME of published rankings with"
    )
    print("fewer samples than features cannot be compared with these.")


def compare(seed: int, num_samples: int, num_features: int, num_classes: int) -> tuple[float, float, float]:
    """Absolute differences: shrunk H-score, LogME, LogME converged."""
    features, labels = problem(seed, num_samples, num_features, num_classes, 0.3)
    h_score = HScore().fit(torch.tensor(features), torch.tensor(labels))
    evidence, here = LogME().fit(torch.tensor(features), torch.tensor(labels)), log_me(features, labels)
    difference = abs(here - converged(features, labels))
    return abs(shrunk_h_score(features, labels) - h_score), abs(here - evidence), difference


def converged(features: object, labels: object) -> float:
    """transformer-ranker's LogME without its limits on rounds."""
    return LogME().fit(torch.tensor(features), torch.tensor(labels), max_iter=5000, tol=1e-12)


if __name__ == "__main__":
    main()
