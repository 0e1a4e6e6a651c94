"""Truth from outside: 100 published fine-tunings of BERT that differ in their seed alone."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import page

from xstilts.analysis.statistics.answer import Verdict, judge
from xstilts.analysis.statistics.estimate import Array
from xstilts.analysis.statistics.sentence import render
from xstilts.analysis.statistics.spread_question import spread_finding
from xstilts.analysis.statistics.table import Table

NUM_RUNS = 100
NUM_DRAWS = 200
NUM_SEEDS = 10
MATTERS = 1.5
MNLI = "MNLI dev acc."
HANS = ("Lexical (nonent)", "Subseq (nonent)", "Constituent (nonent)")
NUM_ITEMS = {MNLI: 9815, **dict.fromkeys(HANS, 5000)}
INTRODUCTION = f"""\
McCoy, Min and Linzen (2020, "BERTs of a feather do not generalize together", github.com/tommccoy1/hans, MIT): 100 runs,
one recipe, one data set, 100 seeds; accuracy on MNLI's matched development set hardly varies, on HANS's non-entailed
cases it varies much. Each question is asked {NUM_DRAWS} times of {NUM_SEEDS} runs drawn for each arm, no run in both.

*Item noise* is the spread that as many runs of equal accuracy would show, were each scored on other items, as many:
drawn from the binomial distribution (9,815 items of MNLI, 5,000 for each case of HANS). Where seeds vary more than
items would, a single run says little. The smallest ratio that matters was set to {MATTERS}. *Larger* and *smaller* are
verdicts of *yes*; two arms of the same evaluation show the false alarms. The cases of HANS stand where languages do.
"""


_RUNS = Path(__file__).parents[1] / "tests" / "analysis" / "statistics" / "hans_runs.csv"


def show() -> None:
    """Prints the section."""
    with _RUNS.open(encoding="utf-8", newline="") as file:
        runs = list(csv.DictReader(line for line in file if not line.startswith("#")))
    assert len(runs) == NUM_RUNS, f"{len(runs)} runs"
    scores = {name: 100 * np.array([float(run[name]) for run in runs]) for name in (MNLI, *HANS)}
    print(f"## 100 published runs on MNLI and HANS\n\n{INTRODUCTION}")
    page.table(
        ["accuracy over the runs", "mean", "standard deviation", "least", "most", "SD of item noise"],
        [[name, *(f"{x:.2f}" for x in _described(values, NUM_ITEMS[name]))] for name, values in scores.items()],
    )
    print(f"| question | larger | smaller | no larger than {MATTERS} times | cannot tell |\n|---|---:|---:|---:|---:|")
    sentences = []
    for name, num_seeds, arm, baseline in (
        ("HANS against its item noise", NUM_SEEDS, HANS, None),
        ("MNLI against its item noise", NUM_SEEDS, (MNLI,), None),
        ("MNLI against its item noise, 50 runs", 50, (MNLI,), None),
        ("HANS against MNLI", NUM_SEEDS, HANS, (MNLI,)),
        ("HANS against HANS", NUM_SEEDS, HANS, HANS),
        ("MNLI against MNLI", NUM_SEEDS, (MNLI,), (MNLI,)),
    ):
        counts, sentence = _ask(name, num_seeds, scores, arm, baseline)
        print(f"| {name} | {' | '.join(f'{100 * count / NUM_DRAWS:.1f} %' for count in counts)} |")
        sentences.append(sentence)
    print("\nThe answers to the first draw:\n")
    print("\n".join(f"- {sentence}" for sentence in sentences), end="\n\n")


def _described(values: Array, num_items: int) -> list[float]:
    mean = values.mean() / 100
    noise = 100 * np.sqrt(mean * (1 - mean) / num_items)
    return [float(x) for x in (values.mean(), values.std(ddof=1), values.min(), values.max(), noise)]


def _ask(
    name: str, num_seeds: int, scores: dict[str, Array], arm: tuple[str, ...], baseline: tuple[str, ...] | None
) -> tuple[list[int], str]:
    """How often each verdict was given, and the first answer in words."""
    generator = np.random.default_rng(0)
    counts: Counter[str] = Counter()
    sentences = []
    for _ in range(NUM_DRAWS):
        drawn = generator.permutation(NUM_RUNS)
        mine, others = drawn[:num_seeds], drawn[num_seeds : 2 * num_seeds]
        table = _table(np.stack([scores[cell][mine] for cell in arm], axis=1), arm)
        if baseline is None:
            size = [NUM_ITEMS[cell] for cell in arm]
            noise = generator.binomial(size, table.values.mean(axis=0) / 100, size=table.values.shape) / size
            reference = _table(100 * noise, arm)
        else:
            reference = _table(np.stack([scores[cell][others] for cell in baseline], axis=1), baseline)
        answer = judge(spread_finding(name, table, reference, matters=MATTERS))
        direction = "larger" if answer.effect > 1 else "smaller"
        counts[direction if answer.verdict is Verdict.YES else answer.verdict.value] += 1
        sentences.append(render(answer))
    verdicts = ("larger", "smaller", Verdict.NO_LARGER.value, Verdict.CANNOT_TELL.value)
    return [counts[verdict] for verdict in verdicts], sentences[0]


def _table(values: Array, cells: tuple[str, ...]) -> Table:
    return Table(values, tuple(range(len(values))), cells)
