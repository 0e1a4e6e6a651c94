"""What came out beside the table of Phang et al. (2020), and the best intermediate task of each target.

python benchmarks/phang_table.py RUN_DIR > page.md
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import page

from xstilts.analysis.runs import baseline_of, read_results
from xstilts.analysis.transfer import Mean, compare, means

_PUBLISHED = Path(__file__).with_name("phang2020.csv")
_MARKS = {"verified": "", "recalled": " (recalled)"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", type=Path)
    options = parser.parse_args()
    results = read_results(options.run_dir)
    baseline = baseline_of([results], None)
    found = {(m.arm, m.task): m for m in means(compare(results.rows, baseline)) if m.primary}
    published = _published()
    page.begin("Beside Phang et al. (2020)", f"python benchmarks/phang_table.py {options.run_dir.name}")
    print(
        "Change against no intermediate training in points, mean over languages with the 95 % t interval over seeds; "
        f"published numbers are from arXiv 2005.13013, on dev sets. `{baseline}` itself: scores.\n"
    )
    rows = []
    for (arm, task), mean in found.items():
        rows.append([arm, task, _measured(mean), published.get((arm, task), "-")])
    page.table(["arm", "target", "measured", "published"], rows)
    print("## Best intermediate task of each target\n\nThe largest mean of several is large by luck too.\n")
    changes = {key: m.change.mean for key, m in found.items() if m.change.mean is not None}
    best = []
    for task in dict.fromkeys(task for _, task in changes):
        arm = max((arm for arm, other in changes if other == task), key=lambda arm: changes[arm, task])
        best.append([task, arm, f"{changes[arm, task]:+.1f}"])
    page.table(["target", "arm", "change"], best)
    return 0


def _measured(mean: Mean) -> str:
    if mean.change.mean is None:
        return f"{mean.score:.1f}"
    low_high = mean.change.interval
    return f"{mean.change.mean:+.1f}" + (f" ({low_high[0]:+.1f} to {low_high[1]:+.1f})" if low_high else "")


def _published() -> dict[tuple[str, str], str]:
    """(arm, target) -> the number with its mark."""
    with _PUBLISHED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return {(row["arm"], row["target"]): row["value"] + _MARKS[row["status"]] for row in rows}


if __name__ == "__main__":
    sys.exit(main())
