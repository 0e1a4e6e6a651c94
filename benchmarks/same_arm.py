"""A/A: how often the tools call one arm against itself, its seeds split in two.

    python benchmarks/same_arm.py RUN_DIR [--arm none] [--target TASK] [--matters 1.0] > page.md

Of the arm's seeds, as many as there are up to ten are drawn, half of them stand for an arm and half for the baseline,
200 times. Whatever is called is a false alarm; the draws share seeds, so that their share has no interval of its own.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import page

from xstilts.analysis.paired import ArmScores, Cells, changes, precision_of, scores_of, spread_table
from xstilts.analysis.runs import read_results
from xstilts.analysis.statistics.answer import Estimand, Finding, Verdict, judge
from xstilts.analysis.statistics.families import members
from xstilts.analysis.statistics.least_design import MIN_LANGUAGES, MIN_SEEDS, MIN_SEEDS_OF_SPREAD
from xstilts.analysis.statistics.mean_question import mean_finding
from xstilts.analysis.statistics.spread_question import spread_finding
from xstilts.analysis.statistics.table import complete_block
from xstilts.evaluation.rows import Row
from xstilts.tasks.languages import find_language

NUM_SPLITS = 200
MATTERS_OF_SPREAD = 1.5
_ENGLISH = "eng_Latn"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--arm", default="none")
    parser.add_argument("--target", action="append", help="may be given several times; default all")
    parser.add_argument("--matters", type=float, default=1.0, help="points")
    parser.add_argument("--per-side", type=int, default=5, help="seeds")
    options = parser.parse_args()
    rows = [row for row in read_results(options.run_dir).rows if row.arm == options.arm and row.primary]
    cells = _cells(rows, options.target)
    seeds = sorted({row.seed for row in rows})
    if len(seeds) < 2 * options.per_side:
        parser.error(f"{len(seeds)} seeds of {options.arm}; it takes {2 * options.per_side}")
    page.begin("One arm against itself", f"python benchmarks/same_arm.py {options.run_dir.name}", ("numpy", "scipy"))
    print(
        f"Arm `{options.arm}` on {', '.join(cells)}: {options.per_side} of its {len(seeds)} seeds against "
        f"{options.per_side} others, {NUM_SPLITS} times; verdicts of 95 %, {options.matters:g} points matter.\n"
    )
    generator = np.random.default_rng(0)
    counts: dict[str, Counter[str]] = {}
    for _ in range(NUM_SPLITS):
        drawn = [int(seed) for seed in generator.permutation(seeds)]
        mine, others = drawn[: options.per_side], drawn[options.per_side : 2 * options.per_side]
        for name, finding in _findings(rows, options.arm, cells, mine, others, options.matters).items():
            answer = judge(finding)
            counts.setdefault(name, Counter())[answer.verdict.value] += 1
            counts[name]["interval excludes no effect"] += answer.excludes_no_effect
    columns = [verdict.value for verdict in (Verdict.YES, Verdict.NO_LARGER, Verdict.CANNOT_TELL)]
    columns.append("interval excludes no effect")
    page.table(
        ["question", *columns],
        [[name, *(f"{100 * held[c] / NUM_SPLITS:.1f} %" for c in columns)] for name, held in counts.items()],
    )
    return 0


def _cells(rows: Sequence[Row], targets: Sequence[str] | None) -> Cells:
    """Target -> its languages but English."""
    found: dict[str, list[str]] = {}
    for row in rows:
        known = found.setdefault(row.task, [])
        if row.language not in (*known, _ENGLISH):
            known.append(row.language)
    return {task: keys for task, keys in found.items() if keys and (not targets or task in targets)}


def _findings(
    rows: Sequence[Row], arm: str, cells: Cells, mine: Sequence[int], others: Sequence[int], matters: float
) -> dict[str, Finding]:
    """What is asked of one split; only what may have a verdict."""
    precision = precision_of(rows, [arm])
    first, second = (scores_of(rows, arm, cells, seeds, precision) for seeds in (mine, others))
    block = complete_block(changes(first, _renumbered(second, first), cells))
    families = {key: find_language(key).family for key in block.languages}
    found = {}
    if len(block.seeds) >= MIN_SEEDS:
        estimands = [Estimand.THESE_LANGUAGES]
        if len(members(list(families.values()))) >= MIN_LANGUAGES:
            estimands.append(Estimand.LANGUAGES_LIKE_THESE)
        for estimand in estimands:
            finding = mean_finding("A/A", block, estimand=estimand, families=families, matters=matters)
            found[f"mean {estimand.value}"] = finding
    if len(mine) >= MIN_SEEDS_OF_SPREAD:
        tables = (complete_block(spread_table(each, cells)) for each in (first, second))
        found["ratio of spreads"] = spread_finding("A/A", *tables, matters=MATTERS_OF_SPREAD)
    return found


def _renumbered(scores: ArmScores, like: ArmScores) -> ArmScores:
    """The same with the seeds of the other side, in order, so that seeds are paired that have nothing in common."""
    collapsed = dict(zip(like.seeds, (scores.collapsed[seed] for seed in scores.seeds), strict=True))
    return ArmScores(scores.name, like.seeds, scores.values, scores.errors, collapsed, scores.set_aside)


if __name__ == "__main__":
    sys.exit(main())
