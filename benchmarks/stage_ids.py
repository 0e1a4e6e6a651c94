"""The page of the shipped recipes' stage ids, before the options of a stage that vary what it computes, and now.

    python benchmarks/stage_ids.py > benchmarks/stage_ids.md

Needs the history of the repository. That today's code computes the ids of today's file is a test
(`tests/study/test_shipped_recipes.py`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import page

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = "tests/golden/stage_ids.json"
FIRST = "ee758ce"
"""The commit of the first such option, which also brought the file."""


def main() -> int:
    found = subprocess.run(["git", "show", f"{FIRST}:{GOLDEN}"], cwd=ROOT, check=True, capture_output=True)
    before, now = json.loads(found.stdout), json.loads((ROOT / GOLDEN).read_text(encoding="utf-8"))
    same = [name for name, ids in before.items() if ids == now[name]]
    page.begin("Ids of the shipped recipes' stages, before and after", "python benchmarks/stage_ids.py")
    print(
        f"Before: `{GOLDEN}` of {FIRST}, where `labels`, the first of the keys, came; the code of the commit before it"
    )
    print(
        "computes the same ids (its `src` below the test of that commit, run on 2026-11-22: 6 passed). After: the file"
    )
    print("of today, which a test computes anew. Ids are of the first seed.\n")
    rows = [[name, len(ids), "yes" if name in same else "no"] for name, ids in before.items()]
    page.table(["recipe", "stages", "all ids unchanged"], rows)
    print(CHANGED)
    print("## Every id\n")
    listed = [
        [name, label, ids.get(label, "-"), now[name].get(label, "-")]
        for name, ids in before.items()
        for label in dict.fromkeys((*ids, *now[name]))
    ]
    page.table(["recipe", "stage", "before", "after"], listed)
    return int(set(before) - set(same) != {"demo"})


CHANGED = """\
The demo has been rewritten since (five seeds, other arms and sizes), so that its stages are others. The recipes below
`studies/` came later and are not listed.

That each key changes the id of its stage, and written out at its default changes none, is shown by
`tests/study/test_graph.py`, for `code_switch` by `test_stage_data.py`, for `source_language` by
`test_source_language.py`, for `subset.reference` by `test_reference.py`, for `sweep` by `test_sweep.py` beside it.
"""


if __name__ == "__main__":
    sys.exit(main())
